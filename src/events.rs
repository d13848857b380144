//! What happens in a run, as far as anybody who watches it may know.
//!
//! Invariant: progress, logs and metrics see these events and nothing else of a run.

use std::time::Duration;

use crate::meeting::CloseRequest;
use crate::outcome::{Judgement, Outcome};

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub enum RunEvent<'a> {
    /// A request is leaving.
    AttemptStarted {
        /// For which meeting.
        request: &'a CloseRequest,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An answer came, or was lost.
    AttemptEnded {
        /// For which meeting.
        request: &'a CloseRequest,
        /// Which attempt, from 1.
        attempt: u32,
        /// What it means.
        judgement: &'a Judgement,
        /// From the request's leaving to the answer.
        elapsed: Duration,
    },
    /// The row will be asked again.
    RetryPlanned {
        /// For which meeting.
        request: &'a CloseRequest,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        judgement: &'a Judgement,
        /// After how long.
        wait: Duration,
    },
    /// A row has its outcome, and the journal has it too.
    RowEnded {
        /// The outcome.
        outcome: &'a Outcome,
    },
    /// Nothing leaves for this long.
    Paused {
        /// Why.
        reason: &'a str,
        /// For how long.
        wait: Duration,
    },
    /// The pause is over.
    Resumed,
    /// Requests leave at another rate from now on.
    RateChanged {
        /// The rate, in requests a second.
        per_second: f64,
        /// Why.
        reason: &'a str,
    },
    /// An access token was had.
    TokenFetched,
    /// No access token was had this time.
    TokenFetchFailed {
        /// The reason.
        problem: &'a str,
        /// When it is tried again.
        wait: Duration,
    },
    /// Nothing new is started any more.
    Stopping {
        /// Why.
        reason: &'a str,
    },
}

/// Watches a run.
pub trait Observe: Send {
    /// Hears of one thing that happened. It must be quick: the run waits for it.
    fn observe(&mut self, event: &RunEvent<'_>);
}

/// Several observers as one.
#[derive(Default)]
pub struct Observers(pub Vec<Box<dyn Observe>>);

impl Observe for Observers {
    fn observe(&mut self, event: &RunEvent<'_>) {
        for observer in &mut self.0 {
            observer.observe(event);
        }
    }
}
