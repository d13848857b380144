//! One row to close, until it has an outcome.
//!
//! Invariant: a row says that its meeting ended earlier only where no request of ours can have ended it.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::lease::LeaseState;
use super::{Lease, PriorAttempts};
use crate::meeting::{CloseRequest, Origin};
use crate::outcome::{EndedBy, Outcome, OutcomeKind, ReplyDetails};

/// A row to close, with its attempts so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Where the row stood.
    pub origin: Origin,
    /// What it asks for.
    pub request: CloseRequest,
    /// The attempts so far that count against `retry.max_attempts`.
    pub attempts: u32,
    /// When the first request was sent.
    pub first_attempt_at: Option<Timestamp>,
    /// How many times in a row DingTalk refused the access token of this row's request.
    pub token_refusals: u32,
    /// Whether an earlier request may have ended the meeting, although no answer said so.
    pub in_doubt: bool,
    /// The last answer.
    pub last: ReplyDetails,
    /// The lease on the row, where other workers could take it over.
    pub lease: Option<Arc<Lease>>,
}

impl Job {
    /// A row without any attempt.
    pub(crate) fn new(origin: Origin, request: CloseRequest) -> Self {
        Self {
            origin,
            request,
            attempts: 0,
            first_attempt_at: None,
            token_refusals: 0,
            in_doubt: false,
            last: ReplyDetails::default(),
            lease: None,
        }
    }

    /// The same row after its attempts of earlier processes.
    #[must_use]
    pub(crate) fn after(self, prior: PriorAttempts) -> Self {
        let PriorAttempts { attempts, first_attempt_at, in_doubt, lease, last_status: _ } = prior;
        Self { attempts, first_attempt_at, in_doubt, lease, ..self }
    }

    /// The number of the next attempt, from 1. After an attempt that did not count, the next one has the same number.
    pub(super) fn next_attempt(&self) -> u32 {
        self.attempts + 1
    }

    /// Whether the row may be asked for at `now`.
    pub(super) fn lease_state(&self, now: Instant) -> LeaseState {
        self.lease.as_ref().map_or(LeaseState::Held, |lease| lease.state(now))
    }

    /// The row after another worker took it over.
    #[must_use]
    pub(super) fn taken_over(mut self) -> Self {
        let why = "another worker took it over";
        self.last.message = match self.last.message.as_str() {
            "" => why.to_owned(),
            answer => format!("not retried, because {why}: {answer}"),
        };
        self
    }

    /// The row's outcome.
    pub(crate) fn outcome(self, kind: OutcomeKind, at: Timestamp) -> Outcome {
        let ended_by = match kind {
            OutcomeKind::Closed => Some(EndedBy::ThisRun),
            OutcomeKind::AlreadyClosed => Some(self.found_ended_by()),
            OutcomeKind::Failed
            | OutcomeKind::Invalid
            | OutcomeKind::Duplicate
            | OutcomeKind::Excluded
            | OutcomeKind::Withdrawn
            | OutcomeKind::NotAttempted => None,
        };
        Outcome {
            origin: self.origin,
            conference_id: self.request.conference_id.to_string(),
            union_id: self.request.union_id.to_string(),
            kind,
            ended_by,
            details: self.last,
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_at,
            finished_at: at,
        }
    }

    /// Who ended a meeting that had ended when we asked. It is `Earlier` only where DingTalk said so to our first request: any
    /// earlier request may have ended the meeting, whatever its answer was.
    fn found_ended_by(&self) -> EndedBy {
        let is_unbroken = self.lease.as_ref().is_none_or(|lease| lease.is_unbroken());
        if self.attempts <= 1 && !self.in_doubt && is_unbroken { EndedBy::Earlier } else { EndedBy::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::fixtures::close_request;

    fn job() -> Job {
        let request = close_request("c", "u");
        let origin = Origin { source: "a.csv".into(), line: 2 };
        Job::new(origin, request)
    }

    fn outcome(attempts: u32, kind: OutcomeKind) -> Outcome {
        Job { attempts, ..job() }.outcome(kind, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_meeting_found_ended_by_the_first_request_had_ended_earlier() {
        assert_eq!(outcome(1, OutcomeKind::AlreadyClosed).ended_by, Some(EndedBy::Earlier));
    }

    #[test]
    fn a_meeting_found_ended_after_an_earlier_request_may_have_been_ended_by_it() {
        assert_eq!(outcome(2, OutcomeKind::AlreadyClosed).ended_by, Some(EndedBy::Unknown));
    }

    #[test]
    fn a_request_without_an_answer_may_have_ended_the_meeting_even_where_it_did_not_count() {
        let job = Job { in_doubt: true, attempts: 1, ..job() };
        let outcome = job.outcome(OutcomeKind::AlreadyClosed, Timestamp::UNIX_EPOCH);
        assert_eq!(outcome.ended_by, Some(EndedBy::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_meeting_that_another_worker_may_have_closed_has_an_unknown_end() {
        let (clock, second) = (Clock::tokio(), Duration::from_secs(1));
        let lease = Some(Arc::new(Lease::new(clock.clone(), clock.now() + second)));
        let job = job().after(PriorAttempts { attempts: 1, lease, ..PriorAttempts::default() });
        let ended_by = |job: Job| job.outcome(OutcomeKind::AlreadyClosed, Timestamp::UNIX_EPOCH).ended_by;
        assert_eq!(ended_by(job.clone()), Some(EndedBy::Earlier));
        clock.wait_until(clock.now() + second).await;
        assert_eq!(ended_by(job), Some(EndedBy::Unknown));
    }

    #[test]
    fn ended_by_is_set_only_for_a_meeting_that_ended() {
        for kind in OutcomeKind::ALL {
            let ended = matches!(kind, OutcomeKind::Closed | OutcomeKind::AlreadyClosed);
            assert_eq!(outcome(3, kind).ended_by.is_some(), ended, "{kind}");
        }
    }
}
