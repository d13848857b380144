//! A DingTalk in memory, on paused time: quotas that change, other apps, bans, outages, faults and latency.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use meeting_closer::{
    AccessToken, Api, Clock, CloseRequest, Exchange, HttpAnswer, NoReply, TokenError, TokenGrant,
};
use serde::Deserialize;
use tokio::time::Instant;

/// How a simulated server behaves, as a file of the table says it. Times are seconds from the start of the run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// How many requests a second are let in: from which second on, and how many.
    pub(crate) quota: Vec<(f64, f64)>,
    /// Whether a second is a calendar second, and not the second before each request.
    #[serde(default)]
    pub(crate) calendar_seconds: bool,
    /// How many requests are let in within the minute before each request.
    pub(crate) minute_quota: Option<usize>,
    /// The largest share of the quota that other apps take. Each second, the share is drawn between zero and this.
    #[serde(default)]
    pub(crate) other_apps: f64,
    /// The shortest and the longest time from sending a request to its answer, in milliseconds.
    pub(crate) latency_ms: (f64, f64),
    /// The share of requests that are answered with `systemError`.
    #[serde(default)]
    pub(crate) errors: f64,
    /// The share of requests whose connection breaks. In half of these cases the meeting was closed before.
    #[serde(default)]
    pub(crate) resets: f64,
    /// When the address is banned, and for how long.
    #[serde(default)]
    pub(crate) bans: Vec<(f64, f64)>,
    /// From when until when no connection is possible.
    #[serde(default)]
    pub(crate) outages: Vec<(f64, f64)>,
}

impl Behaviour {
    /// How many requests could be let in within the second that begins at `second`, if every moment of it were used.
    pub(crate) fn room(&self, second: f64, cap: f64) -> f64 {
        let inside = |spans: &[(f64, f64)]| spans.iter().any(|(from, to)| *from <= second && second < *to);
        let bans: Vec<(f64, f64)> = self.bans.iter().map(|(from, length)| (*from, from + length)).collect();
        if inside(&bans) || inside(&self.outages) {
            return 0.0;
        }
        let minute = self.minute_quota.map_or(f64::INFINITY, |quota| quota as f64 / 60.0);
        (self.quota_at(second) * (1.0 - self.other_apps / 2.0)).min(cap).min(minute)
    }

    fn quota_at(&self, second: f64) -> f64 {
        let steps = self.quota.iter().take_while(|(from, _)| *from <= second);
        steps.last().map_or(f64::INFINITY, |(_, quota)| *quota)
    }
}

/// What the server did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    LetIn,
    Refused,
    Banned,
    Unreachable,
}

/// One request, as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) conference_id: String,
    pub(crate) sent_at: Duration,
    pub(crate) answered_at: Duration,
    pub(crate) fate: Fate,
}

/// The server.
pub(crate) struct Server {
    behaviour: Behaviour,
    start: Instant,
    state: Mutex<State>,
}

struct State {
    random: Rng,
    second: VecDeque<Duration>,
    minute: VecDeque<Duration>,
    /// The second for which the other apps' share was drawn, and that share.
    other_apps: (u64, f64),
    calls: Vec<Call>,
    ended: HashMap<String, u32>,
}

impl Server {
    pub(crate) fn new(behaviour: Behaviour, seed: u64) -> Self {
        let state = State {
            random: Rng::with_seed(seed),
            second: VecDeque::new(),
            minute: VecDeque::new(),
            other_apps: (u64::MAX, 0.0),
            calls: vec![],
            ended: HashMap::new(),
        };
        Self { behaviour, start: Instant::now(), state: Mutex::new(state) }
    }

    /// All requests, in the order in which they were sent.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = self.state.lock().unwrap().calls.clone();
        calls.sort_by_key(|call| call.sent_at);
        calls
    }

    /// Whether a meeting has ended.
    pub(crate) fn has_ended(&self, conference_id: &str) -> bool {
        self.state.lock().unwrap().ended.contains_key(conference_id)
    }

    fn is_banned(&self, at: Duration) -> bool {
        let at = at.as_secs_f64();
        self.behaviour.bans.iter().any(|(from, length)| *from <= at && at < from + length)
    }

    /// How many banned requests were sent after the first answer that reported the ban.
    pub(crate) fn calls_in_bans(&self) -> usize {
        let calls = self.calls();
        let mut count = 0;
        for (from, length) in &self.behaviour.bans {
            let end = Duration::from_secs_f64(from + length);
            let from = Duration::from_secs_f64(*from);
            let banned = calls.iter().filter(|call| call.fate == Fate::Banned);
            let Some(reported_at) =
                banned.clone().map(|call| call.answered_at).filter(|at| from <= *at).min()
            else {
                continue;
            };
            count += banned.filter(|call| reported_at < call.sent_at && call.sent_at < end).count();
        }
        count
    }

    fn answer(&self, conference_id: &str, at: Duration) -> (Fate, Exchange) {
        let mut state = self.state.lock().unwrap();
        if self.is_banned(at) {
            return (Fate::Banned, json(200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#));
        }
        if let Err(code) = state.admit(&self.behaviour, at) {
            let body = format!(r#"{{"code":"Forbidden.AccessDenied.{code}","message":"m","requestid":"r"}}"#);
            return (Fate::Refused, json(403, &body));
        }
        let drawn = state.random.f64();
        let Behaviour { errors, resets, .. } = self.behaviour;
        if drawn < errors {
            return (Fate::LetIn, json(500, r#"{"code":"systemError","message":"m","requestid":"r"}"#));
        }
        if drawn < errors + resets / 2.0 {
            return (Fate::LetIn, Exchange::NoReply(NoReply::Broken("reset".into())));
        }
        let times = state.ended.entry(conference_id.to_owned()).or_default();
        *times += 1;
        let answer = if *times > 1 {
            json(400, r#"{"code":"resourceClose","message":"m","requestid":"r"}"#)
        } else {
            json(200, r#"{"code":200,"cause":"sucess"}"#)
        };
        let lost = drawn < errors + resets;
        (Fate::LetIn, if lost { Exchange::NoReply(NoReply::Broken("reset".into())) } else { answer })
    }
}

impl State {
    fn admit(&mut self, behaviour: &Behaviour, at: Duration) -> Result<(), &'static str> {
        const SECOND: Duration = Duration::from_secs(1);
        if behaviour.calendar_seconds {
            self.second.retain(|earlier| earlier.as_secs() == at.as_secs());
        } else {
            drop_older(&mut self.second, SECOND, at);
        }
        drop_older(&mut self.minute, 60 * SECOND, at);
        if behaviour.other_apps > 0.0 && self.other_apps.0 != at.as_secs() {
            self.other_apps = (at.as_secs(), behaviour.other_apps * self.random.f64());
        }
        let quota = behaviour.quota_at(at.as_secs_f64()) * (1.0 - self.other_apps.1);
        if behaviour.minute_quota.is_some_and(|quota| self.minute.len() >= quota) {
            return Err("QpmLimitForAppkeyAndApi");
        }
        if self.second.len() as f64 >= quota {
            return Err("QpsLimitForAppkeyAndApi");
        }
        self.second.push_back(at);
        if behaviour.minute_quota.is_some() {
            self.minute.push_back(at);
        }
        Ok(())
    }
}

fn drop_older(window: &mut VecDeque<Duration>, span: Duration, at: Duration) {
    while window.front().is_some_and(|earlier| *earlier + span <= at) {
        window.pop_front();
    }
}

fn json(status: u16, body: &str) -> Exchange {
    Exchange::Answered(HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() })
}

impl Api for Server {
    async fn close(&self, request: &CloseRequest, _: &AccessToken) -> Exchange {
        let sent_at = self.start.elapsed();
        let conference_id = request.conference_id.to_string();
        let (shortest, longest) = self.behaviour.latency_ms;
        let (there, back) = {
            let mut state = self.state.lock().unwrap();
            let whole = shortest + (longest - shortest) * state.random.f64();
            let there = whole * state.random.f64() / 2.0;
            (there, whole - there)
        };
        pass(there).await;
        let at = self.start.elapsed();
        let down = self.behaviour.outages.iter().any(|(from, to)| (*from..*to).contains(&at.as_secs_f64()));
        let (fate, exchange) = if down {
            (Fate::Unreachable, Exchange::NoReply(NoReply::NoConnection("refused".into())))
        } else {
            self.answer(&conference_id, at)
        };
        pass(back).await;
        let call = Call { conference_id, sent_at, answered_at: self.start.elapsed(), fate };
        self.state.lock().unwrap().calls.push(call);
        exchange
    }

    async fn fetch_token(&self) -> Result<TokenGrant, TokenError> {
        Ok(TokenGrant { token: "t".into(), lifetime: Duration::from_hours(1000) })
    }
}

/// Waits this many milliseconds on the paused clock.
async fn pass(millis: f64) {
    let clock = Clock::tokio();
    clock.wait_until(clock.now() + Duration::from_secs_f64(millis / 1000.0)).await;
}
