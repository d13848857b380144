//! A first contact: who stands at the other end, before anything is asked of it.
//!
//! Invariant: what is kept of an answer holds nothing of its body, which on this path may be a token.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::exchange::{Exchange, HttpAnswer, NoReply};
use super::token_grant::{TokenError, TokenGrant};

/// What a first contact showed.
#[derive(Debug)]
pub struct FirstContact {
    /// Who was met.
    pub met: Reachability,
    /// The token, or why there is none; nothing where tokens are fetched elsewhere.
    pub token: Option<Result<TokenGrant, TokenError>>,
}

/// Who was met, told by the form of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reachability {
    /// DingTalk's API; its time, to the second, where it told it.
    DingTalk(Option<Timestamp>),
    /// A host of DingTalk's without this API: HTTP 200 with `{"errcode":404}`.
    NoSuchPath,
    /// The wall in front of DingTalk, which has banned this address for a while.
    Banned,
    /// Trouble, with this HTTP status: DingTalk's own, or a gateway's on the way there.
    Trouble(u16),
    /// Something else, with this HTTP status.
    Stranger(u16),
    /// Nobody.
    Nobody(NoReply),
}

impl Reachability {
    /// Tells from how a request ended.
    pub(super) fn of(exchange: &Exchange) -> Self {
        match exchange {
            Exchange::Answered(answer) => Self::whose(answer),
            Exchange::NoReply(lost) => Self::Nobody(lost.clone()),
        }
    }

    fn whose(answer: &HttpAnswer) -> Self {
        let fields: Map<String, Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
        let has_text =
            |names: &[&str]| names.iter().any(|name| fields.get(*name).is_some_and(Value::is_string));
        if fields.get("punish").is_some() || fields.get("status").and_then(Value::as_i64) == Some(1111) {
            Self::Banned
        } else if has_text(&["accessToken", "access_token", "code", "Code"]) {
            Self::DingTalk(answer.served_at)
        } else if fields.get("errcode").and_then(Value::as_i64) == Some(404) {
            Self::NoSuchPath
        } else if answer.status >= 500 {
            Self::Trouble(answer.status)
        } else {
            Self::Stranger(answer.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(status: u16, body: &str) -> Reachability {
        let answer = HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() };
        Reachability::of(&Exchange::Answered(answer))
    }

    #[test]
    fn dingtalk_is_known_by_its_grants_and_by_its_refusals() {
        for (status, body) in [
            (200, r#"{"accessToken":"t","expireIn":7200}"#),
            (200, r#"{"access_token":"t","expires_in":7200}"#),
            (400, r#"{"code":"invalidClientIdOrSecret","requestid":"x","message":"x"}"#),
            (403, r#"{"Code":"Forbidden.AccessDenied.IpNotInWhiteList","Message":"x"}"#),
            (500, r#"{"code":"unknownError","message":"x"}"#),
        ] {
            assert_eq!(met(status, body), Reachability::DingTalk(None), "{body}");
        }
    }

    #[test]
    fn whoever_else_answers_is_told_apart() {
        assert_eq!(met(200, r#"{"errcode":404,"errmsg":"x"}"#), Reachability::NoSuchPath);
        assert_eq!(
            met(200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#),
            Reachability::Banned
        );
        assert_eq!(met(502, "<html>"), Reachability::Trouble(502));
        assert_eq!(met(200, "<html>"), Reachability::Stranger(200));
        assert_eq!(met(404, r#"{"error":"not found"}"#), Reachability::Stranger(404));
        assert_eq!(met(301, ""), Reachability::Stranger(301));
        assert_eq!(
            Reachability::of(&Exchange::NoReply(NoReply::Timeout)),
            Reachability::Nobody(NoReply::Timeout)
        );
    }
}
