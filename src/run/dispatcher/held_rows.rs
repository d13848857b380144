//! What becomes of the rows that the [`SameRefusals`](super::same_refusals::SameRefusals) hold.
//!
//! Invariant: a held row fails or is `not_attempted`, and is never forgotten: the run does not end before.

use tokio::time::Instant;

use super::Dispatcher;
use crate::run::{Job, Stop};

impl Dispatcher {
    /// Halts once enough rows got the same refusal and every request in flight has been heard. The held rows are then
    /// `not_attempted` like the rows behind them.
    pub(super) fn halt_if_every_row_is_refused(&mut self) {
        let Some(refusal) = self.refusals.of_every_row().filter(|_| self.in_flight == 0) else { return };
        self.stop(Stop::Halted(refusal.clone()));
    }

    /// A row that was held, and failed. If no other row can show whether every row gets its refusal, the held rows failed too:
    /// the run is at its end (`more_rows` can come otherwise), it stopped for another reason, or no row came for a while.
    pub(in crate::run) fn take_failed(&mut self, more_rows: bool, now: Instant) -> Option<Job> {
        let is_over = match &self.stop {
            Some(Stop::Halted(_)) => false,
            Some(
                Stop::Deadline
                | Stop::Interrupted
                | Stop::Outage(_)
                | Stop::ListsLost(_)
                | Stop::AuditLost(_),
            ) => self.in_flight == 0,
            None => {
                self.is_quiet() && (!more_rows || self.refusals.until().is_some_and(|until| until <= now))
            }
        };
        if is_over {
            self.failed.extend(self.refusals.release());
        }
        self.failed.pop_front()
    }

    /// When held rows fail if no other row comes.
    pub(in crate::run) fn held_until(&self) -> Option<Instant> {
        self.refusals.until().filter(|_| self.is_quiet())
    }

    /// Whether no row is in flight or can go next.
    pub(super) fn is_quiet(&self) -> bool {
        self.in_flight == 0 && self.rows.is_empty()
    }
}
