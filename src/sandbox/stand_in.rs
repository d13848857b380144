//! What is answered: a state machine over requests, without a socket.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::time::Instant;

use super::meetings::{CloseResult, Meetings};
use super::quota::{Meter, Refusal, Window};
use super::statistics::Call;
use super::tokens::{TokenFlow, Tokens};
use super::{FaultKind, Reply, SandboxSettings, ScriptedReply, Statistics};

/// How much later a slow answer comes.
const SLOW: Duration = Duration::from_secs(3);

/// A request, as far as the API reads it.
#[derive(Debug)]
pub(super) enum ApiRequest<'a> {
    Token { way: TokenFlow, body: &'a [u8] },
    Close { conference_id: String, union_id: Option<String>, token: Option<&'a str> },
    Unknown,
}

/// Everything that the stand-in knows.
#[derive(Debug)]
pub(super) struct StandIn {
    settings: SandboxSettings,
    chance: Rng,
    tokens: Tokens,
    meter: Meter,
    meetings: Meetings,
    scripts: HashMap<String, VecDeque<ScriptedReply>>,
    token_script: VecDeque<Reply>,
    second: Window,
    first_call: Option<Instant>,
    in_flight: usize,
    pub(super) statistics: Statistics,
}

impl StandIn {
    pub(super) fn new(settings: SandboxSettings) -> Self {
        Self {
            chance: Rng::with_seed(settings.seed),
            tokens: Tokens::new(settings.token_lifetime),
            meter: Meter::new(settings.quotas.clone()),
            meetings: Meetings::default(),
            scripts: HashMap::new(),
            token_script: VecDeque::new(),
            second: Window::new(Duration::from_secs(1)),
            first_call: None,
            in_flight: 0,
            statistics: Statistics::default(),
            settings,
        }
    }

    pub(super) fn script(&mut self, conference_id: &str, replies: Vec<ScriptedReply>) {
        self.scripts.entry(conference_id.to_owned()).or_default().extend(replies);
    }

    pub(super) fn script_tokens(&mut self, replies: Vec<Reply>) {
        self.token_script.extend(replies);
    }

    pub(super) fn expire_tokens(&mut self) {
        self.tokens.expire_all();
    }

    pub(super) fn set_app_quota(&mut self, per_second: Option<usize>) {
        self.meter.set_app_quota(per_second);
    }

    /// Answers a request; the answer leaves after the time that comes with it. [`StandIn::answered`] follows.
    pub(super) fn ask(&mut self, ask: ApiRequest<'_>, now: Instant) -> (Reply, Duration) {
        self.in_flight += 1;
        self.statistics.most_in_flight = self.statistics.most_in_flight.max(self.in_flight);
        if let ApiRequest::Close { .. } = ask {
            self.count_close(now);
        }
        let (shortest, longest) = self.settings.latency;
        let latency = shortest + longest.saturating_sub(shortest).mul_f64(self.chance.f64());
        if self.meter.is_banned(now) {
            self.statistics.calls_while_banned += 1;
            return (Reply::ban(), latency);
        }
        match ask {
            ApiRequest::Unknown => {
                (Reply::json(200, &json!({"errcode": 404, "errmsg": "请求的URI地址不存在"})), latency)
            }
            ApiRequest::Token { way, body } => {
                self.statistics.token_calls += 1;
                let reply =
                    self.token_script.pop_front().unwrap_or_else(|| self.tokens.grant(way, body, now));
                (reply, latency)
            }
            ApiRequest::Close { conference_id, union_id, token } => {
                let union_id = union_id.unwrap_or_default();
                let closed_before = self.statistics.closed;
                let (reply, more) = self.close(&conference_id, &union_id, token, now);
                *self.statistics.answers.entry(reply.label()).or_default() += 1;
                if self.settings.keep_calls {
                    let closed = self.statistics.closed > closed_before;
                    self.statistics.calls.push(Call { at: now, conference_id, union_id, closed });
                }
                (reply, latency + more)
            }
        }
    }

    /// An answer has left, or was given up.
    pub(super) fn answered(&mut self) {
        self.in_flight -= 1;
    }

    fn count_close(&mut self, now: Instant) {
        self.second.admit(now);
        self.statistics.close_calls += 1;
        self.statistics.most_in_a_second = self.statistics.most_in_a_second.max(self.second.count(now));
        let first = *self.first_call.get_or_insert(now);
        self.statistics.span_ms = u64::try_from((now - first).as_millis()).unwrap_or(u64::MAX);
    }

    fn close(
        &mut self,
        conference_id: &str,
        union_id: &str,
        token: Option<&str>,
        now: Instant,
    ) -> (Reply, Duration) {
        let at_once = |reply| (reply, Duration::ZERO);
        if let Some(scripted) = self.scripts.get_mut(conference_id).and_then(VecDeque::pop_front) {
            if scripted.closes {
                self.end(conference_id, union_id);
            }
            return at_once(scripted.reply);
        }
        let Some(token) = token else {
            return at_once(Reply::failure(
                400,
                "AuthenticationFailed.MissingParameter",
                "缺少x-acs-dingtalk-access-token",
            ));
        };
        if !self.tokens.is_valid(token, now) {
            return at_once(Reply::failure(400, "InvalidAuthentication", "不合法的access_token"));
        }
        if let Err(refusal) = self.meter.admit(now) {
            return at_once(refused(refusal));
        }
        if union_id.is_empty() {
            return at_once(Reply::failure(400, "paramsError", "error:unionId is mandatory"));
        }
        let fault = self.draw_fault();
        let more = if fault == Some(FaultKind::Slow) { SLOW } else { Duration::ZERO };
        let reply = match fault {
            None | Some(FaultKind::Slow) => None,
            Some(fault) => self.go_wrong(fault, conference_id, union_id, now),
        };
        (reply.unwrap_or_else(|| self.end(conference_id, union_id)), more)
    }

    /// Closes the meeting, if it can be.
    fn end(&mut self, conference_id: &str, union_id: &str) -> Reply {
        match self.meetings.close(conference_id, union_id) {
            CloseResult::Closed => {
                self.statistics.closed += 1;
                Reply::closed()
            }
            CloseResult::HadEnded => Reply::failure(400, "resourceClose", "The meeting has ended"),
            CloseResult::NotTheHost => Reply::failure(404, "permissionError", "permissionError:not the host"),
            CloseResult::UnknownUser => Reply::failure(400, "unknownUserError", "unknownUserError"),
        }
    }

    fn draw_fault(&mut self) -> Option<FaultKind> {
        // One draw for all faults keeps what a seed gives when a fault is added at the end.
        let mut drawn = self.chance.f64();
        for fault in &self.settings.faults {
            if drawn < fault.probability {
                return Some(fault.kind);
            }
            drawn -= fault.probability;
        }
        None
    }

    /// What a fault comes to; none where the meeting is closed as ever.
    fn go_wrong(
        &mut self,
        fault: FaultKind,
        conference_id: &str,
        union_id: &str,
        now: Instant,
    ) -> Option<Reply> {
        let limit =
            |code: &str| Reply::failure(403, &format!("Forbidden.AccessDenied.{code}"), "请求过于频繁");
        let (reply, closes) = match fault {
            FaultKind::SystemError => (Reply::failure(500, "systemError", "systemError:busy"), false),
            FaultKind::WaterLimitError => {
                (Reply::failure(404, "waterLimitError", "waterLimitError:busy"), false)
            }
            FaultKind::Qps => (limit("QpsLimitForAppkeyAndApi"), false),
            FaultKind::Qpm => (limit("QpmLimitForAppkeyAndApi"), false),
            FaultKind::Token => (Reply::failure(400, "InvalidAuthentication", "不合法的access_token"), false),
            FaultKind::Html => {
                let page = Reply::raw(502, "<html><body>502 Bad Gateway</body></html>");
                (page.header("content-type", "text/html"), false)
            }
            FaultKind::Body => (Reply::json(200, &json!({"code": 500, "cause": "systemError"})), false),
            FaultKind::Ban => {
                self.meter.ban(now);
                (Reply::ban(), false)
            }
            FaultKind::Empty => (Reply::raw(200, ""), true),
            FaultKind::Cut => (Reply::raw(200, "{\"code\":200,\"cau"), true),
            FaultKind::NoReply => (Reply::Drop, true),
            FaultKind::Reset => (Reply::Drop, false),
            FaultKind::Silent => (Reply::Silence, false),
            FaultKind::Slow => return None,
        };
        if closes {
            self.end(conference_id, union_id);
        } else {
            self.meetings.name(conference_id, union_id);
        }
        Some(reply)
    }

    /// Whether a meeting has ended, for tests.
    pub(super) fn has_ended(&self, conference_id: &str) -> bool {
        self.meetings.has_ended(conference_id)
    }
}

fn refused(refusal: Refusal) -> Reply {
    let (code, message) = match refusal {
        Refusal::Second => ("QpsLimitForAppkeyAndApi", "应用的QPS超出限制"),
        Refusal::Minute => ("QpmLimitForAppkeyAndApi", "应用的QPM超出限制"),
        Refusal::Month => ("ApiCountLimitForOrg", "本月的API调用量已用完"),
    };
    Reply::failure(403, &format!("Forbidden.AccessDenied.{code}"), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Fault, Quotas};

    fn desk(faults: &[&str]) -> StandIn {
        let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let mut desk = StandIn::new(SandboxSettings {
            faults,
            quotas: Quotas::unlimited(),
            ..SandboxSettings::default()
        });
        let body = br#"{"appKey":"k","appSecret":"s"}"#;
        desk.ask(ApiRequest::Token { way: TokenFlow::Internal, body }, Instant::now());
        desk
    }

    fn close(desk: &mut StandIn, conference_id: &str) -> String {
        let ask = ApiRequest::Close {
            conference_id: conference_id.into(),
            union_id: Some("host".into()),
            token: Some("sandbox-token-1"),
        };
        desk.ask(ask, Instant::now()).0.label()
    }

    #[test]
    fn each_fault_answers_as_its_name_says_and_closes_or_not() {
        for (fault, label, closed) in [
            ("systemError", "systemError", false),
            ("waterLimitError", "waterLimitError", false),
            ("qps", "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", false),
            ("qpm", "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi", false),
            ("token", "InvalidAuthentication", false),
            ("html", "http 502", false),
            ("body", "500", false),
            ("ban", "banned", false),
            ("empty", "http 200", true),
            ("cut", "http 200", true),
            ("lost", "connection dropped", true),
            ("reset", "connection dropped", false),
            ("silent", "no answer", false),
            ("slow", "200", true),
        ] {
            let mut desk = desk(&[&format!("{fault}=1")]);
            assert_eq!((close(&mut desk, "a").as_str(), desk.has_ended("a")), (label, closed), "{fault}");
        }
    }

    #[test]
    fn the_same_seed_and_calls_give_the_same_answers() {
        let play = || {
            let mut desk = desk(&["systemError=0.3", "lost=0.2"]);
            (0..200).map(|n| close(&mut desk, &n.to_string())).collect::<Vec<_>>()
        };
        let answers = play();
        assert_eq!(answers, play());
        let trouble = answers.iter().filter(|answer| *answer == "systemError").count();
        assert!((30..90).contains(&trouble), "{trouble}");
    }

    #[test]
    fn a_script_is_served_in_order_and_then_the_usual_answer() {
        let mut desk = desk(&[]);
        desk.script(
            "a",
            vec![Reply::Drop.into(), ScriptedReply { reply: Reply::raw(200, ""), closes: true }],
        );
        let answers = [close(&mut desk, "a"), close(&mut desk, "a"), close(&mut desk, "a")];
        assert_eq!(answers, ["connection dropped", "http 200", "resourceClose"]);
    }

    #[test]
    fn a_call_without_a_token_with_a_wrong_one_or_without_a_user_is_told_apart() {
        let mut desk = desk(&[]);
        let mut ask = |union_id: Option<&str>, token| {
            let ask =
                ApiRequest::Close { conference_id: "a".into(), union_id: union_id.map(str::to_owned), token };
            desk.ask(ask, Instant::now()).0.label()
        };
        assert_eq!(ask(Some("u"), None), "AuthenticationFailed.MissingParameter");
        assert_eq!(ask(Some("u"), Some("x")), "InvalidAuthentication");
        assert_eq!(ask(None, Some("sandbox-token-1")), "paramsError");
    }

    #[test]
    fn a_path_that_is_none_is_a_200_with_an_error_in_it() {
        let (reply, _) = desk(&[]).ask(ApiRequest::Unknown, Instant::now());
        assert_eq!(reply, Reply::raw(200, r#"{"errcode":404,"errmsg":"请求的URI地址不存在"}"#));
    }

    #[test]
    fn the_busiest_second_and_the_most_in_flight_are_counted() {
        let mut desk = desk(&[]);
        for name in ["a", "b", "c"] {
            close(&mut desk, name);
        }
        for _ in 0..4 {
            desk.answered();
        }
        close(&mut desk, "d");
        assert_eq!((desk.statistics.most_in_a_second, desk.statistics.most_in_flight), (4, 4));
    }
}
