//! The loop that does what the dispatcher decides: it waits, journals, sends and tells.
//!
//! One attempt goes in this order: the row's time has come and nobody else can have it, a permit is free, there is an access
//! token, the pacer grants a token, the `attempt` record is written, the request leaves, the answer is judged. The pacer's
//! token comes last, so that it is spent at once; an access token fetched after it would let everything that waited leave
//! together. Its token stands in `token`, its early end in `ending`.

mod ending;
#[cfg(test)]
mod scene;
mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::asked::Asked;
use super::dispatcher::{AfterAttempt, Dispatcher, Next, Pause};
use super::ledger::Ledger;
use super::{Arrival, Hold, Job, Prior, Signal, Stop};
use crate::clock::Clock;
use crate::dingtalk::{AccessToken, Api, Exchange, Grant, Supply, TokenError, TokenKeeper, judge};
use crate::events::{Observe, RunEvent};
use crate::intake::{Entry, IntakeError};
use crate::journal::{AttemptStarted, Journal, JournalError, OutcomeRecord, Record, Totals};
use crate::outcome::{Judgement, Outcome, OutcomeKind, Verdict};
use crate::pace::{Change, Heard, NotYet, Pacer};
use crate::settings::{PaceSettings, RetrySettings};

/// What a run is made of.
pub struct Parts<'a, A> {
    /// DingTalk.
    pub api: Arc<A>,
    /// When a request may leave.
    pub pacer: Pacer,
    /// How long what is throttled or banned waits, and how many requests are in flight at once.
    pub pace: PaceSettings,
    /// What is repeated.
    pub retry: RetrySettings,
    /// The time.
    pub clock: Clock,
    /// The seed of every jitter.
    pub seed: u64,
    /// Where everything is written.
    pub journal: &'a Journal,
    /// Who watches.
    pub observer: &'a mut dyn Observe,
    /// What somebody outside asks.
    pub signals: mpsc::Receiver<Signal>,
    /// When nothing new is started any more.
    pub deadline: Option<Instant>,
    /// How long an outage of DingTalk is waited out; none is for ever, or to the deadline.
    pub patience: Option<Duration>,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// Why it ended early, if it did.
    pub stop: Option<Stop>,
    /// Whether it was let go of at once: then rows are left without an outcome.
    pub aborted: bool,
    /// Rows that are `not_attempted` because another worker took them over: what becomes of them is its to say.
    pub taken_over: u64,
    /// What was counted.
    pub totals: Totals,
}

/// Runs until every row has its outcome or the run is stopped.
pub async fn run<A: Api>(parts: Parts<'_, A>, rows: mpsc::Receiver<Result<Arrival, IntakeError>>) -> RunEnd {
    let mut runner = Runner::new(parts, rows);
    let finished = runner.drive().await;
    let finished = finished.and_then(|()| runner.leave_out_the_rest());
    let finished = match finished {
        Ok(()) => runner.drain_rows().await,
        Err(halt) => Err(halt),
    };
    let stop = runner.dispatcher.stopped().cloned();
    let totals = runner.ledger.close(&runner.parts.pacer, runner.parts.clock.now());
    let (stop, aborted) = match finished {
        Ok(()) => (stop, false),
        Err(Break::Abort) => (stop, true),
        Err(Break::AuditLost(error)) => (Some(Stop::AuditLost(error)), false),
    };
    RunEnd { stop, aborted, taken_over: runner.taken_over, totals }
}

/// Why the loop ends with rows still on their way.
enum Break {
    Abort,
    AuditLost(JournalError),
}

impl From<JournalError> for Break {
    fn from(error: JournalError) -> Self {
        Self::AuditLost(error)
    }
}

/// What a task of ours brings back.
enum Done {
    Attempt(Exchange),
    Token(Result<Grant, TokenError>),
}

/// A request on the wire.
struct Flight {
    job: Job,
    token: AccessToken,
    left_at: Instant,
}

struct Runner<'a, A> {
    parts: Parts<'a, A>,
    rows: mpsc::Receiver<Result<Arrival, IntakeError>>,
    rows_open: bool,
    dispatcher: Dispatcher,
    keeper: TokenKeeper,
    token_failures: u32,
    tasks: JoinSet<Done>,
    flights: HashMap<Id, Flight>,
    grace_until: Option<Instant>,
    told_pause: Option<Pause>,
    ledger: Ledger,
    asked: Asked,
    taken_over: u64,
}

/// Resolves when there is news of the hold; never without one.
async fn news(hold: Option<Arc<Hold>>) {
    match hold {
        Some(hold) => hold.news().await,
        None => std::future::pending().await,
    }
}

impl<'a, A: Api> Runner<'a, A> {
    fn new(parts: Parts<'a, A>, rows: mpsc::Receiver<Result<Arrival, IntakeError>>) -> Self {
        Self {
            dispatcher: Dispatcher::new(&parts.pace, &parts.retry, parts.patience, parts.seed),
            keeper: TokenKeeper::default(),
            token_failures: 0,
            tasks: JoinSet::new(),
            flights: HashMap::with_capacity(parts.pace.concurrency),
            grace_until: None,
            told_pause: None,
            ledger: Ledger::new(parts.clock.now(), parts.pace.requests_per_second),
            asked: Asked::default(),
            taken_over: 0,
            rows_open: true,
            rows,
            parts,
        }
    }

    /// The loop: it ends when nothing is on its way any more, or nothing new may start and nothing is in flight.
    async fn drive(&mut self) -> Result<(), Break> {
        loop {
            let now = self.parts.clock.now();
            if self.parts.deadline.is_some_and(|deadline| deadline <= now) {
                self.parts.deadline = None;
                self.stop(Stop::Deadline);
            }
            if self.grace_until.is_some_and(|until| until <= now) {
                self.let_go_of_flights(now)?;
            }
            if self.is_at_its_end() {
                return Ok(());
            }
            self.pause_or_resume(now);
            let (look_again, untold) = match self.launch()? {
                None => (None, false),
                Some(NotYet::Until(at)) => (Some(at), false),
                Some(NotYet::Untold) => (None, true),
            };
            // What was parted with may have been the last row.
            if self.is_at_its_end() {
                return Ok(());
            }
            let unsure = self.dispatcher.unsure();
            let wake = [look_again, self.parts.deadline, self.grace_until].into_iter().flatten().min();
            let clock = self.parts.clock.clone();
            tokio::select! {
                biased;
                Some(signal) = self.parts.signals.recv() => self.heed(signal)?,
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    match done {
                        Ok((id, done)) => self.done(id, done)?,
                        // Without its answer the run would wait for ever; the journal holds what is known.
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        // Cancelled: its flight was taken off the list before.
                        Err(_) => {}
                    }
                }
                row = self.rows.recv(), if self.rows_open && self.dispatcher.wants_row() => self.row(row)?,
                () = self.parts.pacer.changed(), if untold => {}
                () = news(unsure) => {}
                () = clock.wait_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
    }

    fn is_at_its_end(&self) -> bool {
        let stopped = self.dispatcher.stopped().is_some() && self.dispatcher.in_flight() == 0;
        stopped || (!self.rows_open && self.dispatcher.is_idle())
    }

    /// Tells of a pause's beginning and of its end.
    fn pause_or_resume(&mut self, now: Instant) {
        let pause = self.dispatcher.paused(now);
        let told = std::mem::replace(&mut self.told_pause, pause);
        match pause {
            Some(Pause { wait, reason, .. }) => {
                self.ledger.paused(now);
                if pause != told {
                    self.tell(&RunEvent::Paused { reason, wait });
                }
            }
            None if self.ledger.resumed(now) => self.tell(&RunEvent::Resumed),
            None => {}
        }
    }

    /// Lets leave what may leave, and says when to look again.
    fn launch(&mut self) -> Result<Option<NotYet>, Break> {
        loop {
            let now = self.parts.clock.now();
            match self.dispatcher.next(now) {
                Next::Wait(until) => return Ok(until.map(NotYet::Until)),
                Next::PartWith(job) => {
                    self.taken_over += 1;
                    self.end(*job, OutcomeKind::NotAttempted)?;
                    continue;
                }
                Next::Launch => {}
            }
            let token = match self.keeper.supply(now) {
                Supply::Ready(token) => token,
                Supply::Due(token) => {
                    self.fetch_token();
                    token
                }
                Supply::Fetch => {
                    self.fetch_token();
                    return Ok(None);
                }
                Supply::Fetching => return Ok(None),
                Supply::FetchAt(at) => return Ok(Some(NotYet::Until(at))),
            };
            if let Err(not_yet) = self.parts.pacer.try_take(now) {
                return Ok(Some(not_yet));
            }
            if let Some(job) = self.dispatcher.take(now) {
                self.send(job, token, now)?;
            }
        }
    }

    fn send(&mut self, mut job: Job, token: AccessToken, now: Instant) -> Result<(), Break> {
        job.attempts += 1;
        let at = self.parts.clock.timestamp();
        let record = AttemptStarted {
            source: Arc::clone(&job.origin.source),
            line: job.origin.line,
            conference_id: job.request.conference_id.to_string(),
            union_id: job.request.union_id.to_string(),
            attempt: job.attempts,
        };
        self.parts.journal.append(&Record::Attempt(record), at)?;
        job.first_attempt_at.get_or_insert(at);
        self.ledger.call(now);
        self.asked.leaves(job.request.meeting());
        self.tell(&RunEvent::AttemptStarted { request: &job.request, attempt: job.attempts });
        let (api, request, carried) = (Arc::clone(&self.parts.api), job.request.clone(), token.clone());
        let task = self.tasks.spawn(async move { Done::Attempt(api.close(&request, &carried).await) });
        self.flights.insert(task.id(), Flight { job, token, left_at: now });
        Ok(())
    }

    fn done(&mut self, id: Id, done: Done) -> Result<(), Break> {
        match done {
            Done::Token(result) => {
                self.token_came(result);
                Ok(())
            }
            Done::Attempt(exchange) => match self.flights.remove(&id) {
                Some(flight) => self.attempt_ended(flight, &exchange),
                None => Ok(()),
            },
        }
    }

    fn attempt_ended(&mut self, flight: Flight, exchange: &Exchange) -> Result<(), Break> {
        let now = self.parts.clock.now();
        let Flight { job, token, left_at } = flight;
        let judgement = judge(exchange);
        match judgement.verdict {
            Verdict::TokenRefused => self.keeper.refused(&token),
            Verdict::Throttled(_) | Verdict::Banned => self.ledger.refused(now),
            Verdict::Closed
            | Verdict::AlreadyEnded
            | Verdict::Retry
            | Verdict::Unreachable
            | Verdict::Refused
            | Verdict::Halt => {}
        }
        let (request, attempt) = (job.request.clone(), job.attempts);
        let elapsed = now - left_at;
        self.tell(&RunEvent::AttemptEnded { request: &request, attempt, judgement: &judgement, elapsed });
        let running = self.dispatcher.stopped().is_none();
        self.adjust_pace(&judgement, left_at, now);
        let after = self.dispatcher.attempt_ended(job, &judgement, now);
        self.heed_dispatchers_stop(running);
        match after {
            AfterAttempt::Ended(job, kind) => self.end(job, kind),
            AfterAttempt::Repeat => Ok(()),
            AfterAttempt::Retry(wait) => {
                self.tell(&RunEvent::RetryPlanned {
                    request: &request,
                    attempt,
                    judgement: &judgement,
                    wait,
                });
                Ok(())
            }
        }
    }

    fn adjust_pace(&mut self, judgement: &Judgement, left_at: Instant, now: Instant) {
        let heard = match judgement.verdict {
            Verdict::Throttled(throttle) => Heard::Refused { throttle, retry_after: judgement.retry_after },
            Verdict::Banned => Heard::Banned(self.parts.pace.pause_after_ban(judgement.retry_after)),
            Verdict::Retry | Verdict::Unreachable | Verdict::TokenRefused => Heard::Nothing,
            Verdict::Closed | Verdict::AlreadyEnded | Verdict::Refused | Verdict::Halt => Heard::LetIn,
        };
        let Change { per_second, hold } = self.parts.pacer.heard(heard, left_at, now);
        self.dispatcher.hold(now, hold, judgement.reason);
        if let Some(per_second) = per_second {
            self.ledger.rate(per_second, now);
            let reason =
                if heard == Heard::LetIn { "nothing was refused for a while" } else { judgement.reason };
            self.tell(&RunEvent::RateChanged { per_second, reason });
        }
    }

    fn row(&mut self, row: Option<Result<Arrival, IntakeError>>) -> Result<(), Break> {
        match row {
            None => self.rows_open = false,
            Some(Err(error)) => {
                self.rows_open = false;
                self.stop(Stop::ListsLost(error.to_string()));
            }
            Some(Ok(Arrival { entry: Entry::ToClose { origin, request }, prior })) => {
                self.dispatcher.offer(Job::new(origin, request).after(prior));
            }
            Some(Ok(Arrival { entry: Entry::Unasked { origin, cells, kind, reason }, prior })) => {
                let at = self.parts.clock.timestamp();
                let Prior { attempts, first_attempt_at, .. } = prior;
                let unasked = Outcome::unasked(origin, cells, kind, reason, at);
                self.record(&Outcome { attempts, first_attempt_at, ..unasked })?;
            }
        }
        Ok(())
    }

    fn end(&mut self, mut job: Job, kind: OutcomeKind) -> Result<(), Break> {
        job.in_doubt |=
            kind == OutcomeKind::AlreadyClosed && self.asked.was_asked_again(job.request.meeting());
        let outcome = job.outcome(kind, self.parts.clock.timestamp());
        self.record(&outcome)
    }

    fn record(&mut self, outcome: &Outcome) -> Result<(), Break> {
        let record = Record::Outcome(Box::new(OutcomeRecord::from(outcome)));
        self.parts.journal.append(&record, outcome.finished_at)?;
        self.ledger.outcome(outcome.kind);
        self.tell(&RunEvent::RowEnded { outcome });
        Ok(())
    }

    fn tell(&mut self, event: &RunEvent<'_>) {
        self.parts.observer.observe(event);
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
