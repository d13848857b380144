//! One row on its way to an outcome.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::lease::LeaseState;
use super::{Lease, PriorAttempts};
use crate::meeting::{CloseRequest, Origin};
use crate::outcome::{EndedBy, Outcome, OutcomeKind, ReplyDetails};

/// A row that is to be closed, with what it has been through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Where the row stood.
    pub origin: Origin,
    /// What it asks for.
    pub request: CloseRequest,
    /// Attempts so far that counted.
    pub attempts: u32,
    /// When the first request left.
    pub first_attempt_at: Option<Timestamp>,
    /// How often in a row DingTalk refused the token of this row's request.
    pub token_refusals: u32,
    /// Whether a request of this row was lost or met trouble, so that it may have ended the meeting without saying so.
    pub in_doubt: bool,
    /// The last answer.
    pub last: ReplyDetails,
    /// For how long nobody else can have asked for it, where somebody else could at all.
    pub lease: Option<Arc<Lease>>,
}

impl Job {
    /// A row that nothing was asked of yet.
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

    /// The same row after what it has been through in earlier processes.
    #[must_use]
    pub(crate) fn after(self, prior: PriorAttempts) -> Self {
        let PriorAttempts { attempts, first_attempt_at, in_doubt, lease } = prior;
        Self { attempts, first_attempt_at, in_doubt, lease, ..self }
    }

    /// The number of the next attempt, from 1. It comes again where an attempt cost the row nothing.
    pub(super) fn next_attempt(&self) -> u32 {
        self.attempts + 1
    }

    /// Whether it may be asked for at `now`.
    pub(super) fn lease_state(&self, now: Instant) -> LeaseState {
        self.lease.as_ref().map_or(LeaseState::Held, |lease| lease.state(now))
    }

    /// What the row hears that another worker asks for.
    #[must_use]
    pub(super) fn taken_over(mut self) -> Self {
        let why = "another worker took it over";
        self.last.message = match self.last.message.as_str() {
            "" => why.to_owned(),
            answer => format!("not repeated, {why}: {answer}"),
        };
        self
    }

    /// The row's end.
    pub(crate) fn outcome(self, kind: OutcomeKind, at: Timestamp) -> Outcome {
        let ended_by = match kind {
            OutcomeKind::Closed => Some(EndedBy::ThisRun),
            OutcomeKind::AlreadyClosed => Some(self.found_ended_by()),
            OutcomeKind::Failed
            | OutcomeKind::Invalid
            | OutcomeKind::Duplicate
            | OutcomeKind::Excluded
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

    /// Who ended a meeting that was found ended. `Earlier` is claimed only where the first request that DingTalk let in
    /// found it so: any one before may have ended it, whatever its answer was.
    fn found_ended_by(&self) -> EndedBy {
        let is_ours = self.lease.as_ref().is_none_or(|lease| lease.is_unbroken());
        if self.attempts <= 1 && !self.in_doubt && is_ours { EndedBy::Earlier } else { EndedBy::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::meeting::{ConferenceId, UnionId};

    fn job() -> Job {
        let request = CloseRequest {
            conference_id: ConferenceId::parse("c").unwrap(),
            union_id: UnionId::parse("u").unwrap(),
        };
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
    fn a_request_that_was_lost_may_have_ended_the_meeting_though_it_cost_no_attempt() {
        let job = Job { in_doubt: true, attempts: 1, ..job() };
        let outcome = job.outcome(OutcomeKind::AlreadyClosed, Timestamp::UNIX_EPOCH);
        assert_eq!(outcome.ended_by, Some(EndedBy::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_meeting_that_another_worker_may_have_asked_for_is_not_said_to_have_ended_earlier() {
        let (clock, second) = (Clock::tokio(), Duration::from_secs(1));
        let lease = Some(Arc::new(Lease::new(clock.clone(), clock.now() + second)));
        let job = job().after(PriorAttempts { attempts: 1, lease, ..PriorAttempts::default() });
        let ended_by = |job: Job| job.outcome(OutcomeKind::AlreadyClosed, Timestamp::UNIX_EPOCH).ended_by;
        assert_eq!(ended_by(job.clone()), Some(EndedBy::Earlier));
        clock.wait_until(clock.now() + second).await;
        assert_eq!(ended_by(job), Some(EndedBy::Unknown));
    }

    #[test]
    fn only_a_meeting_that_ended_was_ended_by_somebody() {
        for kind in OutcomeKind::ALL {
            let ended = matches!(kind, OutcomeKind::Closed | OutcomeKind::AlreadyClosed);
            assert_eq!(outcome(3, kind).ended_by.is_some(), ended, "{kind}");
        }
    }
}
