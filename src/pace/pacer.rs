//! The pace of a run: its pauses, and its quota.

use std::time::Duration;

use tokio::time::Instant;

use super::own_quota::REPORTED_RISE;
use super::{OwnQuota, Pauses, RateController, SharedQuota, window};
use crate::outcome::{Judgement, Throttle, Verdict};
use crate::settings::PaceSettings;

/// Why there is no permit now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// There is one at this instant.
    Until(Instant),
    /// Nobody knows when: [`Pacer::permits_changed`] says when to ask again.
    Unknown,
}

/// What an answer says about the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateSignal {
    /// The request was let in.
    LetIn,
    /// The request was refused for its rate.
    Refused {
        /// Which quota.
        throttle: Throttle,
        /// How long DingTalk asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// This address is banned for this long. Then one request probes.
    Banned(Duration),
    /// Nothing: no answer came, or one that is trouble.
    Nothing,
}

impl RateSignal {
    /// What this judgement says about the rate.
    pub fn of(judgement: &Judgement, settings: &PaceSettings) -> Self {
        match judgement.verdict {
            Verdict::Throttled(throttle) => Self::Refused { throttle, retry_after: judgement.retry_after },
            Verdict::Banned => Self::Banned(settings.pause_after_ban(judgement.retry_after)),
            Verdict::Retry | Verdict::Unreachable | Verdict::TokenRefused => Self::Nothing,
            Verdict::Closed | Verdict::AlreadyEnded | Verdict::Refused | Verdict::Halt => Self::LetIn,
        }
    }

    /// How long DingTalk asked us to wait.
    fn named_wait(self) -> Duration {
        match self {
            Self::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::LetIn | Self::Banned(_) | Self::Nothing => Duration::ZERO,
        }
    }

    /// How long a run whose rate is fixed waits: until the whole window that refused is over.
    pub(super) fn whole_window(self) -> Duration {
        match self {
            Self::Refused { throttle, retry_after } => retry_after.unwrap_or(window(throttle)),
            Self::LetIn | Self::Banned(_) | Self::Nothing => Duration::ZERO,
        }
    }
}

/// What an answer changes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RateChange {
    /// The new rate, in requests a second, where it is worth reporting.
    pub per_second: Option<f64>,
    /// How long the run pauses.
    pub pause: Duration,
}

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
enum Quota {
    Own(OwnQuota),
    Shared { quota: SharedQuota, reported_rate: f64 },
}

impl Pacer {
    /// The pace of this process alone. `longest_outage` is how long it waits for DingTalk to come back; `None` is for ever.
    pub fn new(settings: &PaceSettings, longest_outage: Option<Duration>) -> Self {
        Self::with(Quota::Own(OwnQuota::new(settings)), settings, longest_outage)
    }

    /// The pace of one more run of a worker, which shares its quota with other workers.
    pub fn sharing(quota: SharedQuota, settings: &PaceSettings, longest_outage: Option<Duration>) -> Self {
        quota.begin_run();
        let reported_rate = settings.requests_per_second;
        Self::with(Quota::Shared { quota, reported_rate }, settings, longest_outage)
    }

    fn with(quota: Quota, settings: &PaceSettings, longest_outage: Option<Duration>) -> Self {
        Self { settings: *settings, quota, pauses: Pauses::new(settings, longest_outage) }
    }

    /// The pauses, which decide whether anything may leave.
    pub fn pauses(&mut self) -> &mut Pauses {
        &mut self.pauses
    }

    /// Takes a permit for a request that leaves now, or says when there is one.
    pub fn take_permit(&mut self, now: Instant) -> Result<(), NotYet> {
        match &mut self.quota {
            Quota::Own(quota) => quota.take_permit(now),
            Quota::Shared { quota, .. } => quota.take_permit(now),
        }
    }

    /// Resolves when it is worth asking again after [`NotYet::Unknown`].
    pub async fn permits_changed(&mut self) {
        match &self.quota {
            Quota::Own(_) => std::future::pending().await,
            Quota::Shared { quota, .. } => quota.changed().await,
        }
    }

    /// Takes in the answer to a request that left at `sent_at`. Returns the new rate, where it is worth reporting.
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
                // How long the window needs until it has room, the store knows: it grants nothing before.
                let pause = if self.settings.adaptive { signal.named_wait() } else { signal.whole_window() };
                RateChange { per_second: is_reported.then_some(rate), pause }
            }
        };
        self.pauses.pause(now, pause, judgement.reason);
        self.pauses.heard(judgement, now);
        let reason =
            if signal == RateSignal::LetIn { "nothing was refused for a while" } else { judgement.reason };
        per_second.map(|per_second| RateReport { per_second, reason })
    }

    /// The controller of this process's own rate, where it adapts.
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
