//! What an answer means: the whole table, as one pure function.
//!
//! DingTalk's own words for success and failure are spread over status, headers and body: `code` is a number on success
//! and a string on failure, throttling comes as 403 and 404, "it had ended" as 400, and a failure can come as a 200.
//! Invariant: a meeting counts as closed on HTTP 2xx with a whole body whose `code` is 200, and on nothing else.
//!
//! Sources: DingTalk's page "Close a video meeting" for the eight codes, its global error codes for `Forbidden.*` and the
//! authentication codes, reports from the field for the rest. `message` is localised, so no verdict looks at it.

use serde_json::{Map, Value};

use super::exchange::{Exchange, HttpAnswer, NoReply};
use crate::outcome::{Judgement, ReplyDetails, Throttle, Verdict};

/// The longest message that the audit keeps, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// Judges one request's end.
pub(crate) fn judge(exchange: &Exchange) -> Judgement {
    match exchange {
        Exchange::Answered(answer) => judge_answer(answer),
        Exchange::NoReply(lost) => {
            let (verdict, code, reason) = match lost {
                NoReply::NoConnection(_) => (Verdict::Unreachable, "connect_failed", "no connection"),
                NoReply::Untrusted(_) => {
                    (Verdict::Unreachable, "certificate_untrusted", "no connection that could be trusted")
                }
                NoReply::Timeout => {
                    (Verdict::Retry, "timeout", "no answer in time: the meeting's state is unknown")
                }
                NoReply::Broken(_) => (
                    Verdict::Retry,
                    "connection_lost",
                    "the connection broke: the meeting's state is unknown",
                ),
            };
            let said = ReplyDetails {
                code: code.into(),
                message: one_line(&lost.to_string()),
                ..ReplyDetails::default()
            };
            Judgement { verdict, reason, details: said, retry_after: None }
        }
    }
}

fn judge_answer(answer: &HttpAnswer) -> Judgement {
    let body = Body::read(answer);
    let (verdict, reason) = decide(answer, &body);
    Judgement {
        verdict,
        reason,
        retry_after: answer.retry_after,
        details: ReplyDetails {
            code: body.code_for_people(answer, verdict),
            http_status: Some(answer.status),
            message: body.message_for_people(answer, reason),
            request_id: body.request_id().or(answer.request_id.clone()).unwrap_or_default(),
        },
    }
}

/// The table. The order matters: what concerns every row is looked for before what concerns this one.
fn decide(answer: &HttpAnswer, body: &Body) -> (Verdict, &'static str) {
    if body.is_ban() {
        return (Verdict::Banned, "this address is banned for a while, for every call");
    }
    let by_code = body.code().and_then(|code| by_code(&code));
    match answer.status {
        429 => match by_code {
            Some(known @ (Verdict::Halt | Verdict::Throttled(_), _)) => known,
            Some(_) | None => (Verdict::Throttled(Throttle::Second), "throttled"),
        },
        407 => (Verdict::Halt, "the proxy wants credentials"),
        200..=299 => match body {
            Body::Html => {
                (Verdict::Banned, "a page instead of an answer: this address is banned for a while")
            }
            Body::Unreadable => {
                (Verdict::Retry, "an answer without a readable body: the meeting's state is unknown")
            }
            Body::Json(fields) => decide_success(fields, by_code),
        },
        400..=499 if matches!(body, Body::Html) => {
            (Verdict::Banned, "a page instead of an answer: this address is banned for a while")
        }
        300..=399 => {
            (Verdict::Refused, "a redirect, which is never followed: it would carry the access token away")
        }
        500..=599 => by_code.unwrap_or((Verdict::Retry, "trouble on DingTalk's side")),
        _ => by_code.unwrap_or((Verdict::Refused, "an answer that DingTalk does not document")),
    }
}

/// A 2xx whose body is a JSON object. It is no success until it says so.
fn decide_success(
    fields: &Map<String, Value>,
    by_code: Option<(Verdict, &'static str)>,
) -> (Verdict, &'static str) {
    match number(fields.get("code").or(fields.get("Code"))) {
        Some(200) => return (Verdict::Closed, "closed"),
        Some(500..=599) => return by_code.unwrap_or((Verdict::Retry, "trouble on DingTalk's side")),
        Some(_) => return by_code.unwrap_or((Verdict::Refused, "a failure, told in a 200")),
        None => {}
    }
    if let Some(known) = by_code {
        return known;
    }
    match number(fields.get("errcode")) {
        Some(404) => (Verdict::Halt, "the address or path is wrong"),
        Some(_) => (Verdict::Refused, "a failure, told in a 200"),
        None if fields.contains_key("code") => (Verdict::Refused, "a failure, told in a 200"),
        None => (Verdict::Retry, "an answer without a code: the meeting's state is unknown"),
    }
}

/// The codes that are known, whatever status they come with. Compared without letter case: DingTalk's capitalised form of
/// an error exists beside the lower-case one.
fn by_code(code: &str) -> Option<(Verdict, &'static str)> {
    let code = code.to_ascii_lowercase();
    let code = code.strip_prefix("forbidden.accessdenied.").unwrap_or(&code);
    Some(match code {
        "resourceclose" | "confclosed" | "roomclosed" => (Verdict::AlreadyEnded, "it had ended"),
        "systemerror" | "system.error" => (Verdict::Retry, "trouble on DingTalk's side"),
        "waterlimiterror" => {
            (Verdict::Throttled(Throttle::Second), "rate limit for the number of participants")
        }
        "permissionerror" => (Verdict::Refused, "the union id is not this meeting's host"),
        "orgaccessforbidden" => (Verdict::Refused, "the organisation is restricted"),
        "unknownusererror" => (Verdict::Refused, "the union id is not known in this developer account"),
        "paramserror" | "paramstitleerror" => (Verdict::Refused, "DingTalk calls a parameter wrong"),
        "apicountlimitfororg" => (Verdict::Halt, "the organisation's quota for the month is spent"),
        "accesstokenpermissiondenied" => (Verdict::Halt, "the app lacks the permission to close meetings"),
        "ipnotinwhitelist" => (Verdict::Halt, "this address is not on the app's list of allowed ones"),
        "invalidauthentication" => (Verdict::TokenRefused, "the access token is invalid or has expired"),
        "authenticationfailed.missingparameter" => (Verdict::Halt, "the access token did not arrive"),
        qps if qps.starts_with("qpslimitfor") => {
            (Verdict::Throttled(Throttle::Second), "rate limit a second")
        }
        qpm if qpm.starts_with("qpmlimitfor") => {
            (Verdict::Throttled(Throttle::Minute), "rate limit a minute")
        }
        _ => return None,
    })
}

/// Whether a code of the audit says that the meeting has ended.
pub(crate) fn says_ended(code: &str) -> bool {
    code == "200" || matches!(by_code(code), Some((Verdict::AlreadyEnded, _)))
}

/// A body, as far as it can be read.
enum Body {
    Json(Map<String, Value>),
    Html,
    Unreadable,
}

impl Body {
    fn read(answer: &HttpAnswer) -> Self {
        let starts_like_html = answer.body.trim_ascii_start().starts_with(b"<");
        if starts_like_html || (answer.is_html && !answer.body.is_empty()) {
            return Self::Html;
        }
        match serde_json::from_slice(&answer.body) {
            Ok(Value::Object(fields)) if answer.complete => Self::Json(fields),
            _ => Self::Unreadable,
        }
    }

    fn fields(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Json(fields) => Some(fields),
            Self::Html | Self::Unreadable => None,
        }
    }

    /// A text field, under its lower-case or its capitalised name.
    fn text(&self, names: &[&str]) -> Option<String> {
        let fields = self.fields()?;
        names.iter().find_map(|name| fields.get(*name)?.as_str()).map(str::to_owned)
    }

    /// `{"status":1111,"wait":5,"source":"x5","punish":"deny"}`: the wall in front of DingTalk, not DingTalk.
    fn is_ban(&self) -> bool {
        let Some(fields) = self.fields() else { return false };
        fields.get("punish").and_then(Value::as_str) == Some("deny")
            || fields.get("status").and_then(Value::as_i64) == Some(1111)
    }

    /// The code in words: `code` where it is text, else what `cause` begins with (`permissionError: …`).
    fn code(&self) -> Option<String> {
        let code = self.text(&["code", "Code"]).filter(|code| code.parse::<i64>().is_err());
        code.or_else(|| {
            let cause = self.text(&["cause", "Cause"])?;
            Some(cause.split([':', ' ', '\u{ff1a}']).next().unwrap_or_default().to_owned())
        })
    }

    fn request_id(&self) -> Option<String> {
        self.text(&["requestid", "requestId", "RequestId"]).map(|id| one_line(&id))
    }

    fn code_for_people(&self, answer: &HttpAnswer, verdict: Verdict) -> String {
        if verdict == Verdict::Banned {
            return "address_banned".into();
        }
        let known = self.code().filter(|code| by_code(code).is_some() && verdict != Verdict::Closed);
        let said = known.or_else(|| self.text(&["code", "Code"])).or_else(|| {
            let fields = self.fields()?;
            number(fields.get("code").or(fields.get("errcode"))).map(|code| code.to_string())
        });
        said.map(|code| one_line(&code)).filter(|code| !code.is_empty()).unwrap_or_else(|| {
            match answer.status {
                200..=299 => "unreadable_answer".into(),
                status => format!("http_{status}"),
            }
        })
    }

    fn message_for_people(&self, answer: &HttpAnswer, reason: &str) -> String {
        let said = self.text(&["message", "Message", "cause", "Cause", "errmsg"]).unwrap_or_else(|| {
            let start = String::from_utf8_lossy(&answer.body);
            if start.trim().is_empty() {
                reason.to_owned()
            } else {
                format!("{reason}; the body begins: {start}")
            }
        });
        one_line(&said)
    }
}

/// A number, also where it is written as text.
pub(super) fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Foreign text as one line of bounded length, without characters that could steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(MAX_MESSAGE_CHARS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
