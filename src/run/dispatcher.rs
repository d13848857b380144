//! What happens next: a state machine that knows every row on its way and touches nothing.
//!
//! Invariant: a row is in exactly one place (in flight, ready, waiting, or ended), and rows that were asked before go
//! before new ones.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::{Job, Stop};
use crate::outcome::{Judgement, OutcomeKind, Said, Verdict};
use crate::retry::{Budget, Cause, GiveUp, RetryPolicy, Wait};
use crate::settings::{PaceSettings, RetrySettings};

/// Rows that may wait to be asked again; when they are this many, no new row is taken in.
const MAX_WAITING: usize = 1024;

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
    fresh: Option<Job>,
    ready: VecDeque<Job>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    arrivals: u64,
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
            fresh: None,
            ready: VecDeque::new(),
            waiting: BinaryHeap::new(),
            arrivals: 0,
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
        self.stop.is_none() && self.fresh.is_none() && self.waiting.len() + self.ready.len() < MAX_WAITING
    }

    /// Takes a new row in.
    pub(super) fn offer(&mut self, job: Job) {
        debug_assert!(self.fresh.is_none(), "one new row at a time");
        self.fresh = Some(job);
    }

    /// What is to be done at `now`.
    pub(super) fn next(&self, now: Instant) -> Next {
        if self.stop.is_some() || self.in_flight >= self.permits() {
            return Next::Wait(None);
        }
        if let Some(pause) = self.paused(now) {
            return Next::Wait(Some(pause.until));
        }
        let due = self.waiting.peek().map(|Reverse(waiting)| waiting.not_before);
        if self.fresh.is_some() || !self.ready.is_empty() || due.is_some_and(|due| due <= now) {
            return Next::Launch;
        }
        Next::Wait(due)
    }

    /// After a ban and in an outage, one request at a time until one is let through.
    fn permits(&self) -> usize {
        if self.bans_in_a_row > 0 || self.breaker.is_open() { 1 } else { self.pace.concurrency }
    }

    /// The row whose turn it is. It counts as in flight until [`Dispatcher::attempt_ended`].
    pub(super) fn take(&mut self, now: Instant) -> Option<Job> {
        let due = self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.not_before <= now);
        // A probe is a row's that was not in trouble yet: those that were may be the only ones that are.
        let probe = if self.breaker.is_open() { self.fresh.take() } else { None };
        let job = probe
            .or_else(|| self.ready.pop_front())
            .or_else(|| if due { self.waiting.pop().map(|Reverse(waiting)| waiting.job) } else { None })
            .or_else(|| self.fresh.take())?;
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
            self.wait(job, now + wait);
            return AfterAttempt::Retry(wait);
        };
        let wait = judgement.retry_after.map_or(wait, |named| named.max(wait));
        self.outage_goes_on(wait, &job.last, now);
        job.attempts -= u32::from(reached);
        if self.stop.is_some() {
            return AfterAttempt::Ended(job, OutcomeKind::NotAttempted);
        }
        self.wait(job, now + wait);
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
                self.wait(job, now + wait);
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
        self.ready.push_back(job);
        AfterAttempt::Repeat
    }

    /// The row that met the wall is `not_attempted` like those behind it: once the wall is gone, it is asked again.
    fn halted(&mut self, job: Job) -> AfterAttempt {
        self.stop(Stop::Halted(job.last.clone()));
        AfterAttempt::Ended(job, OutcomeKind::NotAttempted)
    }

    fn wait(&mut self, job: Job, not_before: Instant) {
        self.arrivals += 1;
        self.waiting.push(Reverse(Waiting { not_before, arrival: self.arrivals, job }));
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
        self.in_flight == 0 && self.fresh.is_none() && self.ready.is_empty() && self.waiting.is_empty()
    }

    /// Requests on the wire.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A row that is not in flight, for a run that has stopped.
    pub(super) fn take_leftover(&mut self) -> Option<Job> {
        let job = self.ready.pop_front().or_else(|| self.waiting.pop().map(|Reverse(waiting)| waiting.job));
        job.or_else(|| self.fresh.take())
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

/// A row that waits, first by its time and then by its arrival.
#[derive(Debug)]
struct Waiting {
    not_before: Instant,
    arrival: u64,
    job: Job,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.not_before, self.arrival).cmp(&(other.not_before, other.arrival))
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
