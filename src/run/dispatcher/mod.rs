//! Which row goes next, and what an answer means for its row. A state machine without clock and I/O.
//!
//! The pace decides whether a request may be sent at all. Its decision comes in as an [`Admission`] and as [`Pauses`].
//!
//! Invariant: a row is in exactly one place (in flight, in the [`JobQueue`], held with the [`SameRefusals`], or ended). A row that another worker may have is
//! never asked for.

mod held_rows;
mod same_refusals;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use self::same_refusals::SameRefusals;
use super::job_queue::{JobQueue, Turn};
use super::{Job, Lease, Stop};
use crate::dingtalk::may_concern_every_row;
use crate::outcome::{Judgement, OutcomeKind, ReplyDetails, Throttle, Verdict};
use crate::pace::{Admission, OutageStep, Pauses, ProbeFor};
use crate::retry::{Budget, Cause, GiveUp, RetryPolicy, Wait};
use crate::settings::RetrySettings;
use crate::wording;

/// The shortest wait before an access token is asked for again.
const MIN_TOKEN_WAIT: Duration = Duration::from_secs(1);

/// Every row of a run that has no outcome yet, with what the run decides about it.
#[derive(Debug)]
pub(super) struct Dispatcher {
    concurrency: usize,
    policy: RetryPolicy,
    budget: Budget,
    random: Rng,
    in_flight: usize,
    rows: JobQueue,
    refusals: SameRefusals,
    /// Rows that were held, and failed.
    failed: VecDeque<Job>,
    stop: Option<Stop>,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A request may be sent as soon as there is a permit: [`Dispatcher::take`] returns the row.
    Send,
    /// Another worker has this row. It ends in this process.
    Drop(Box<Job>),
    /// Nothing before this instant, or before something else happens.
    Wait(Option<Instant>),
}

/// What a judged attempt means for its row.
#[derive(Debug)]
pub(super) enum AfterAttempt {
    /// The row has its outcome.
    Ended(Job, OutcomeKind),
    /// The row is asked again after this long.
    Retry(Duration),
    /// The row is asked again, and this attempt costs it nothing.
    Repeat,
    /// The row is held until it is clear whether every row gets its refusal: [`Dispatcher::take_failed`] may return it.
    Held,
}

/// What becomes of a row after an attempt, and whether the attempt counts against `retry.max_attempts`.
#[derive(Debug)]
struct Decision {
    then: Then,
    counts: bool,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    End(OutcomeKind),
    /// Wait until it is clear whether every row gets this refusal.
    Hold,
    /// Ask again after a backoff.
    Retry(Duration),
    /// Ask again when a probe may leave.
    AwaitProbe(Duration),
    /// Ask again at once.
    Repeat,
}

impl Then {
    fn counted(self) -> Decision {
        Decision { then: self, counts: true }
    }

    fn for_free(self) -> Decision {
        Decision { then: self, counts: false }
    }
}

impl Dispatcher {
    pub(super) fn new(concurrency: usize, retry: &RetrySettings, seed: u64) -> Self {
        Self {
            concurrency,
            policy: RetryPolicy::new(retry),
            budget: Budget::new(retry.budget),
            random: Rng::with_seed(seed),
            in_flight: 0,
            rows: JobQueue::default(),
            refusals: SameRefusals::default(),
            failed: VecDeque::new(),
            stop: None,
        }
    }

    /// Whether a new row can be taken in.
    pub(super) fn wants_row(&self) -> bool {
        self.stop.is_none() && self.rows.has_room()
    }

    /// Takes a new row in.
    pub(super) fn offer(&mut self, job: Job) {
        self.rows.offer(job);
    }

    /// What to do at `now`, as far as the pace admits requests.
    pub(super) fn next(&mut self, admission: Admission, now: Instant) -> Next {
        let most_in_flight = match admission {
            Admission::Until(pause) => return Next::Wait(Some(pause.until)),
            Admission::Go => self.concurrency,
            Admission::Probe(_) => 1,
        };
        // Where enough rows got the same refusal, the answers of the requests in flight decide.
        let is_deciding = self.refusals.of_every_row().is_some();
        if self.stop.is_some() || is_deciding || self.in_flight >= most_in_flight {
            return Next::Wait(None);
        }
        let new_first = probes_with_a_new_row(admission);
        match self.rows.turn(now, new_first) {
            Turn::Ready => Next::Send,
            Turn::Wait(due) => Next::Wait(due),
            Turn::Lost => match self.rows.take(now, new_first) {
                Some(job) => Next::Drop(Box::new(job.taken_over())),
                None => Next::Wait(None),
            },
        }
    }

    /// The row that goes next. It counts as in flight until [`Dispatcher::attempt_ended`].
    pub(super) fn take(&mut self, admission: Admission, now: Instant) -> Option<Job> {
        let job = self.rows.take(now, probes_with_a_new_row(admission))?;
        self.in_flight += 1;
        Some(job)
    }

    /// An attempt has its judgement. The pace has taken it in already.
    pub(super) fn attempt_ended(
        &mut self,
        mut job: Job,
        judgement: &Judgement,
        pauses: &mut Pauses,
        now: Instant,
    ) -> AfterAttempt {
        self.in_flight -= 1;
        job.last = judgement.details.clone();
        job.token_refusals = match judgement.verdict {
            Verdict::TokenRefused => job.token_refusals + 1,
            Verdict::Closed
            | Verdict::AlreadyEnded
            | Verdict::Retry
            | Verdict::Unreachable
            | Verdict::Throttled(_)
            | Verdict::Banned
            | Verdict::Refused
            | Verdict::Halt => 0,
        };
        let Decision { then, counts } = self.decide(&mut job, judgement, pauses, now);
        // The one place where an attempt is counted.
        job.attempts += u32::from(counts);
        let after = self.place(job, then, now);
        self.halt_if_every_row_is_refused();
        after
    }

    fn place(&mut self, job: Job, then: Then, now: Instant) -> AfterAttempt {
        match then {
            Then::End(kind) => AfterAttempt::Ended(job, kind),
            Then::Hold => {
                self.failed.extend(self.refusals.hold(job, now));
                AfterAttempt::Held
            }
            // A run that has stopped sends no new request.
            Then::Retry(_) | Then::AwaitProbe(_) | Then::Repeat if self.stop.is_some() => {
                AfterAttempt::Ended(job, OutcomeKind::NotAttempted)
            }
            Then::Retry(wait) => {
                self.rows.wait(job, now + wait);
                AfterAttempt::Retry(wait)
            }
            Then::AwaitProbe(wait) => {
                self.rows.wait(job, now + wait);
                AfterAttempt::Repeat
            }
            Then::Repeat => {
                self.rows.repeat(job);
                AfterAttempt::Repeat
            }
        }
    }

    fn decide(
        &mut self,
        job: &mut Job,
        judgement: &Judgement,
        pauses: &mut Pauses,
        now: Instant,
    ) -> Decision {
        if may_concern_every_row(judgement) {
            return Then::Hold.counted();
        }
        if same_refusals::is_another_answer(judgement.verdict) {
            self.failed.extend(self.refusals.release());
        }
        match judgement.verdict {
            Verdict::Closed => self.ended(OutcomeKind::Closed),
            Verdict::AlreadyEnded => self.ended(OutcomeKind::AlreadyClosed),
            Verdict::Refused => Then::End(OutcomeKind::Failed).counted(),
            Verdict::Retry => self.failed(job, judgement, pauses, now),
            Verdict::Unreachable => self.unreachable(job, judgement, pauses, now),
            Verdict::Throttled(throttle) => self.throttled(job, throttle, judgement),
            Verdict::Banned => {
                if pauses.banned(judgement, now) {
                    Then::Repeat.for_free()
                } else {
                    self.halted(job)
                }
            }
            // An access token that is refused twice in a row did not just expire.
            Verdict::TokenRefused if job.token_refusals == 1 => Then::Repeat.for_free(),
            Verdict::TokenRefused | Verdict::Halt => self.halted(job),
        }
    }

    fn ended(&mut self, kind: OutcomeKind) -> Decision {
        self.budget.earn();
        Then::End(kind).counted()
    }

    /// The meeting's state is unknown, or DingTalk has trouble. In an outage the attempt costs the row nothing.
    fn failed(
        &mut self,
        job: &mut Job,
        judgement: &Judgement,
        pauses: &mut Pauses,
        now: Instant,
    ) -> Decision {
        let was_in_doubt = std::mem::replace(&mut job.in_doubt, true);
        // A run that has stopped sends no probe, so it learns nothing about an outage.
        if self.stop.is_some() {
            return Then::End(OutcomeKind::NotAttempted).counted();
        }
        match pauses.trouble(judgement, was_in_doubt, now) {
            Some(step) => self.in_outage(job, step),
            None => self.retry(job, Cause::Trouble, judgement),
        }
    }

    /// The request did not reach DingTalk. It costs the row nothing, and nothing of the run's retry budget.
    fn unreachable(
        &mut self,
        job: &Job,
        judgement: &Judgement,
        pauses: &mut Pauses,
        now: Instant,
    ) -> Decision {
        if self.stop.is_some() {
            return Then::End(OutcomeKind::NotAttempted).for_free();
        }
        match pauses.trouble(judgement, false, now) {
            Some(step) => self.in_outage(job, step),
            None => Then::Retry(self.policy.jitter(job.attempts, &mut self.random)).for_free(),
        }
    }

    fn in_outage(&mut self, job: &Job, step: OutageStep) -> Decision {
        match step {
            OutageStep::Wait(wait) => Then::AwaitProbe(wait).for_free(),
            OutageStep::TooLong => {
                self.stop(Stop::Outage(job.last.clone()));
                Then::End(OutcomeKind::NotAttempted).for_free()
            }
        }
    }

    fn throttled(&mut self, job: &mut Job, throttle: Throttle, judgement: &Judgement) -> Decision {
        if self.stop.is_some() {
            return Then::End(OutcomeKind::NotAttempted).counted();
        }
        self.retry(job, Cause::Throttled(throttle), judgement)
    }

    fn retry(&mut self, job: &mut Job, cause: Cause, judgement: &Judgement) -> Decision {
        let attempts = job.attempts + 1;
        let retry =
            self.policy.after(attempts, cause, judgement.retry_after, &mut self.budget, &mut self.random);
        let message = match retry {
            Ok(Wait(wait)) => return Then::Retry(wait).counted(),
            Err(GiveUp::AttemptsSpent) => {
                format!("given up after {}: {}", wording::count(attempts.into(), "attempt"), job.last.message)
            }
            Err(GiveUp::BudgetSpent) => {
                format!("not retried, because the run's retry budget is spent: {}", job.last.message)
            }
        };
        job.last.message = message;
        Then::End(OutcomeKind::Failed).counted()
    }

    /// Every row would get this answer. The row that got it is `not_attempted` like the rows behind it. A continued run asks for
    /// it again.
    fn halted(&mut self, job: &Job) -> Decision {
        self.stop(Stop::Halted(job.last.clone()));
        Then::End(OutcomeKind::NotAttempted).counted()
    }

    /// Sends no new request from now on.
    pub(super) fn stop(&mut self, stop: Stop) {
        self.stop = Some(match self.stop.take() {
            Some(earlier) => earlier.worse(stop),
            None => stop,
        });
    }

    pub(super) fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// The row with the reason for which the run does not ask for it. A row that has an answer keeps it.
    pub(super) fn with_stop_reason(&self, mut job: Job) -> Job {
        let why = match &self.stop {
            Some(Stop::Halted(details)) => format!("the run was halted: {}", details.message),
            Some(stop @ Stop::Outage(_)) => stop.to_string(),
            Some(Stop::Deadline | Stop::Interrupted | Stop::ListsLost(_) | Stop::AuditLost(_)) | None => {
                return job;
            }
        };
        if job.last == ReplyDetails::default() {
            job.last.message = why;
        }
        job
    }

    /// Whether every row has its outcome.
    pub(super) fn is_idle(&self) -> bool {
        self.is_quiet() && self.refusals.is_empty() && self.failed.is_empty()
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A row that is not in flight, for a run that has stopped.
    pub(super) fn take_leftover(&mut self) -> Option<Job> {
        self.refusals.pop().or_else(|| self.rows.take_any())
    }

    /// A lease in doubt. When it changes, its row may go.
    pub(super) fn lease_in_doubt(&self) -> Option<Arc<Lease>> {
        self.rows.in_doubt()
    }

    /// No access token could be fetched, `failures` times in a row. Returns how long to wait before the next try, or `None`
    /// where the run gives up.
    pub(super) fn no_access_token(
        &mut self,
        failures: u32,
        details: &ReplyDetails,
        pauses: &mut Pauses,
        now: Instant,
    ) -> Option<Duration> {
        match pauses.no_access_token(now) {
            Some(OutageStep::Wait(wait)) => Some(wait),
            Some(OutageStep::TooLong) => {
                self.stop(Stop::Outage(details.clone()));
                Some(MIN_TOKEN_WAIT)
            }
            None if failures < self.policy.max_attempts() => {
                Some(MIN_TOKEN_WAIT + self.policy.jitter(failures, &mut self.random))
            }
            None => None,
        }
    }
}

/// In an outage, a row without trouble so far probes.
fn probes_with_a_new_row(admission: Admission) -> bool {
    admission == Admission::Probe(ProbeFor::Outage)
}
