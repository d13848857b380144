//! The loop that does what pace and dispatcher decide: it waits, writes the journal, sends, and reports.
//!
//! One attempt goes in this order: the row's time has come and its lease holds, fewer requests than `pace.concurrency` are in
//! flight, there is an access token, the quota grants a permit, the `attempt` record is written, the request leaves, the
//! answer is judged. The permit comes last, so that it is used at once. An access token that is fetched after the permit would
//! let everything that waited for it leave together. `access_token` fetches the token; `ending` ends a run early.

mod access_token;
mod ending;
#[cfg(test)]
mod test_run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::asked_meetings::AskedMeetings;
use super::counters::Counters;
use super::dispatcher::{AfterAttempt, Dispatcher, Next};
use super::{IncomingRow, Job, Lease, PriorAttempts, RunEnd, Signal, Stop};
use crate::clock::Clock;
use crate::dingtalk::{AccessToken, Api, Exchange, TokenError, TokenGrant, TokenKeeper, TokenSupply, judge};
use crate::events::{Observe, RunEvent};
use crate::journal::{AttemptStarted, Journal, JournalError, OutcomeRecord, Record};
use crate::lists::{ListError, TriagedRow};
use crate::outcome::{Outcome, OutcomeKind, Verdict};
use crate::pace::{NotYet, Pacer, Pause, RateReport};
use crate::settings::{PaceSettings, RetrySettings};

/// What a run is made of.
pub struct RunParts<'a, A> {
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
}

/// Runs until every row has its outcome or the run is stopped.
pub async fn run<A: Api>(
    parts: RunParts<'_, A>,
    rows: mpsc::Receiver<Result<IncomingRow, ListError>>,
) -> RunEnd {
    let mut runner = Runner::new(parts, rows);
    let finished = runner.drive().await;
    let finished = finished.and_then(|()| runner.leave_out_the_rest());
    let finished = match finished {
        Ok(()) => runner.drain_rows().await,
        Err(halt) => Err(halt),
    };
    let stop = runner.dispatcher.stopped().cloned();
    let totals = runner.counters.close(&runner.parts.pacer, runner.parts.clock.now());
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

/// How a task ended.
enum TaskEnd {
    Attempt(Exchange),
    Token(Result<TokenGrant, TokenError>),
}

/// A request in flight.
struct InFlight {
    job: Job,
    token: AccessToken,
    sent_at: Instant,
}

struct Runner<'a, A> {
    parts: RunParts<'a, A>,
    rows: mpsc::Receiver<Result<IncomingRow, ListError>>,
    rows_open: bool,
    dispatcher: Dispatcher,
    token_keeper: TokenKeeper,
    token_failures: u32,
    tasks: JoinSet<TaskEnd>,
    in_flight: HashMap<Id, InFlight>,
    grace_until: Option<Instant>,
    reported_pause: Option<Pause>,
    counters: Counters,
    asked: AskedMeetings,
    taken_over: u64,
}

/// Resolves when the lease was renewed or lost; never without a lease.
async fn lease_changed(lease: Option<Arc<Lease>>) {
    match lease {
        Some(lease) => lease.changed().await,
        None => std::future::pending().await,
    }
}

impl<'a, A: Api> Runner<'a, A> {
    fn new(parts: RunParts<'a, A>, rows: mpsc::Receiver<Result<IncomingRow, ListError>>) -> Self {
        Self {
            dispatcher: Dispatcher::new(parts.pace.concurrency, &parts.retry, parts.seed),
            token_keeper: TokenKeeper::default(),
            token_failures: 0,
            tasks: JoinSet::new(),
            in_flight: HashMap::with_capacity(parts.pace.concurrency),
            grace_until: None,
            reported_pause: None,
            counters: Counters::new(parts.clock.now(), parts.pace.requests_per_second),
            asked: AskedMeetings::default(),
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
                self.abandon_in_flight(now)?;
            }
            if self.is_at_its_end() {
                return Ok(());
            }
            self.pause_or_resume(now);
            let (look_again, unknown) = match self.send_what_may_leave()? {
                None => (None, false),
                Some(NotYet::Until(at)) => (Some(at), false),
                Some(NotYet::Unknown) => (None, true),
            };
            // What was parted with may have been the last row.
            if self.is_at_its_end() {
                return Ok(());
            }
            let in_doubt = self.dispatcher.lease_in_doubt();
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
                () = self.parts.pacer.permits_changed(), if unknown => {}
                () = lease_changed(in_doubt) => {}
                () = clock.wait_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
    }

    fn is_at_its_end(&self) -> bool {
        let stopped = self.dispatcher.stopped().is_some() && self.dispatcher.in_flight() == 0;
        stopped || (!self.rows_open && self.dispatcher.is_idle())
    }

    /// Reports the beginning of a pause, and its end.
    fn pause_or_resume(&mut self, now: Instant) {
        let pause = self.parts.pacer.pauses().current(now);
        let reported = std::mem::replace(&mut self.reported_pause, pause);
        match pause {
            Some(Pause { wait, reason, .. }) => {
                self.counters.paused(now);
                if pause != reported {
                    self.report(&RunEvent::Paused { reason, wait });
                }
            }
            None if self.counters.resumed(now) => self.report(&RunEvent::Resumed),
            None => {}
        }
    }

    /// Sends every request that may leave now. Returns when to look again.
    fn send_what_may_leave(&mut self) -> Result<Option<NotYet>, Break> {
        loop {
            let now = self.parts.clock.now();
            let admission = self.parts.pacer.pauses().admission(now);
            match self.dispatcher.next(admission, now) {
                Next::Wait(until) => return Ok(until.map(NotYet::Until)),
                Next::Drop(job) => {
                    self.taken_over += 1;
                    self.end(*job, OutcomeKind::NotAttempted)?;
                    continue;
                }
                Next::Send => {}
            }
            let token = match self.token_keeper.supply(now) {
                TokenSupply::Ready(token) => token,
                TokenSupply::Due(token) => {
                    self.fetch_token();
                    token
                }
                TokenSupply::Fetch => {
                    self.fetch_token();
                    return Ok(None);
                }
                TokenSupply::Fetching => return Ok(None),
                TokenSupply::FetchAt(at) => return Ok(Some(NotYet::Until(at))),
            };
            if let Err(not_yet) = self.parts.pacer.take_permit(now) {
                return Ok(Some(not_yet));
            }
            if let Some(job) = self.dispatcher.take(admission, now) {
                self.send(job, token, now)?;
            }
        }
    }

    fn send(&mut self, mut job: Job, token: AccessToken, now: Instant) -> Result<(), Break> {
        let attempt = job.next_attempt();
        let at = self.parts.clock.timestamp();
        let record = AttemptStarted {
            source: Arc::clone(&job.origin.source),
            line: job.origin.line,
            conference_id: job.request.conference_id.to_string(),
            union_id: job.request.union_id.to_string(),
            attempt,
        };
        self.parts.journal.append(&Record::Attempt(record), at)?;
        job.first_attempt_at.get_or_insert(at);
        self.counters.call(now);
        self.asked.asked(job.request.meeting());
        self.report(&RunEvent::AttemptStarted { request: &job.request, attempt });
        let (api, request, carried) = (Arc::clone(&self.parts.api), job.request.clone(), token.clone());
        let task = self.tasks.spawn(async move { TaskEnd::Attempt(api.close(&request, &carried).await) });
        self.in_flight.insert(task.id(), InFlight { job, token, sent_at: now });
        Ok(())
    }

    fn done(&mut self, id: Id, done: TaskEnd) -> Result<(), Break> {
        match done {
            TaskEnd::Token(result) => {
                self.token_came(result);
                Ok(())
            }
            TaskEnd::Attempt(exchange) => match self.in_flight.remove(&id) {
                Some(request) => self.attempt_ended(request, &exchange),
                None => Ok(()),
            },
        }
    }

    fn attempt_ended(&mut self, ended: InFlight, exchange: &Exchange) -> Result<(), Break> {
        let now = self.parts.clock.now();
        let InFlight { job, token, sent_at } = ended;
        let judgement = judge(exchange);
        match judgement.verdict {
            Verdict::TokenRefused => self.token_keeper.refused(&token),
            Verdict::Throttled(_) | Verdict::Banned => self.counters.refused(now),
            Verdict::Closed
            | Verdict::AlreadyEnded
            | Verdict::Retry
            | Verdict::Unreachable
            | Verdict::Refused
            | Verdict::Halt => {}
        }
        let (request, attempt) = (job.request.clone(), job.next_attempt());
        let elapsed = now - sent_at;
        self.report(&RunEvent::AttemptEnded { request: &request, attempt, judgement: &judgement, elapsed });
        let was_running = self.dispatcher.stopped().is_none();
        if let Some(RateReport { per_second, reason }) = self.parts.pacer.answered(&judgement, sent_at, now) {
            self.counters.rate(per_second, now);
            self.report(&RunEvent::RateChanged { per_second, reason });
        }
        let after = self.dispatcher.attempt_ended(job, &judgement, self.parts.pacer.pauses(), now);
        self.heed_dispatchers_stop(was_running);
        match after {
            AfterAttempt::Ended(job, kind) => self.end(job, kind),
            AfterAttempt::Repeat => Ok(()),
            AfterAttempt::Retry(wait) => {
                self.report(&RunEvent::RetryPlanned {
                    request: &request,
                    attempt,
                    judgement: &judgement,
                    wait,
                });
                Ok(())
            }
        }
    }

    fn row(&mut self, row: Option<Result<IncomingRow, ListError>>) -> Result<(), Break> {
        match row {
            None => self.rows_open = false,
            Some(Err(error)) => {
                self.rows_open = false;
                self.stop(Stop::ListsLost(error.to_string()));
            }
            Some(Ok(IncomingRow { entry: TriagedRow::ToClose { origin, request }, prior })) => {
                self.dispatcher.offer(Job::new(origin, request).after(prior));
            }
            Some(Ok(IncomingRow { entry: TriagedRow::Unasked { origin, cells, kind, reason }, prior })) => {
                let at = self.parts.clock.timestamp();
                let PriorAttempts { attempts, first_attempt_at, .. } = prior;
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
        self.counters.outcome(outcome.kind);
        self.report(&RunEvent::RowEnded { outcome });
        Ok(())
    }

    fn report(&mut self, event: &RunEvent<'_>) {
        self.parts.observer.observe(event);
    }
}
