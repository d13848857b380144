//! What happens next: a state machine that knows every row on its way and touches nothing.
//!
//! Invariant: a row is in exactly one place (in flight, among those that are not, or ended), and none is asked for that
//! somebody else may have.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::rows::{Rows, Turn};
use super::{Hold, Job, Stop};
use crate::outcome::{Judgement, OutcomeKind, Said, Verdict};
use crate::retry::{Budget, Cause, GiveUp, RetryPolicy, Wait};
use crate::settings::{PaceSettings, RetrySettings};

/// How often in a row a ban may meet the one request that is let out after its pause. DingTalk lifts a ban after five
/// minutes, so a page that still comes then is something else, and every row would meet it.
const MAX_BANS: u32 = 3;

/// The shortest wait before an access token is asked for again.
const MIN_TOKEN_WAIT: Duration = Duration::from_secs(1);

/// Every row on its way.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pace: PaceSettings,
    policy: RetryPolicy,
    budget: Budget,
    chance: Rng,
    in_flight: usize,
    rows: Rows,
    pause: Option<Pause>,
    bans_in_a_row: u32,
    breaker: Breaker,
    patience: Option<Duration>,
    was_answered: bool,
    stop: Option<Stop>,
}

/// A time in which nothing leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    /// When it ends.
    pub(super) until: Instant,
    /// How long it was to last.
    pub(super) wait: Duration,
    /// Why.
    pub(super) reason: &'static str,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A request may leave as soon as there is a token: [`Dispatcher::take`] gives the row.
    Launch,
    /// This row is another worker's by now, and ends here.
    PartWith(Box<Job>),
    /// Nothing before this instant, or before something happens.
    Wait(Option<Instant>),
}

/// What an ended attempt means for its row.
#[derive(Debug)]
pub(super) enum AfterAttempt {
    /// The row has its outcome.
    Ended(Job, OutcomeKind),
    /// The row is asked again after this long.
    Retry(Duration),
    /// The row is asked again, and this attempt costs it nothing.
    Repeat,
}

impl Dispatcher {
    /// `patience` is how long an outage is waited out; none is for ever.
    pub(super) fn new(
        pace: &PaceSettings,
        retry: &RetrySettings,
        patience: Option<Duration>,
        seed: u64,
    ) -> Self {
        Self {
            pace: *pace,
            policy: RetryPolicy::new(retry),
            budget: Budget::new(retry.budget),
            chance: Rng::with_seed(seed),
            in_flight: 0,
            rows: Rows::default(),
            pause: None,
            bans_in_a_row: 0,
            breaker: Breaker::default(),
            patience,
            was_answered: false,
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

    /// What is to be done at `now`.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.stop.is_some() || self.in_flight >= self.permits() {
            return Next::Wait(None);
        }
        if let Some(pause) = self.paused(now) {
            return Next::Wait(Some(pause.until));
        }
        let new_first = self.probes_with_a_new_row();
        match self.rows.turn(now, new_first) {
            Turn::Ours => Next::Launch,
            Turn::Nobodys(due) => Next::Wait(due),
            Turn::TakenOver => match self.rows.take(now, new_first) {
                Some(job) => Next::PartWith(Box::new(job.taken_over())),
                None => Next::Wait(None),
            },
        }
    }

    /// A probe is a row's that was not in trouble yet: those that were may be the only ones that are.
    fn probes_with_a_new_row(&self) -> bool {
        self.breaker.is_open()
    }

    /// After a ban and in an outage, one request at a time until one is let through.
    fn permits(&self) -> usize {
        if self.bans_in_a_row > 0 || self.breaker.is_open() { 1 } else { self.pace.concurrency }
    }

    /// The row whose turn it is. It counts as in flight until [`Dispatcher::attempt_ended`].
    pub(super) fn take(&mut self, now: Instant) -> Option<Job> {
        let job = self.rows.take(now, self.probes_with_a_new_row())?;
        self.in_flight += 1;
        Some(job)
    }

    /// An attempt has its judgement. `job` counts it already.
    pub(super) fn attempt_ended(
        &mut self,
        mut job: Job,
        judgement: &Judgement,
        now: Instant,
    ) -> AfterAttempt {
        self.in_flight -= 1;
        job.last = judgement.answer.clone();
        let let_through = judgement.verdict != Verdict::Banned && judgement.answer.http_status.is_some();
        if let_through && self.paused(now).is_none() {
            self.bans_in_a_row = 0;
        }
        if !matches!(judgement.verdict, Verdict::Retry | Verdict::Unreachable | Verdict::Banned) {
            self.breaker.answered();
            self.was_answered = true;
        }
        if judgement.verdict != Verdict::TokenRefused {
            job.token_refusals = 0;
        }
        match judgement.verdict {
            Verdict::Closed => self.ended(job, OutcomeKind::Closed),
            Verdict::AlreadyEnded => self.ended(job, OutcomeKind::AlreadyClosed),
            Verdict::Refused => AfterAttempt::Ended(job, OutcomeKind::Failed),
            Verdict::Retry | Verdict::Unreachable => self.in_trouble(job, judgement, now),
            Verdict::Throttled(throttle) => self.again(job, Cause::Throttled(throttle), judgement, now),
            Verdict::Banned => self.banned(job, judgement, now),
            Verdict::TokenRefused => self.token_refused(job),
            Verdict::Halt => self.halted(job),
        }
    }

    fn ended(&mut self, job: Job, kind: OutcomeKind) -> AfterAttempt {
        self.budget.earn();
        AfterAttempt::Ended(job, kind)
    }

    /// In an outage the row waits for the next probe, and its attempt costs it nothing. A request that never left costs
    /// nothing either, and nothing of the run's budget.
    fn in_trouble(&mut self, mut job: Job, judgement: &Judgement, now: Instant) -> AfterAttempt {
        let reached = judgement.verdict != Verdict::Unreachable;
        let was_before = reached && std::mem::replace(&mut job.in_doubt, true);
        job.attempts -= u32::from(!reached);
        // A run that has stopped asks nobody any more, so it learns nothing about an outage either.
        if self.stop.is_some() {
            return AfterAttempt::Ended(job, OutcomeKind::NotAttempted);
        }
        let wait = match self.paused(now) {
            Some(pause) if self.breaker.is_open() => Some(pause.until - now),
            Some(_) | None => self.breaker.trouble(was_before, now),
        };
        let Some(wait) = wait else {
            if reached {
                return self.again(job, Cause::Trouble, judgement, now);
            }
            let wait = self.policy.jitter(job.attempts, &mut self.chance);
            self.rows.wait(job, now + wait);
            return AfterAttempt::Retry(wait);
        };
        let wait = judgement.retry_after.map_or(wait, |named| named.max(wait));
        self.outage_goes_on(wait, &job.last, now);
        job.attempts -= u32::from(reached);
        if self.stop.is_some() {
            return AfterAttempt::Ended(job, OutcomeKind::NotAttempted);
        }
        self.rows.wait(job, now + wait);
        AfterAttempt::Repeat
    }

    fn outage_goes_on(&mut self, wait: Duration, said: &Said, now: Instant) {
        if self.patience.is_some_and(|patience| self.breaker.lasting(now) >= patience) {
            self.stop(Stop::Outage(said.clone()));
        } else {
            self.hold(now, wait, "DingTalk has trouble with every row: one request at a time tries");
        }
    }

    fn again(&mut self, mut job: Job, cause: Cause, judgement: &Judgement, now: Instant) -> AfterAttempt {
        if self.stop.is_some() {
            return AfterAttempt::Ended(job, OutcomeKind::NotAttempted);
        }
        match self.policy.after(
            job.attempts,
            cause,
            judgement.retry_after,
            &mut self.budget,
            &mut self.chance,
        ) {
            Ok(Wait(wait)) => {
                self.rows.wait(job, now + wait);
                AfterAttempt::Retry(wait)
            }
            Err(reason) => {
                job.last.message = match reason {
                    GiveUp::AttemptsSpent => {
                        format!("given up after {} attempts: {}", job.attempts, job.last.message)
                    }
                    GiveUp::BudgetSpent => {
                        format!("not repeated, the run's retry budget is spent: {}", job.last.message)
                    }
                };
                AfterAttempt::Ended(job, OutcomeKind::Failed)
            }
        }
    }

    /// Bans that were in flight when the first one came belong to the same moment and count once.
    fn banned(&mut self, mut job: Job, judgement: &Judgement, now: Instant) -> AfterAttempt {
        if self.paused(now).is_none() || self.bans_in_a_row == 0 {
            if self.bans_in_a_row == MAX_BANS {
                return self.halted(job);
            }
            self.bans_in_a_row += 1;
            let wait = self.pace.pause_after_ban(judgement.retry_after);
            self.hold(now, wait, judgement.reason);
        }
        job.attempts -= 1;
        self.repeat(job)
    }

    /// A token refused twice in a row is no matter of its age.
    fn token_refused(&mut self, mut job: Job) -> AfterAttempt {
        job.token_refusals += 1;
        if job.token_refusals > 1 {
            return self.halted(job);
        }
        job.attempts -= 1;
        self.repeat(job)
    }

    fn repeat(&mut self, job: Job) -> AfterAttempt {
        if self.stop.is_some() {
            return AfterAttempt::Ended(job, OutcomeKind::NotAttempted);
        }
        self.rows.repeat(job);
        AfterAttempt::Repeat
    }

    /// The row that met the wall is `not_attempted` like those behind it: once the wall is gone, it is asked again.
    fn halted(&mut self, job: Job) -> AfterAttempt {
        self.stop(Stop::Halted(job.last.clone()));
        AfterAttempt::Ended(job, OutcomeKind::NotAttempted)
    }

    /// Lets nothing leave for this long.
    pub(super) fn hold(&mut self, now: Instant, wait: Duration, reason: &'static str) {
        let until = now + wait;
        if !wait.is_zero() && self.pause.is_none_or(|pause| pause.until < until) {
            self.pause = Some(Pause { until, wait, reason });
        }
    }

    /// The pause that lasts at `now`, if one does.
    pub(super) fn paused(&self, now: Instant) -> Option<Pause> {
        self.pause.filter(|pause| pause.until > now)
    }

    /// Starts nothing new from now on.
    pub(super) fn stop(&mut self, stop: Stop) {
        self.stop = Some(match self.stop.take() {
            Some(earlier) => earlier.worse(stop),
            None => stop,
        });
    }

    pub(super) fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// What a row hears that is not asked any more.
    pub(super) fn leave_out(&self, mut job: Job) -> Job {
        let why = match &self.stop {
            Some(Stop::Halted(said)) => format!("the run was halted: {}", said.message),
            Some(stop @ Stop::Outage(_)) => stop.to_string(),
            Some(Stop::Deadline | Stop::Interrupted | Stop::ListsLost(_) | Stop::AuditLost(_)) | None => {
                return job;
            }
        };
        if job.last == Said::default() {
            job.last.message = why;
        }
        job
    }

    /// Whether nothing is on its way any more.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.rows.is_empty()
    }

    /// Requests on the wire.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A row that is not in flight, for a run that has stopped.
    pub(super) fn take_leftover(&mut self) -> Option<Job> {
        self.rows.take_any()
    }

    /// The hold of a row that is not asked for before it is known whose it is: its news are worth a look.
    pub(super) fn unsure(&self) -> Option<Arc<Hold>> {
        self.rows.unsure()
    }

    /// No token could be had for the `attempts`th time in a row: how long until it is asked for again, or none where that
    /// is given up. Once DingTalk has answered in this run, a token that cannot be had is an outage like any other.
    pub(super) fn token_unavailable(&mut self, attempts: u32, said: &Said, now: Instant) -> Option<Duration> {
        if self.was_answered {
            let wait = self.breaker.no_answer(now);
            self.outage_goes_on(wait, said, now);
            return Some(wait);
        }
        let more = attempts < self.policy.max_attempts();
        more.then(|| MIN_TOKEN_WAIT + self.policy.jitter(attempts, &mut self.chance))
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
