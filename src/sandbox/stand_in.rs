//! The stand-in as a state machine: a request in, an answer out, without a socket.
//!
//! Invariant: the same settings and the same requests at the same times give the same answers.

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

/// How much longer a slow answer takes.
const SLOW: Duration = Duration::from_secs(3);

/// A request, as the API reads it.
#[derive(Debug)]
pub(super) enum ApiRequest<'a> {
    Token { flow: TokenFlow, body: &'a [u8] },
    Close { conference_id: String, union_id: Option<String>, token: Option<&'a str> },
    Unknown,
}

/// The state of the stand-in.
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

    /// Whether answers say that they come from the stand-in.
    pub(super) fn says_so(&self) -> bool {
        self.settings.says_so
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

    /// The answer to a request, and after how long it is to be sent. The caller then calls [`StandIn::reply_sent`].
    pub(super) fn answer(&mut self, request: ApiRequest<'_>, now: Instant) -> (Reply, Duration) {
        self.in_flight += 1;
        self.statistics.most_in_flight = self.statistics.most_in_flight.max(self.in_flight);
        if let ApiRequest::Close { .. } = request {
            self.count_close(now);
        }
        let (shortest, longest) = self.settings.latency;
        let latency = shortest + longest.saturating_sub(shortest).mul_f64(self.chance.f64());
        if self.meter.is_banned(now) {
            self.statistics.calls_while_banned += 1;
            return (Reply::ban(), latency);
        }
        match request {
            ApiRequest::Unknown => {
                (Reply::json(200, &json!({"errcode": 404, "errmsg": "请求的URI地址不存在"})), latency)
            }
            ApiRequest::Token { flow, body } => {
                self.statistics.token_calls += 1;
                let reply =
                    self.token_script.pop_front().unwrap_or_else(|| self.tokens.grant(flow, body, now));
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

    /// An answer was sent, or the connection ended without one.
    pub(super) fn reply_sent(&mut self) {
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
                self.close_meeting(conference_id, union_id);
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
            Some(fault) => self.apply_fault(fault, conference_id, union_id, now),
        };
        (reply.unwrap_or_else(|| self.close_meeting(conference_id, union_id)), more)
    }

    /// The answer without a fault.
    fn close_meeting(&mut self, conference_id: &str, union_id: &str) -> Reply {
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
        // There is one draw for all faults. So a fault that is added at the end changes no earlier result of a seed.
        let mut drawn = self.chance.f64();
        for fault in &self.settings.faults {
            if drawn < fault.probability {
                return Some(fault.kind);
            }
            drawn -= fault.probability;
        }
        None
    }

    /// The answer of a fault. `None` if the usual answer follows.
    fn apply_fault(
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
            self.close_meeting(conference_id, union_id);
        } else {
            self.meetings.open(conference_id, union_id);
        }
        Some(reply)
    }

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

    fn stand_in(faults: &[&str]) -> StandIn {
        let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let mut stand_in = StandIn::new(SandboxSettings {
            faults,
            quotas: Quotas::unlimited(),
            ..SandboxSettings::default()
        });
        let body = br#"{"appKey":"k","appSecret":"s"}"#;
        stand_in.answer(ApiRequest::Token { flow: TokenFlow::Internal, body }, Instant::now());
        stand_in
    }

    fn close(stand_in: &mut StandIn, conference_id: &str) -> String {
        let request = ApiRequest::Close {
            conference_id: conference_id.into(),
            union_id: Some("host".into()),
            token: Some("sandbox-token-1"),
        };
        stand_in.answer(request, Instant::now()).0.label()
    }

    #[test]
    fn each_fault_gives_its_answer_and_closes_the_meeting_or_not() {
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
            let mut stand_in = stand_in(&[&format!("{fault}=1")]);
            assert_eq!(
                (close(&mut stand_in, "a").as_str(), stand_in.has_ended("a")),
                (label, closed),
                "{fault}"
            );
        }
    }

    #[test]
    fn the_same_seed_and_calls_give_the_same_answers() {
        let answers = || {
            let mut stand_in = stand_in(&["systemError=0.3", "lost=0.2"]);
            (0..200).map(|n| close(&mut stand_in, &n.to_string())).collect::<Vec<_>>()
        };
        let first = answers();
        assert_eq!(first, answers());
        let trouble = first.iter().filter(|answer| *answer == "systemError").count();
        assert!((30..90).contains(&trouble), "{trouble}");
    }

    #[test]
    fn a_script_is_answered_in_order_and_the_usual_answer_follows() {
        let mut stand_in = stand_in(&[]);
        stand_in.script(
            "a",
            vec![Reply::Drop.into(), ScriptedReply { reply: Reply::raw(200, ""), closes: true }],
        );
        let answers = [close(&mut stand_in, "a"), close(&mut stand_in, "a"), close(&mut stand_in, "a")];
        assert_eq!(answers, ["connection dropped", "http 200", "resourceClose"]);
    }

    #[test]
    fn a_call_without_an_access_token_with_a_wrong_one_or_without_a_user_has_its_own_code() {
        let mut stand_in = stand_in(&[]);
        let mut close = |union_id: Option<&str>, token| {
            let request =
                ApiRequest::Close { conference_id: "a".into(), union_id: union_id.map(str::to_owned), token };
            stand_in.answer(request, Instant::now()).0.label()
        };
        assert_eq!(close(Some("u"), None), "AuthenticationFailed.MissingParameter");
        assert_eq!(close(Some("u"), Some("x")), "InvalidAuthentication");
        assert_eq!(close(None, Some("sandbox-token-1")), "paramsError");
    }

    #[test]
    fn an_unknown_path_gets_a_200_with_an_error_in_it() {
        let (reply, _) = stand_in(&[]).answer(ApiRequest::Unknown, Instant::now());
        assert_eq!(reply, Reply::raw(200, r#"{"errcode":404,"errmsg":"请求的URI地址不存在"}"#));
    }

    #[test]
    fn the_busiest_second_and_the_most_in_flight_are_counted() {
        let mut stand_in = stand_in(&[]);
        for name in ["a", "b", "c"] {
            close(&mut stand_in, name);
        }
        for _ in 0..4 {
            stand_in.reply_sent();
        }
        close(&mut stand_in, "d");
        assert_eq!((stand_in.statistics.most_in_a_second, stand_in.statistics.most_in_flight), (4, 4));
    }
}
