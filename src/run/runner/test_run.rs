//! Whole runs for tests: a scripted DingTalk, a journal in memory, and an observer, on paused time.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{RunEnd, RunParts, run};
use crate::clock::Clock;
use crate::dingtalk::{AccessToken, Api, Exchange, HttpAnswer, TokenError, TokenGrant};
use crate::events::{Observe, RunEvent};
use crate::fixtures::close_request;
use crate::journal::{Chain, Hasher, Journal, Storage};
use crate::lists::TriagedRow;
use crate::meeting::{CloseRequest, Origin};
use crate::outcome::{Outcome, OutcomeKind};
use crate::pace::Pacer;
use crate::run::{IncomingRow, Lease, PriorAttempts, Signal};
use crate::settings::tests::load_text;

/// A DingTalk that gives each meeting the answers of its script in turn, then "closed". Each answer takes 50 ms.
#[derive(Default)]
pub(super) struct ScriptedApi {
    pub(super) scripts: Mutex<HashMap<&'static str, VecDeque<Exchange>>>,
    pub(super) token_script: Mutex<VecDeque<Result<TokenGrant, TokenError>>>,
    pub(super) calls: Mutex<Vec<(String, Duration)>>,
    pub(super) token_calls: Mutex<u32>,
    pub(super) silent: bool,
    /// From when until when no connection is possible.
    pub(super) down: Mutex<Option<(Duration, Duration)>>,
    /// How many calls are let in within any one second.
    pub(super) quota: Mutex<Option<usize>>,
    pub(super) let_in: Mutex<VecDeque<Duration>>,
}

impl ScriptedApi {
    /// The answer of a DingTalk that is down, or whose quota is used up.
    fn refusal(&self, now: Duration) -> Option<Exchange> {
        if self.down.lock().unwrap().is_some_and(|(from, to)| from <= now && now < to) {
            return Some(Exchange::NoReply(crate::dingtalk::NoReply::NoConnection("refused".into())));
        }
        let quota = (*self.quota.lock().unwrap())?;
        let mut let_in = self.let_in.lock().unwrap();
        while let_in.front().is_some_and(|at| *at + Duration::from_secs(1) <= now) {
            let_in.pop_front();
        }
        if let_in.len() >= quota {
            return Some(failure(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"));
        }
        let_in.push_back(now);
        None
    }
}

pub(super) fn answer(status: u16, body: &str) -> Exchange {
    Exchange::Answered(HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() })
}

pub(super) fn failure(status: u16, code: &str) -> Exchange {
    answer(status, &format!(r#"{{"code":"{code}","message":"{code}","requestid":"R"}}"#))
}

pub(super) fn grant() -> TokenGrant {
    TokenGrant { token: "t".into(), lifetime: Duration::from_hours(2) }
}

pub(super) const LATENCY: Duration = Duration::from_millis(50);

impl Api for ScriptedApi {
    async fn close(&self, request: &CloseRequest, _: &AccessToken) -> Exchange {
        let name = request.conference_id.to_string();
        let now = START.with(|start| start.get().unwrap().elapsed());
        self.calls.lock().unwrap().push((name.clone(), now));
        if let Some(refusal) = self.refusal(now) {
            tokio::time::sleep(LATENCY).await;
            return refusal;
        }
        let scripted = self.scripts.lock().unwrap().get_mut(name.as_str()).and_then(VecDeque::pop_front);
        tokio::time::sleep(if self.silent { Duration::from_hours(1) } else { LATENCY }).await;
        scripted.unwrap_or_else(|| answer(200, r#"{"code":200,"cause":"sucess"}"#))
    }

    async fn fetch_token(&self) -> Result<TokenGrant, TokenError> {
        *self.token_calls.lock().unwrap() += 1;
        let scripted = self.token_script.lock().unwrap().pop_front();
        tokio::time::sleep(LATENCY).await;
        scripted.unwrap_or_else(|| Ok(grant()))
    }
}

thread_local! {
    pub(super) static START: std::cell::OnceCell<Instant> = const { std::cell::OnceCell::new() };
}

/// A journal that has room for this many records.
pub(super) struct LimitedStorage(Mutex<u32>);

impl Storage for LimitedStorage {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        let mut records_left = self.0.lock().unwrap();
        *records_left = records_left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What an observer saw of a run.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) attempts: Vec<(String, u32)>,
    pub(super) rates: Vec<f64>,
    pub(super) paused: Vec<Duration>,
    pub(super) resumed: u32,
}

impl Observe for Observed {
    fn observe(&mut self, event: &RunEvent<'_>) {
        match event {
            RunEvent::RowEnded { outcome } => self.outcomes.push((*outcome).clone()),
            RunEvent::RateChanged { per_second, .. } => self.rates.push(*per_second),
            RunEvent::Paused { wait, .. } => self.paused.push(*wait),
            RunEvent::Resumed => self.resumed += 1,
            RunEvent::AttemptStarted { request, attempt } => {
                self.attempts.push((request.conference_id.to_string(), *attempt));
            }
            RunEvent::AttemptEnded { .. }
            | RunEvent::RetryPlanned { .. }
            | RunEvent::TokenFetched
            | RunEvent::TokenFetchFailed { .. }
            | RunEvent::Stopping { .. } => {}
        }
    }
}

impl Observed {
    /// Conference id, outcome and attempts, by conference id.
    pub(super) fn brief(&self) -> Vec<(&str, OutcomeKind, u32)> {
        let mut brief: Vec<_> =
            self.outcomes.iter().map(|o| (o.conference_id.as_str(), o.kind, o.attempts)).collect();
        brief.sort_unstable();
        brief
    }
}

/// A run to play: its rows, settings, signals and deadline.
pub(super) struct TestRun {
    pub(super) api: Arc<ScriptedApi>,
    pub(super) settings: &'static str,
    pub(super) rows: Vec<TriagedRow>,
    /// The leases of the first rows.
    pub(super) leases: Vec<Arc<Lease>>,
    pub(super) journal_records: u32,
    pub(super) signals: Vec<(Duration, Signal)>,
    pub(super) deadline: Option<Duration>,
}

impl TestRun {
    pub(super) fn of(names: &[&'static str]) -> Self {
        Self {
            api: Arc::default(),
            settings: "",
            rows: names.iter().map(|name| ready(name)).collect(),
            leases: vec![],
            journal_records: u32::MAX,
            signals: vec![],
            deadline: None,
        }
    }

    pub(super) fn script(self, name: &'static str, answers: impl IntoIterator<Item = Exchange>) -> Self {
        self.api.scripts.lock().unwrap().insert(name, answers.into_iter().collect());
        self
    }

    pub(super) async fn play(self) -> (RunEnd, Observed, Arc<ScriptedApi>) {
        let settings = load_text(self.settings).unwrap();
        let journal = Journal::new(
            "j".into(),
            LimitedStorage(Mutex::new(self.journal_records)),
            Chain::new(Hasher::PLAIN),
        );
        let (row_sender, rows) = mpsc::channel(4);
        let (signal_sender, signals) = mpsc::channel(4);
        let start = START.with(|start| *start.get_or_init(Instant::now));
        tokio::spawn(async move {
            let mut leases = self.leases.into_iter();
            for row in self.rows {
                let prior = PriorAttempts { lease: leases.next(), ..PriorAttempts::default() };
                let _ = row_sender.send(Ok(IncomingRow { entry: row, prior })).await;
            }
        });
        tokio::spawn(async move {
            for (at, signal) in self.signals {
                tokio::time::sleep_until(start + at).await;
                let _ = signal_sender.send(signal).await;
            }
            // The sender is kept: the channel of a process's signals never closes.
            std::future::pending::<()>().await;
        });
        let mut observed = Observed::default();
        let parts = RunParts {
            api: Arc::clone(&self.api),
            pacer: Pacer::new(&settings.pace, Some(Duration::from_mins(30))),
            pace: settings.pace,
            retry: settings.retry,
            clock: Clock::tokio(),
            seed: 7,
            journal: &journal,
            observer: &mut observed,
            signals,
            deadline: self.deadline.map(|deadline| start + deadline),
        };
        let end = run(parts, rows).await;
        (end, observed, self.api)
    }
}

pub(super) fn request(name: &str) -> CloseRequest {
    close_request(name, "host")
}

pub(super) fn origin() -> Origin {
    Origin { source: "a.csv".into(), line: 2 }
}

pub(super) fn ready(name: &str) -> TriagedRow {
    TriagedRow::ToClose { origin: origin(), request: request(name) }
}

pub(super) fn names(count: usize) -> Vec<&'static str> {
    (0..count).map(|n| &*Box::leak(format!("m{n:04}").into_boxed_str())).collect()
}
