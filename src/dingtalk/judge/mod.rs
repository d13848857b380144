//! What the end of one request means: a pure function of status, headers and body. `codes` says what each code means.
//!
//! DingTalk spreads success and failure over status, headers and body. `code` is a number on success and a string on
//! failure. Throttling comes as 403 and 404, "it had ended" as 400, and a failure can come as a 200.
//! Invariant: a meeting counts as closed on HTTP 2xx with a whole body whose `code` is 200, and on nothing else.
//!
//! DingTalk translates `message`, so no verdict looks at it.

use super::body::{Body, CodeField, number, one_line};
use super::codes::{self, ADDRESS_BANNED, Code, NO_SUCH_API, UNREADABLE_ANSWER};
use super::exchange::{Exchange, HttpAnswer, NoReply};
use crate::outcome::{Judgement, ReplyDetails, Throttle, Verdict};

/// A verdict, and why.
type Ruling = (Verdict, &'static str);

const PAGE: Ruling = (Verdict::Banned, "a page instead of an answer: this address is banned for a while");
const TROUBLE: Ruling = (Verdict::Retry, "trouble on DingTalk's side");
const UNREADABLE: Ruling = (Verdict::Retry, UNREADABLE_ANSWER.reason);
const FAILURE_IN_SUCCESS: Ruling = (Verdict::Refused, "a failure in an answer with a status of success");

/// Judges the end of one request.
pub(crate) fn judge(exchange: &Exchange) -> Judgement {
    match exchange {
        Exchange::Answered(answer) => judge_answer(answer),
        Exchange::NoReply(no_reply) => judge_no_reply(no_reply),
    }
}

fn judge_no_reply(no_reply: &NoReply) -> Judgement {
    let code = codes::of_no_reply(no_reply);
    let (verdict, reason) = or_by_status(Some(code), TROUBLE);
    let details = ReplyDetails {
        code: code.name().into(),
        message: one_line(&no_reply.to_string()),
        ..ReplyDetails::default()
    };
    Judgement { verdict, reason, details, retry_after: None }
}

fn judge_answer(answer: &HttpAnswer) -> Judgement {
    let body = Body::read(answer);
    let ruling @ (verdict, reason) = decide(answer, &body);
    Judgement {
        verdict,
        reason,
        retry_after: answer.retry_after,
        details: ReplyDetails {
            code: code_for_people(&body, answer, ruling),
            http_status: Some(answer.status),
            message: message_for_people(&body, answer, reason),
            request_id: body.request_id().or(answer.request_id.clone()).unwrap_or_default(),
        },
    }
}

/// The order matters: what concerns every row comes before what concerns this one.
fn decide(answer: &HttpAnswer, body: &Body) -> Ruling {
    if body.is_ban() {
        return (Verdict::Banned, ADDRESS_BANNED.reason);
    }
    let code = body.code_word().and_then(|code| codes::lookup(&code));
    let code = code.or_else(|| Some(of_old_gateway(body)?.1));
    match answer.status {
        429 => match code.and_then(ruling) {
            Some(known @ (Verdict::Halt | Verdict::Throttled(_), _)) => known,
            Some(_) | None => (Verdict::Throttled(Throttle::Second), "throttled"),
        },
        407 => (Verdict::Halt, "the proxy wants credentials"),
        200..=299 => match body {
            Body::Html => PAGE,
            Body::Unreadable => UNREADABLE,
            Body::Json(_) => decide_success(body, code),
        },
        400..=499 if matches!(body, Body::Html) => PAGE,
        300..=399 => {
            (Verdict::Refused, "a redirect, which is never followed: it would carry the access token away")
        }
        500..=599 => or_by_status(code, TROUBLE),
        _ => or_by_status(code, (Verdict::Refused, "an answer that DingTalk does not document")),
    }
}

/// A 2xx whose body is a JSON object. It is a success only if its code says so.
fn decide_success(body: &Body, code: Option<&'static Code>) -> Ruling {
    match body.code_field() {
        CodeField::Number(200) if body.is_consistent() => (Verdict::Closed, "closed"),
        CodeField::Number(200) | CodeField::Unclear => UNREADABLE,
        CodeField::Number(500..=599) => or_by_status(code, TROUBLE),
        CodeField::Number(_) | CodeField::Word => or_by_status(code, FAILURE_IN_SUCCESS),
        CodeField::Missing => match (code.and_then(ruling), body.errcode()) {
            (Some(known), _) => known,
            (None, Some(404)) => (Verdict::Halt, NO_SUCH_API.reason),
            (None, Some(_)) => FAILURE_IN_SUCCESS,
            (None, None) => UNREADABLE,
        },
    }
}

/// The code of DingTalk's older gateway that the body has, and its row in the table.
fn of_old_gateway(body: &Body) -> Option<(i64, &'static Code)> {
    body.errcodes().find_map(|code| Some((code, codes::lookup_errcode(code)?)))
}

/// What a code means with any status.
fn ruling(code: &Code) -> Option<Ruling> {
    Some((code.verdict?, code.reason))
}

/// What the code means. The status gives the verdict if the code does not.
fn or_by_status(code: Option<&Code>, (by_status, reason): Ruling) -> Ruling {
    match code {
        Some(code) => (code.verdict.unwrap_or(by_status), code.reason),
        None => (by_status, reason),
    }
}

fn code_for_people(body: &Body, answer: &HttpAnswer, (verdict, reason): Ruling) -> String {
    if verdict == Verdict::Banned {
        return ADDRESS_BANNED.name().into();
    }
    if reason == UNREADABLE_ANSWER.reason {
        return UNREADABLE_ANSWER.name().into();
    }
    let is_known = |code: &String| codes::lookup(code).and_then(ruling).is_some();
    let known = body.code_word().filter(|code| is_known(code) && verdict != Verdict::Closed);
    let known = known.or_else(|| Some(of_old_gateway(body)?.0.to_string()));
    let code = known.or_else(|| body.text(&["code", "Code"])).or_else(|| {
        let fields = body.fields()?;
        number(fields.get("code").or(fields.get("errcode"))).map(|code| code.to_string())
    });
    // 200 says that a meeting has ended, so no other verdict may carry it.
    let says_it = |code: &String| !code.is_empty() && (verdict == Verdict::Closed || code != "200");
    code.map(|code| one_line(&code)).filter(says_it).unwrap_or_else(|| match answer.status {
        200..=299 => UNREADABLE_ANSWER.name().into(),
        status => format!("http_{status}"),
    })
}

fn message_for_people(body: &Body, answer: &HttpAnswer, reason: &str) -> String {
    let message = body.text(&["message", "Message", "cause", "Cause", "errmsg"]).unwrap_or_else(|| {
        let start = String::from_utf8_lossy(&answer.body);
        if start.trim().is_empty() {
            reason.to_owned()
        } else {
            format!("{reason}; the body begins: {start}")
        }
    });
    one_line(&message)
}

#[cfg(test)]
mod tests;
