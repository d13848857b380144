//! The first contact of a check: who answers at the configured address.
//!
//! Invariant: nothing of the answer's body is kept, because it may contain an access token.

use jiff::Timestamp;

use super::body::Body;
use super::codes::{self, ADDRESS_BANNED, NO_SUCH_API};
use super::exchange::{Exchange, HttpAnswer, NoReply};
use super::token_grant::{TokenError, TokenGrant};

/// What a first contact showed.
#[derive(Debug)]
pub struct FirstContact {
    /// Who answered.
    pub reachability: Reachability,
    /// Whether the stand-in answered.
    pub is_sandbox: bool,
    /// The access token, or why there is none. `None` if access tokens are fetched elsewhere.
    pub token: Option<Result<TokenGrant, TokenError>>,
}

/// Who answered, as the form of the answer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reachability {
    /// DingTalk's API, with its time to the second if the answer has one.
    DingTalk(Option<Timestamp>),
    /// A host of DingTalk's without this API: HTTP 200 with `{"errcode":404}`.
    NoSuchApi,
    /// The wall in front of DingTalk, which has banned this address for a while.
    Banned,
    /// A server with trouble, with this HTTP status: DingTalk, or a gateway before it.
    Trouble(u16),
    /// Another server, with this HTTP status.
    NotDingTalk(u16),
    /// No answer came.
    NoReply(NoReply),
}

impl Reachability {
    pub(super) fn of(exchange: &Exchange) -> Self {
        match exchange {
            Exchange::Answered(answer) => Self::of_answer(answer),
            Exchange::NoReply(no_reply) => Self::NoReply(no_reply.clone()),
        }
    }

    fn of_answer(answer: &HttpAnswer) -> Self {
        let body = Body::read(answer);
        if body.is_ban() {
            Self::Banned
        } else if body.text(&["accessToken", "access_token", "code", "Code"]).is_some()
            || body.errcodes().any(|code| codes::lookup_errcode(code).is_some())
        {
            Self::DingTalk(answer.served_at)
        } else if body.errcode() == Some(404) {
            Self::NoSuchApi
        } else if answer.status >= 500 {
            Self::Trouble(answer.status)
        } else {
            Self::NotDingTalk(answer.status)
        }
    }

    /// What to do about it. `None` for DingTalk.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DingTalk(_) => None,
            Self::NoSuchApi => NO_SUCH_API.hint,
            Self::Banned => ADDRESS_BANNED.hint,
            Self::NoReply(no_reply) => codes::of_no_reply(no_reply).hint,
            Self::Trouble(_) => {
                Some("check again in a few minutes; a proxy on the way may also answer like this")
            }
            Self::NotDingTalk(_) => Some(
                "check dingtalk.base_url and the proxy; if both are right, DingTalk has banned this address for five minutes",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reachability(status: u16, body: &str) -> Reachability {
        let answer = HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() };
        Reachability::of(&Exchange::Answered(answer))
    }

    #[test]
    fn dingtalk_is_recognised_by_its_grants_and_by_its_refusals() {
        for (status, body) in [
            (200, r#"{"accessToken":"t","expireIn":7200}"#),
            (200, r#"{"access_token":"t","expires_in":7200}"#),
            (400, r#"{"code":"invalidClientIdOrSecret","requestid":"x","message":"x"}"#),
            (403, r#"{"Code":"Forbidden.AccessDenied.IpNotInWhiteList","Message":"x"}"#),
            (500, r#"{"code":"unknownError","message":"x"}"#),
            (200, r#"{"errcode":90018,"errmsg":"x"}"#),
            (200, r#"{"errcode":88,"sub_code":"90020","sub_msg":"x"}"#),
        ] {
            assert_eq!(reachability(status, body), Reachability::DingTalk(None), "{body}");
        }
    }

    #[test]
    fn every_other_answer_has_its_own_kind() {
        assert_eq!(reachability(200, r#"{"errcode":404,"errmsg":"x"}"#), Reachability::NoSuchApi);
        assert_eq!(
            reachability(200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#),
            Reachability::Banned
        );
        assert_eq!(reachability(502, "<html>"), Reachability::Trouble(502));
        assert_eq!(reachability(200, "<html>"), Reachability::NotDingTalk(200));
        assert_eq!(reachability(404, r#"{"error":"not found"}"#), Reachability::NotDingTalk(404));
        assert_eq!(reachability(301, ""), Reachability::NotDingTalk(301));
        assert_eq!(
            Reachability::of(&Exchange::NoReply(NoReply::Timeout)),
            Reachability::NoReply(NoReply::Timeout)
        );
    }

    #[test]
    fn a_check_gives_the_hint_that_a_run_would_give() {
        for (reachability, code) in [
            (Reachability::NoSuchApi, "404"),
            (Reachability::Banned, "address_banned"),
            (Reachability::NoReply(NoReply::Timeout), "timeout"),
        ] {
            assert_eq!(reachability.hint(), codes::hint(code), "{code}");
        }
        assert_eq!(Reachability::DingTalk(None).hint(), None);
        assert!(Reachability::Trouble(502).hint().is_some());
    }
}
