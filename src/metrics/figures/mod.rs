//! The metrics themselves, and what each event of a run changes in them.
//!
//! Invariant: the number of label values is bounded, so that a foreign server cannot fill the memory with codes.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::waiting::WaitingRetries;
use crate::events::{Observe, RunEvent};
use crate::outcome::{OutcomeKind, Verdict};

/// The upper bounds of the histogram of durations, in seconds. They go beyond the default time limit, because it can be raised.
const ATTEMPT_SECONDS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The most codes with a label of their own. A server between here and DingTalk could invent any number of them.
const MAX_CODES: usize = 100;

/// The label of the codes beyond [`MAX_CODES`].
const OTHER_CODES: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: String,
}

/// The label set of a metric without labels, which is left out until it has a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabel {}

type FloatGauge = Gauge<f64, AtomicU64>;

/// All metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    outcomes: Family<OutcomeLabel, Counter>,
    attempts: Family<CodeLabel, Counter>,
    throttled: Counter,
    attempt_duration: Histogram,
    pace: FloatGauge,
    in_flight: Gauge,
    waiting_retries: Gauge,
    paused: Gauge,
    last_run_timestamp: Family<NoLabel, FloatGauge>,
    last_run_exit_code: Family<NoLabel, Gauge>,
    queue_pending: Gauge,
}

impl Metrics {
    /// Metrics at zero, with the configured rate.
    pub fn new(requests_per_second: f64) -> Self {
        let mut registry = Registry::with_prefix("meeting_closer");
        let put = &mut registry;
        let metrics = Self {
            outcomes: keep(put, "outcomes", "Rows that ended, by outcome", Family::default()),
            attempts: keep(put, "attempts", "Requests that ended, by code", Family::default()),
            throttled: keep(
                put,
                "throttled",
                "Requests refused for their rate, bans included",
                Counter::default(),
            ),
            attempt_duration: keep(
                put,
                "attempt_duration_seconds",
                "Time from sending a request to its answer or its failure",
                Histogram::new(ATTEMPT_SECONDS),
            ),
            pace: keep(
                put,
                "pace_requests_per_second",
                "The current rate, in requests a second",
                FloatGauge::default(),
            ),
            in_flight: keep(put, "in_flight", "Requests in flight", Gauge::default()),
            waiting_retries: keep(put, "waiting_retries", "Rows that wait for a retry", Gauge::default()),
            paused: keep(put, "paused", "1 during a pause, else 0", Gauge::default()),
            last_run_timestamp: keep(
                put,
                "last_run_timestamp_seconds",
                "When the last run ended, in seconds since 1970",
                Family::default(),
            ),
            last_run_exit_code: keep(
                put,
                "last_run_exit_code",
                "The exit code of the last run",
                Family::default(),
            ),
            queue_pending: keep(
                put,
                "queue_pending",
                "Entries of the queue that are not acknowledged yet, 0 without a queue",
                Gauge::default(),
            ),
            registry,
        };
        for kind in OutcomeKind::ALL {
            // An outcome that no row has yet is 0, and not missing.
            drop(metrics.outcomes.get_or_create(&OutcomeLabel { outcome: kind.name() }));
        }
        metrics.pace.set(requests_per_second);
        metrics
    }

    /// The observer of a run's events.
    pub fn watcher(self: &Arc<Self>) -> MetricsWatcher {
        MetricsWatcher {
            metrics: Arc::clone(self),
            waiting: WaitingRetries::default(),
            codes: HashSet::new(),
        }
    }

    /// Sets how many entries of the queue are not acknowledged yet.
    pub fn queue_pending(&self, entries: u64) {
        self.queue_pending.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// A run has ended, so none of its requests is in flight.
    pub fn run_ended(&self, exit_code: u8, at: Timestamp) {
        for gauge in [&self.in_flight, &self.waiting_retries, &self.paused] {
            gauge.set(0);
        }
        self.last_run_timestamp.get_or_create(&NoLabel {}).set(at.as_millisecond() as f64 / 1000.0);
        self.last_run_exit_code.get_or_create(&NoLabel {}).set(i64::from(exit_code));
    }

    /// Prometheus' text format 0.0.4. The metrics of the last run are missing until a run has ended.
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

fn keep<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Counts a run's events.
#[derive(Debug)]
pub struct MetricsWatcher {
    metrics: Arc<Metrics>,
    waiting: WaitingRetries,
    codes: HashSet<String>,
}

impl MetricsWatcher {
    fn label(&mut self, code: &str) -> CodeLabel {
        if !self.codes.contains(code) {
            if self.codes.len() == MAX_CODES {
                return CodeLabel { code: OTHER_CODES.to_owned() };
            }
            self.codes.insert(code.to_owned());
        }
        CodeLabel { code: code.to_owned() }
    }
}

impl Observe for MetricsWatcher {
    fn observe(&mut self, event: &RunEvent<'_>) {
        self.waiting.observe(event);
        let metrics = Arc::clone(&self.metrics);
        metrics.waiting_retries.set(i64::try_from(self.waiting.count()).unwrap_or(i64::MAX));
        match event {
            RunEvent::AttemptStarted { .. } => {
                metrics.in_flight.inc();
            }
            RunEvent::AttemptEnded { judgement, elapsed, .. } => {
                metrics.in_flight.dec();
                metrics.attempts.get_or_create(&self.label(&judgement.details.code)).inc();
                metrics.attempt_duration.observe(elapsed.as_secs_f64());
                if is_throttled(judgement.verdict) {
                    metrics.throttled.inc();
                }
            }
            RunEvent::RowEnded { outcome } => {
                metrics.outcomes.get_or_create(&OutcomeLabel { outcome: outcome.kind.name() }).inc();
            }
            RunEvent::Paused { .. } => {
                metrics.paused.set(1);
            }
            RunEvent::Resumed => {
                metrics.paused.set(0);
            }
            RunEvent::RateChanged { per_second, .. } => {
                metrics.pace.set(*per_second);
            }
            RunEvent::RetryPlanned { .. }
            | RunEvent::TokenFetched
            | RunEvent::TokenFetchFailed { .. }
            | RunEvent::Stopping { .. } => {}
        }
    }
}

fn is_throttled(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Throttled(_) | Verdict::Banned => true,
        Verdict::Closed
        | Verdict::AlreadyEnded
        | Verdict::Retry
        | Verdict::Unreachable
        | Verdict::TokenRefused
        | Verdict::Refused
        | Verdict::Halt => false,
    }
}

#[cfg(test)]
mod tests;
