//! How many rows wait to be asked again, told from a run's events.
//!
//! Invariant: a row counts from the event that plans its retry to the start of that attempt, or to its end where it ends
//! while it waits.

use std::collections::HashMap;

use crate::events::RunEvent;
use crate::meeting::Fingerprint;
use crate::outcome::{Outcome, OutcomeKind};

/// The rows that wait, by what they say and by the attempt that failed. Two rows of a queue can say the same.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rows: HashMap<(Fingerprint, u32), usize>,
    count: usize,
}

impl Waiting {
    /// How many rows wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &RunEvent<'_>) {
        match event {
            RunEvent::RetryPlanned { request, attempt, .. } => {
                *self.rows.entry((request.fingerprint(), *attempt)).or_default() += 1;
                self.count += 1;
            }
            RunEvent::AttemptStarted { request, attempt } if self.count > 0 => {
                self.one_less(request.fingerprint(), attempt.saturating_sub(1));
            }
            RunEvent::RowEnded { outcome } if self.count > 0 && can_have_waited(outcome) => {
                let fingerprint = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
                self.one_less(fingerprint, outcome.attempts);
            }
            RunEvent::AttemptStarted { .. }
            | RunEvent::RowEnded { .. }
            | RunEvent::AttemptEnded { .. }
            | RunEvent::Paused { .. }
            | RunEvent::Resumed
            | RunEvent::RateChanged { .. }
            | RunEvent::TokenFetched
            | RunEvent::TokenFetchFailed { .. }
            | RunEvent::Stopping { .. } => {}
        }
    }

    fn one_less(&mut self, fingerprint: Fingerprint, attempt: u32) {
        let Some(rows) = self.rows.get_mut(&(fingerprint, attempt)) else { return };
        *rows -= 1;
        self.count -= 1;
        if *rows == 0 {
            self.rows.remove(&(fingerprint, attempt));
        }
    }
}

/// A duplicate says what another row says, and that one may wait.
fn can_have_waited(outcome: &Outcome) -> bool {
    match outcome.kind {
        OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Failed
        | OutcomeKind::NotAttempted => true,
        OutcomeKind::Invalid | OutcomeKind::Duplicate | OutcomeKind::Excluded => false,
    }
}
