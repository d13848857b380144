//! The pace of a run: its pauses, and its quota.
//!
//! Invariant: every answer reaches both, the quota first. So a pause that the answer asks for is known when the pauses judge it.

use std::time::Duration;

use tokio::time::Instant;

use super::quota::{NotYet, REPORTED_RISE, RateChange, RateSignal};
use super::{OwnQuota, Pauses, RateController, SharedQuota};
use crate::outcome::Judgement;
use crate::settings::PaceSettings;

/// A new rate, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateReport {
    /// The rate, in requests a second.
    pub per_second: f64,
    /// Why it changed.
    pub reason: &'static str,
}

/// The pace of a run.
#[derive(Debug)]
pub struct Pacer {
    settings: PaceSettings,
    quota: Quota,
    pauses: Pauses,
}

/// Where the permits come from.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one quota, so its size does not matter")]
enum Quota {
    Own(OwnQuota),
    Shared { quota: SharedQuota, reported_rate: f64 },
}

impl Pacer {
    /// The pace of a process that shares its quota with no other. `longest_outage` is how long the run waits for DingTalk to
    /// come back; `None` is for ever.
    pub fn new(settings: &PaceSettings, longest_outage: Option<Duration>) -> Self {
        Self::with(Quota::Own(OwnQuota::new(settings)), settings, longest_outage)
    }

    /// The pace of one run of a worker, which shares its quota with other workers.
    pub fn sharing(quota: SharedQuota, settings: &PaceSettings, longest_outage: Option<Duration>) -> Self {
        quota.begin_run();
        let reported_rate = settings.requests_per_second;
        Self::with(Quota::Shared { quota, reported_rate }, settings, longest_outage)
    }

    fn with(quota: Quota, settings: &PaceSettings, longest_outage: Option<Duration>) -> Self {
        Self { settings: *settings, quota, pauses: Pauses::new(settings, longest_outage) }
    }

    /// The pauses, which decide whether a request may be sent at all.
    pub fn pauses(&mut self) -> &mut Pauses {
        &mut self.pauses
    }

    /// Takes a permit for a request that is sent now, or says when there is one.
    pub fn take_permit(&mut self, now: Instant) -> Result<(), NotYet> {
        match &mut self.quota {
            Quota::Own(quota) => quota.take_permit(now),
            Quota::Shared { quota, .. } => quota.take_permit(now),
        }
    }

    /// Resolves when it is worth asking again after `NotYet::Unknown`.
    pub async fn permits_changed(&mut self) {
        match &self.quota {
            Quota::Own(_) => std::future::pending().await,
            Quota::Shared { quota, .. } => quota.changed().await,
        }
    }

    /// Takes in the answer to a request that was sent at `sent_at`. Returns the new rate, where it is worth reporting.
    pub fn answered(&mut self, judgement: &Judgement, sent_at: Instant, now: Instant) -> Option<RateReport> {
        let signal = RateSignal::of(judgement, &self.settings);
        let RateChange { per_second, pause } = match &mut self.quota {
            Quota::Own(quota) => quota.feedback(signal, sent_at, now),
            Quota::Shared { quota, reported_rate } => {
                quota.feedback(signal, sent_at);
                let rate = quota.per_second();
                let is_reported = rate < *reported_rate || rate > *reported_rate * (1.0 + REPORTED_RISE);
                if is_reported {
                    *reported_rate = rate;
                }
                // The store knows when the window has room again, and grants nothing before.
                let pause = if self.settings.adaptive { signal.named_wait() } else { signal.whole_window() };
                RateChange { per_second: is_reported.then_some(rate), pause }
            }
        };
        self.pauses.pause(now, pause, judgement.reason);
        self.pauses.answered(judgement, now);
        let reason = match signal {
            RateSignal::Accepted => "DingTalk refused nothing for a while",
            RateSignal::Throttled { .. } | RateSignal::Banned(_) | RateSignal::Nothing => judgement.reason,
        };
        per_second.map(|per_second| RateReport { per_second, reason })
    }

    /// The rate controller, where this process has a quota of its own and the rate adapts.
    pub fn controller(&self) -> Option<&RateController> {
        match &self.quota {
            Quota::Own(quota) => quota.controller(),
            Quota::Shared { .. } => None,
        }
    }

    /// The lowest rate so far and the present one, in requests a second, where the rate adapts.
    pub fn lowest_and_last(&self) -> Option<(f64, f64)> {
        match &self.quota {
            Quota::Own(quota) => {
                quota.controller().map(|controller| (controller.lowest(), controller.per_second()))
            }
            Quota::Shared { quota, .. } => Some((quota.lowest(), quota.per_second())),
        }
    }
}
