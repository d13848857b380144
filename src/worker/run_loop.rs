//! Does one run after the other, until there is a reason to stop.
//!
//! Invariant: every entry that the feeder took ends in a run or is released.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{Instrument as _, info, info_span, warn};

use super::feeder::{FeedStep, Feeder};
use super::leases::SharedLeases;
use super::rotation::{FeedLimits, feed, until_midnight};
use super::settler::{QueueObserver, SettleQueue};
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::events::{Observe, Observers, RunEvent};
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Hasher};
#[cfg(feature = "otlp")]
use crate::lifecycle::after;
use crate::lifecycle::{self, Finished, LONGEST_OUTAGE, StartedRun};
use crate::lists::ListError;
use crate::metrics::{Metrics, Readiness};
use crate::pace::{Pacer, SharedQuota};
use crate::queue::{Broker as _, MonitoredQueue, RedisQueue};
use crate::run::{self, IncomingRow, RunParts, Signal, Stop};
use crate::settings::Settings;
use crate::telemetry::RunLog;

/// The most entries without an outcome in a run, for each request in flight: the entry in flight, and one that waits.
pub(crate) const PREFETCH: usize = 2;

/// The queue of a worker.
type Queue = MonitoredQueue<RedisQueue>;

/// A worker: what its runs share.
pub(crate) struct Worker {
    /// Whether the worker ends when the queue is empty (`--drain`).
    pub(crate) drains: bool,
    pub(crate) settings: Settings,
    pub(crate) hasher: Hasher,
    pub(crate) clock: Clock,
    pub(crate) api: Arc<HttpApi>,
    /// Whether its runs are rehearsals.
    pub(crate) is_rehearsal: bool,
    pub(crate) queue: Arc<Queue>,
    pub(crate) quota: SharedQuota,
    pub(crate) leases: SharedLeases,
    pub(crate) settle_queue: SettleQueue,
    pub(crate) signals: mpsc::Receiver<Signal>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Readiness,
    /// Why the worker stops; `None` while it works.
    pub(crate) stop: Option<Stop>,
}

/// The end of a worker, and what it still needs to leave the queue.
pub(crate) struct WorkerEnd {
    pub(crate) result: Result<ExitCode, Failure>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) signals: mpsc::Receiver<Signal>,
}

impl Worker {
    /// Does one run after the other, until there is a reason to stop.
    pub(crate) async fn work(mut self, mut feeder: Feeder<Queue>) -> WorkerEnd {
        let mut worst = ExitCode::Done;
        let ended = loop {
            let rows = match self.first_rows(&mut feeder).await {
                FeedStep::Rows(rows) => rows,
                FeedStep::Due => continue,
                FeedStep::Stopped | FeedStep::Emptied { stranded: 0 } => break Ok(()),
                FeedStep::Emptied { stranded } => {
                    self.warn_of_stranded(stranded);
                    worst = if worst == ExitCode::Done { ExitCode::Incomplete } else { worst };
                    break Ok(());
                }
            };
            match self.one_run(feeder, rows).await {
                Ok((code, returned)) => {
                    feeder = returned;
                    worst = if code == ExitCode::Done { worst } else { code };
                }
                Err(failure) => break Err(failure),
            }
            if self.stop.is_some() {
                break Ok(());
            }
        };
        let code = exit_code(self.stop.as_ref(), self.drains, worst);
        WorkerEnd { result: ended.map(|()| code), queue: self.queue, signals: self.signals }
    }

    /// Waits for the first entries of the next run.
    async fn first_rows(&mut self, feeder: &mut Feeder<Queue>) -> FeedStep {
        let (ask_to_stop, mut stopped) = watch::channel(false);
        let due = self.clock.now() + until_midnight(self.clock.timestamp());
        let step = feeder.step(self.drains, due, &mut stopped);
        tokio::pin!(step);
        tokio::select! {
            step = &mut step => return step,
            Some(_) = self.signals.recv() => {}
        }
        // The feeder may be taking entries right now, so it is not cancelled: it returns them.
        let _ = ask_to_stop.send(true);
        match step.await {
            emptied @ FeedStep::Emptied { .. } => return emptied,
            FeedStep::Rows(rows) => self.release(&rows).await,
            FeedStep::Due | FeedStep::Stopped => {}
        }
        self.readiness.ends("interrupted");
        self.stop = Some(Stop::Interrupted);
        if self.drains {
            warn!("interrupted before the queue was empty; the same command continues");
        }
        FeedStep::Stopped
    }

    fn warn_of_stranded(&self, stranded: u64) {
        let queue = &self.settings.queue;
        let entries = if stranded == 1 {
            "1 stranded entry".to_owned()
        } else {
            format!("{stranded} stranded entries")
        };
        warn!(
            "{entries} on {stream}: the queue delivers them to no worker, because a person acknowledged them or deleted their \
             consumer; hint: delete them with XDEL, or deliver every entry again with XGROUP SETID {stream} {group} 0",
            stream = queue.stream,
            group = queue.group,
        );
    }

    async fn release(&self, rows: &[IncomingRow]) {
        let released = self.leases.lock().release(rows);
        if let Err(error) = self.queue.settle(&released).await {
            warn!("cannot release entries: {error}");
        }
    }

    async fn one_run(
        &mut self,
        feeder: Feeder<Queue>,
        rows: Vec<IncomingRow>,
    ) -> Result<(ExitCode, Feeder<Queue>), Failure> {
        let (settings, hasher, clock) = (&self.settings, &self.hasher, &self.clock);
        let started = match lifecycle::start_worker_run(settings, hasher, self.is_rehearsal, clock) {
            Ok(started) => started,
            Err(failure) => {
                self.release(&rows).await;
                return Err(failure);
            }
        };
        info!(run_id = started.run_id, "starting a run");
        let (stop, stopped) = watch::channel(false);
        let (sender, receiver) = mpsc::channel(PREFETCH * self.settings.pace.concurrency);
        let limits = FeedLimits {
            until_empty: self.drains,
            due: self.clock.now() + until_midnight(self.clock.timestamp()),
            journal: started.folder.join(journal::FILE_NAME),
            max_journal_bytes: self.settings.queue.rotate_bytes,
            stopped,
        };
        let feed = tokio::spawn(feed(feeder, rows, sender, limits));
        // The span marks every log line of a rehearsal.
        let span = if self.is_rehearsal { info_span!("sandbox") } else { tracing::Span::none() };
        let finished = self.drive(&started, receiver, stop.clone()).instrument(span).await;
        let _ = stop.send(true);
        let feeder = feed.await.map_err(|error| Failure::new(ExitCode::AuditLost, error))?;
        self.leases.lock().end_run();
        let code = lifecycle::exit_code(&finished);
        self.metrics.run_ended(code.number(), self.clock.timestamp());
        finished.map(|_| (code, feeder))
    }

    /// Does the run. When the run stops, the feeder stops too.
    async fn drive(
        &mut self,
        started: &StartedRun,
        rows: mpsc::Receiver<Result<IncomingRow, ListError>>,
        stop: watch::Sender<bool>,
    ) -> Finished {
        let queue_observer = QueueObserver {
            leases: self.leases.clone(),
            run_id: started.run_id.clone(),
            durability: started.journal.durability(),
            settle_queue: self.settle_queue.clone(),
        };
        let mut observer = Observers(vec![
            Box::new(RunLog::new(&started.run_id)),
            Box::new(queue_observer),
            Box::new(self.metrics.watcher()),
            Box::new(StopsFeeding { stop, readiness: self.readiness.clone() }),
        ]);
        #[cfg(feature = "otlp")]
        let traces = { after::begin_traces(&started.run_id, self.is_rehearsal, &self.clock, &mut observer) };
        let (forward, signals) = mpsc::channel(2);
        let parts = RunParts {
            api: Arc::clone(&self.api),
            pacer: Pacer::sharing(self.quota.clone(), &self.settings.pace, longest_outage(self.drains)),
            pace: self.settings.pace,
            retry: self.settings.retry,
            seed: fastrand::u64(..),
            journal: &started.journal,
            observer: &mut observer,
            signals,
            deadline: None,
            clock: self.clock.clone(),
        };
        let run = run::run(parts, rows);
        tokio::pin!(run);
        let end = loop {
            tokio::select! {
                end = &mut run => break end,
                Some(signal) = self.signals.recv() => {
                    // If the run has just ended, it does not receive the signal, and no further run begins.
                    let _ = forward.try_send(signal);
                    self.stop = Some(Stop::Interrupted);
                }
            }
        };
        if let Some(stop) = &end.stop {
            self.stop = Some(stop.clone());
        }
        let finished = lifecycle::finish(&end, started, &self.clock);
        #[cfg(feature = "otlp")]
        after::end_traces(traces, &finished, &self.clock).await;
        finished
    }
}

/// The exit code of a worker: `stop` is why it stopped, and `runs` is the worst exit code of its runs. A signal is the normal
/// end of a service. For a worker that drains the queue, it is an interruption.
const fn exit_code(stop: Option<&Stop>, drains: bool, runs: ExitCode) -> ExitCode {
    match stop {
        None => runs,
        Some(Stop::Interrupted) if !drains => ExitCode::Done,
        Some(stop) => stop.exit_code(),
    }
}

/// How long a run waits for the end of an outage of DingTalk. A service waits without limit. A worker that drains the queue
/// waits as long as `close`.
fn longest_outage(drains: bool) -> Option<Duration> {
    drains.then_some(LONGEST_OUTAGE)
}

/// Stops the feeder when the run stops.
struct StopsFeeding {
    stop: watch::Sender<bool>,
    readiness: Readiness,
}

impl Observe for StopsFeeding {
    fn observe(&mut self, event: &RunEvent<'_>) {
        if let RunEvent::Stopping { reason } = event {
            self.stop.send_replace(true);
            self.readiness.ends(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalError;
    use crate::outcome::ReplyDetails;

    #[test]
    fn a_signal_is_the_normal_end_of_a_service_and_an_interruption_of_a_drain() {
        use ExitCode::{AuditLost, Done, Halted, Incomplete, Interrupted};
        let lost = JournalError { path: "j".into(), problem: "full".into(), durable_records: 0 };
        for (stop, of_drain, of_service) in [
            (Stop::Deadline, Interrupted, Interrupted),
            (Stop::Interrupted, Interrupted, Done),
            (Stop::Outage(ReplyDetails::default()), Interrupted, Interrupted),
            (Stop::ListsLost("x".into()), Interrupted, Interrupted),
            (Stop::Halted(ReplyDetails::default()), Halted, Halted),
            (Stop::AuditLost(lost), AuditLost, AuditLost),
        ] {
            for runs in [Done, Incomplete, Interrupted] {
                assert_eq!(exit_code(Some(&stop), true, runs), of_drain, "{stop}, {runs:?}");
                assert_eq!(exit_code(Some(&stop), false, runs), of_service, "{stop}, {runs:?}");
            }
        }
        for runs in [Done, Incomplete] {
            assert_eq!(exit_code(None, true, runs), runs);
        }
    }

    #[test]
    fn a_drain_waits_half_an_hour_for_the_end_of_an_outage_and_a_service_has_no_limit() {
        assert_eq!(longest_outage(true), Some(Duration::from_mins(30)));
        assert_eq!(longest_outage(false), None);
    }
}
