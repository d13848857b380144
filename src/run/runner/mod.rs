//! The loop that does what pace and dispatcher decide: it waits, writes the journal, sends, and reports.
//!
//! One attempt goes in this order:
//!
//! 1. The row's time has come, its lease is held, and fewer requests than `pace.concurrency` are in flight.
//! 2. There is an access token (`access_token` fetches it).
//! 3. The quota grants a permit. This comes last, so that the permit is used at once. If the token came last, every request that
//!    waited for it would be sent at the same moment.
//! 4. The `attempt` record is written to the journal.
//! 5. The request is sent, and its answer is judged.
//!
//! `ending` ends a run early.
//!
//! Invariant: no request is sent before its `attempt` record is in the journal.

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
    /// When a request may be sent.
    pub pacer: Pacer,
    /// The settings of `[pace]`, among them how many requests may be in flight at once.
    pub pace: PaceSettings,
    /// The settings of `[retry]`.
    pub retry: RetrySettings,
    /// The run's only source of time.
    pub clock: Clock,
    /// The seed of the jitter.
    pub seed: u64,
    /// Where every attempt and outcome is recorded.
    pub journal: &'a Journal,
    /// What observes the run.
    pub observer: &'a mut dyn Observe,
    /// The signals of the operating system.
    pub signals: mpsc::Receiver<Signal>,
    /// From when on no new request is sent.
    pub deadline: Option<Instant>,
}

/// Runs until every row has its outcome or the run is stopped.
pub async fn run<A: Api>(
    parts: RunParts<'_, A>,
    rows: mpsc::Receiver<Result<IncomingRow, ListError>>,
) -> RunEnd {
    let mut runner = Runner::new(parts, rows);
    let finished = runner.drive().await;
    let finished = finished.and_then(|()| runner.end_waiting_rows());
    let finished = match finished {
        Ok(()) => runner.end_unread_rows().await,
        Err(reason) => Err(reason),
    };
    let stop = runner.dispatcher.stopped().cloned();
    let totals = runner.counters.into_totals(&runner.parts.pacer, runner.parts.clock.now());
    let (stop, aborted) = match finished {
        Ok(()) => (stop, false),
        Err(Break::Abort) => (stop, true),
        Err(Break::AuditLost(error)) => (Some(Stop::AuditLost(error)), false),
    };
    let (taken_over, withdrawn_in_doubt) = (runner.taken_over, runner.withdrawn_in_doubt);
    RunEnd { stop, aborted, taken_over, withdrawn_in_doubt, totals }
}

/// Why the loop ends although rows have no outcome yet.
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
    withdrawn_in_doubt: u64,
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
            withdrawn_in_doubt: 0,
            rows_open: true,
            rows,
            parts,
        }
    }

    /// The loop. It ends when every row has its outcome, or when the run has stopped and no request is in flight.
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
            self.end_failed_rows()?;
            if self.is_finished() {
                return Ok(());
            }
            self.pause_or_resume(now);
            let (look_again, waits_for_store) = match self.send_ready()? {
                None => (None, false),
                Some(NotYet::Until(at)) => (Some(at), false),
                Some(NotYet::Unknown) => (None, true),
            };
            // The last row may have ended because another worker has it.
            self.end_failed_rows()?;
            if self.is_finished() {
                return Ok(());
            }
            let in_doubt = self.dispatcher.lease_in_doubt();
            let wakes = [look_again, self.parts.deadline, self.grace_until, self.dispatcher.held_until()];
            let wake = wakes.into_iter().flatten().min();
            let clock = self.parts.clock.clone();
            tokio::select! {
                biased;
                Some(signal) = self.parts.signals.recv() => self.handle_signal(signal)?,
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    match ended {
                        Ok((id, end)) => self.task_ended(id, end)?,
                        // Without this task's answer the run would wait for ever. The journal has its attempt.
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        // Cancelled: `abandon_in_flight` has ended its attempt already.
                        Err(_) => {}
                    }
                }
                row = self.rows.recv(), if self.rows_open && self.dispatcher.wants_row() => self.take_row(row)?,
                () = self.parts.pacer.permits_changed(), if waits_for_store => {}
                () = lease_changed(in_doubt) => {}
                () = clock.wait_until(wake.unwrap_or(now)), if wake.is_some() => {}
            }
        }
    }

    fn is_finished(&self) -> bool {
        let stopped = self.dispatcher.stopped().is_some() && self.dispatcher.in_flight() == 0;
        stopped || (!self.rows_open && self.dispatcher.is_idle())
    }

    /// Reports when a pause begins and when it ends.
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

    /// Sends every request that may be sent now. Returns when to look again.
    fn send_ready(&mut self) -> Result<Option<NotYet>, Break> {
        loop {
            let now = self.parts.clock.now();
            let admission = self.parts.pacer.pauses().admission(now);
            match self.dispatcher.next(admission, now) {
                Next::Wait(until) => return Ok(until.map(NotYet::Until)),
                Next::Drop(job) => {
                    self.taken_over += 1;
                    self.end_row(*job, OutcomeKind::NotAttempted)?;
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
        let (api, request, access_token) = (Arc::clone(&self.parts.api), job.request.clone(), token.clone());
        let task =
            self.tasks.spawn(async move { TaskEnd::Attempt(api.close(&request, &access_token).await) });
        self.in_flight.insert(task.id(), InFlight { job, token, sent_at: now });
        Ok(())
    }

    fn task_ended(&mut self, id: Id, end: TaskEnd) -> Result<(), Break> {
        match end {
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
        self.report_dispatchers_stop(was_running);
        match after {
            AfterAttempt::Ended(job, kind) => self.end_row(job, kind),
            AfterAttempt::Repeat | AfterAttempt::Held => Ok(()),
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

    fn take_row(&mut self, row: Option<Result<IncomingRow, ListError>>) -> Result<(), Break> {
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
                let PriorAttempts { attempts, first_attempt_at, in_doubt, last_status, .. } = prior;
                self.withdrawn_in_doubt += u64::from(kind == OutcomeKind::Withdrawn && in_doubt);
                let mut outcome = Outcome::unasked(origin, cells, kind, reason, at);
                outcome.details.http_status = last_status;
                self.record(&Outcome { attempts, first_attempt_at, ..outcome })?;
            }
        }
        Ok(())
    }

    /// Ends the rows that were held for their refusal, and failed.
    fn end_failed_rows(&mut self) -> Result<(), Break> {
        while let Some(job) = self.dispatcher.take_failed(self.rows_open, self.parts.clock.now()) {
            self.end_row(job, OutcomeKind::Failed)?;
        }
        Ok(())
    }

    fn end_row(&mut self, mut job: Job, kind: OutcomeKind) -> Result<(), Break> {
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
