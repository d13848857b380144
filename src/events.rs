//! The events of a run, for its observers.
//!
//! Invariant: progress, logs, metrics and traces see these events and nothing else of a run.

use std::time::Duration;

use crate::meeting::CloseRequest;
use crate::outcome::{Judgement, Outcome};

/// An event of a run.
#[derive(Debug, Clone, Copy)]
pub enum RunEvent<'a> {
    /// A request is being sent.
    AttemptStarted {
        /// For which meeting.
        request: &'a CloseRequest,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An answer came, or the request failed.
    AttemptEnded {
        /// For which meeting.
        request: &'a CloseRequest,
        /// Which attempt, from 1.
        attempt: u32,
        /// What it means.
        judgement: &'a Judgement,
        /// From sending the request to its answer or failure.
        elapsed: Duration,
    },
    /// The row will be retried.
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
    /// A row has its outcome, and the outcome is in the journal.
    RowEnded {
        /// The outcome.
        outcome: &'a Outcome,
    },
    /// No request is sent for this long.
    Paused {
        /// Why.
        reason: &'a str,
        /// For how long.
        wait: Duration,
    },
    /// The pause is over.
    Resumed,
    /// The rate has changed.
    RateChanged {
        /// The rate, in requests a second.
        per_second: f64,
        /// Why.
        reason: &'a str,
    },
    /// An access token was fetched.
    TokenFetched,
    /// A request for an access token failed.
    TokenFetchFailed {
        /// The reason.
        problem: &'a str,
        /// How long until the next request for one.
        wait: Duration,
    },
    /// The run starts no new attempt from now on.
    Stopping {
        /// Why.
        reason: &'a str,
    },
}

/// An observer of a run.
pub trait Observe: Send {
    /// Receives an event. It must be quick, because the run waits for it.
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
