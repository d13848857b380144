//! Counts the rows that wait for a retry, from a run's events.
//!
//! Invariant: a row counts from the event that plans its retry to the start of that attempt. If the row ends first, it counts to
//! its end.

use std::collections::HashMap;

use crate::events::RunEvent;
use crate::meeting::Fingerprint;
use crate::outcome::{Outcome, OutcomeKind};

/// The rows that wait, by their ids and by the attempt that failed. Two rows of a queue can have the same ids.
#[derive(Debug, Default)]
pub(super) struct WaitingRetries {
    rows: HashMap<(Fingerprint, u32), usize>,
    count: usize,
}

impl WaitingRetries {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn observe(&mut self, event: &RunEvent<'_>) {
        match event {
            RunEvent::RetryPlanned { request, attempt, .. } => {
                *self.rows.entry((request.fingerprint(), *attempt)).or_default() += 1;
                self.count += 1;
            }
            RunEvent::AttemptStarted { request, attempt } if self.count > 0 => {
                self.remove_one(request.fingerprint(), attempt.saturating_sub(1));
            }
            RunEvent::RowEnded { outcome } if self.count > 0 && can_have_waited(outcome) => {
                let fingerprint = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
                self.remove_one(fingerprint, outcome.attempts);
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

    fn remove_one(&mut self, fingerprint: Fingerprint, attempt: u32) {
        let Some(rows) = self.rows.get_mut(&(fingerprint, attempt)) else { return };
        *rows -= 1;
        self.count -= 1;
        if *rows == 0 {
            self.rows.remove(&(fingerprint, attempt));
        }
    }
}

/// A duplicate has the ids of another row, which may be waiting. So the end of a duplicate changes nothing.
fn can_have_waited(outcome: &Outcome) -> bool {
    match outcome.kind {
        OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Failed
        | OutcomeKind::NotAttempted => true,
        OutcomeKind::Invalid | OutcomeKind::Duplicate | OutcomeKind::Excluded | OutcomeKind::Withdrawn => {
            false
        }
    }
}
