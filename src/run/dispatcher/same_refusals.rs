//! Rows whose refusal may concern every row, such as a bare 403. They are held until it is clear whether it does.
//!
//! A held row has no outcome yet. One other final answer shows that the refusal concerned the held rows alone: they failed.
//! [`ROWS`] rows with the same refusal, and no other answer from any request in flight, show that every row would get it. An
//! answer that says nothing about that (trouble, throttling, a ban, no answer) changes nothing.
//!
//! Invariant: a row leaves in exactly one way. No more rows are held than [`ROWS`] and those that were in flight then.

use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::{ReplyDetails, Verdict};
use crate::run::Job;

/// So many rows with the same refusal are enough to halt the run.
pub(super) const ROWS: usize = 5;

/// How long rows are held while no other row is there to ask for, such as with an empty queue.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// The rows with the same refusal.
#[derive(Debug, Default)]
pub(super) struct SameRefusals {
    held: Vec<Job>,
    last_at: Option<Instant>,
}

/// Whether an answer shows that a request gets past the refusal that the held rows got.
pub(super) fn is_another_answer(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Closed | Verdict::AlreadyEnded | Verdict::Refused => true,
        Verdict::Retry
        | Verdict::Unreachable
        | Verdict::Throttled(_)
        | Verdict::Banned
        | Verdict::TokenRefused
        | Verdict::Halt => false,
    }
}

impl SameRefusals {
    /// Holds a row whose last answer is a refusal that may concern every row. Returns the rows that were held for another one:
    /// they failed.
    #[must_use]
    pub(super) fn hold(&mut self, job: Job, now: Instant) -> Vec<Job> {
        let is_another = self.held.first().is_some_and(|first| !is_same(&first.last, &job.last));
        let failed = if is_another { self.release() } else { vec![] };
        self.held.push(job);
        self.last_at = Some(now);
        failed
    }

    /// All held rows, which are no longer held.
    #[must_use]
    pub(super) fn release(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.held)
    }

    /// One held row, which is no longer held.
    pub(super) fn pop(&mut self) -> Option<Job> {
        self.held.pop()
    }

    /// The refusal, where enough rows got it.
    pub(super) fn of_every_row(&self) -> Option<&ReplyDetails> {
        self.held.first().filter(|_| self.held.len() >= ROWS).map(|first| &first.last)
    }

    /// Whether no row is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Until when the rows are held if no other row comes.
    pub(super) fn until(&self) -> Option<Instant> {
        self.last_at.filter(|_| !self.held.is_empty()).map(|at| at + LONGEST_HOLD)
    }
}

fn is_same(one: &ReplyDetails, other: &ReplyDetails) -> bool {
    (one.http_status, &one.code) == (other.http_status, &other.code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{close_request, origin};

    fn refused(http_status: u16, code: &str) -> Job {
        let last =
            ReplyDetails { code: code.into(), http_status: Some(http_status), ..ReplyDetails::default() };
        Job { last, ..Job::new(origin(2), close_request("c", "u")) }
    }

    #[test]
    fn five_rows_with_the_same_refusal_are_enough_and_four_are_not() {
        let (mut refusals, now) = (SameRefusals::default(), Instant::now());
        for _ in 0..ROWS {
            assert_eq!(refusals.of_every_row(), None);
            assert!(refusals.hold(refused(403, "http_403"), now).is_empty());
        }
        assert_eq!(refusals.of_every_row().unwrap().code, "http_403");
        assert_eq!((refusals.release().len(), refusals.is_empty()), (ROWS, true));
    }

    #[test]
    fn a_refusal_with_another_status_or_code_begins_anew() {
        let (mut refusals, now) = (SameRefusals::default(), Instant::now());
        for _ in 0..ROWS {
            for (status, code) in [(403, "x"), (404, "x"), (404, "y")] {
                let failed = refusals.hold(refused(status, code), now);
                assert!(failed.len() <= 1 && refusals.of_every_row().is_none());
            }
        }
    }

    #[test]
    fn rows_are_held_for_a_while_after_the_last_of_them() {
        let (mut refusals, now) = (SameRefusals::default(), Instant::now());
        assert_eq!(refusals.until(), None);
        for at in [now, now + Duration::from_secs(7)] {
            assert!(refusals.hold(refused(403, "x"), at).is_empty());
            assert_eq!(refusals.until(), Some(at + LONGEST_HOLD));
        }
        assert_eq!((refusals.release().len(), refusals.until()), (2, None));
    }
}
