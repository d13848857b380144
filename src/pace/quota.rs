//! What a run and its quota say to each other: permits, answers, and new rates.
//!
//! Invariant: only [`RateSignal::of`] decides what an answer says about the rate, for every quota alike.

use std::time::Duration;

use tokio::time::Instant;

use super::window;
use crate::outcome::{Judgement, Throttle, Verdict};
use crate::settings::PaceSettings;

/// A rise of the rate by this share is worth reporting.
pub(super) const REPORTED_RISE: f64 = 0.05;

/// Why there is no permit now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// There is one at this instant.
    Until(Instant),
    /// The store of a shared quota has to answer first. `Pacer::permits_changed` says when to ask again.
    Unknown,
}

/// What an answer says about the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateSignal {
    /// DingTalk accepted the request: the rate is not too high.
    Accepted,
    /// DingTalk refused the request for its rate.
    Throttled {
        /// Which quota refused it.
        throttle: Throttle,
        /// How long DingTalk asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// DingTalk banned this address. After this long, one request probes.
    Banned(Duration),
    /// Nothing: no answer came, or an answer that reports trouble.
    Nothing,
}

impl RateSignal {
    /// What this judgement says about the rate.
    pub fn of(judgement: &Judgement, settings: &PaceSettings) -> Self {
        match judgement.verdict {
            Verdict::Throttled(throttle) => Self::Throttled { throttle, retry_after: judgement.retry_after },
            Verdict::Banned => Self::Banned(settings.pause_after_ban(judgement.retry_after)),
            Verdict::Retry | Verdict::Unreachable | Verdict::TokenRefused => Self::Nothing,
            Verdict::Closed | Verdict::AlreadyEnded | Verdict::Refused | Verdict::Halt => Self::Accepted,
        }
    }

    /// The length of the window that refused the request; zero where none did.
    pub(crate) fn refusing_window(self) -> Duration {
        match self {
            Self::Throttled { throttle, .. } => window(throttle),
            Self::Accepted | Self::Banned(_) | Self::Nothing => Duration::ZERO,
        }
    }

    /// How long DingTalk asked us to wait.
    pub(super) fn named_wait(self) -> Duration {
        match self {
            Self::Throttled { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::Accepted | Self::Banned(_) | Self::Nothing => Duration::ZERO,
        }
    }

    /// How long a run with a fixed rate waits: until the window that refused the request is over.
    pub(super) fn whole_window(self) -> Duration {
        match self {
            Self::Throttled { throttle, retry_after } => retry_after.unwrap_or(window(throttle)),
            Self::Accepted | Self::Banned(_) | Self::Nothing => Duration::ZERO,
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
