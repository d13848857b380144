//! Reads the answer to a request for an access token, as a pure function.
//!
//! Invariant: no error of this module contains a secret, even if DingTalk repeats one in its message.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use thiserror::Error;

use super::body::one_line;
use super::codes::CREDENTIAL_UNREADABLE;
use super::exchange::{Exchange, HttpAnswer};
use super::judge::judge;
use crate::outcome::{ReplyDetails, Throttle, Verdict};
use crate::settings::SettingsError;

/// How long an access token is valid if DingTalk does not say: its documented two hours.
const DOCUMENTED_LIFETIME: Duration = Duration::from_hours(2);

/// The longest lifetime that is believed. A longer one is cut to this, so that it can be added to any instant.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 30);

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";

/// A shorter beginning of a secret gives nothing away, and any text may end with it. In bytes.
const SHORTEST_BEGINNING: usize = 4;

/// An access token that DingTalk granted.
#[derive(Debug, Clone)]
pub struct TokenGrant {
    /// The access token.
    pub token: SecretString,
    /// How long it is valid from now on.
    pub lifetime: Duration,
}

/// Why there is no access token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// DingTalk refused the credentials, and would refuse them again.
    #[error("DingTalk refused to give an access token: {} ({})", .0.message, .0.code)]
    Refused(ReplyDetails),
    /// DingTalk has trouble, or it cannot be reached. The next request may succeed.
    #[error("cannot fetch an access token: {} ({})", .0.message, .0.code)]
    Unavailable(ReplyDetails),
    /// A credential's file cannot be read.
    #[error(transparent)]
    Credential(#[from] SettingsError),
}

impl TokenError {
    /// Whether the next request can succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Refused(_) | Self::Credential(_) => false,
        }
    }

    /// What the audit keeps of it, for the rows that it stops.
    pub fn details(&self) -> ReplyDetails {
        match self {
            Self::Refused(details) | Self::Unavailable(details) => details.clone(),
            Self::Credential(error) => ReplyDetails {
                code: CREDENTIAL_UNREADABLE.name().into(),
                message: error.to_string(),
                ..ReplyDetails::default()
            },
        }
    }
}

/// Reads the answer to a request for an access token. `sent` are the secrets in that request.
pub(crate) fn read_grant(exchange: &Exchange, sent: &[SecretString]) -> Result<TokenGrant, TokenError> {
    if let Exchange::Answered(answer) = exchange
        && let Some(grant) = granted(answer)
    {
        return Ok(grant);
    }
    let judgement = judge(exchange);
    let details = ReplyDetails {
        message: match exchange {
            // The start of an unreadable body is not shown: here it may be an access token.
            Exchange::Answered(answer) => message(answer).unwrap_or_else(|| judgement.reason.to_owned()),
            Exchange::NoReply(_) => judgement.details.message,
        },
        ..judgement.details
    };
    let details = ReplyDetails {
        message: redact(details.message, sent),
        code: redact(details.code, sent),
        request_id: redact(details.request_id, sent),
        ..details
    };
    match judgement.verdict {
        Verdict::Retry
        | Verdict::Unreachable
        | Verdict::Banned
        | Verdict::Throttled(Throttle::Second | Throttle::Minute) => Err(TokenError::Unavailable(details)),
        Verdict::Closed
        | Verdict::AlreadyEnded
        | Verdict::TokenRefused
        | Verdict::Refused
        | Verdict::Halt => Err(TokenError::Refused(details)),
    }
}

fn granted(answer: &HttpAnswer) -> Option<TokenGrant> {
    if !(200..=299).contains(&answer.status) || !answer.complete {
        return None;
    }
    let fields: Value = serde_json::from_slice(&answer.body).ok()?;
    let field = |names: [&str; 2]| names.into_iter().find_map(|name| fields.get(name));
    let token = field(["accessToken", "access_token"])?.as_str().filter(|token| !token.is_empty())?;
    let lifetime = field(["expireIn", "expires_in"]).and_then(Value::as_u64);
    Some(TokenGrant {
        token: token.into(),
        lifetime: lifetime.map_or(DOCUMENTED_LIFETIME, Duration::from_secs).min(MAX_LIFETIME),
    })
}

fn message(answer: &HttpAnswer) -> Option<String> {
    let fields: Value = serde_json::from_slice(&answer.body).ok()?;
    ["message", "Message", "errmsg"].iter().find_map(|name| fields.get(name)?.as_str()).map(one_line)
}

/// The text, with `[redacted]` in place of these secrets. A secret at the end may be cut off: foreign texts have a longest length.
pub(super) fn redact(text: String, secrets: &[SecretString]) -> String {
    secrets.iter().map(ExposeSecret::expose_secret).fold(text, |text, secret| {
        if secret.is_empty() {
            return text;
        }
        let text = text.replace(secret, REDACTED);
        let beginnings = (SHORTEST_BEGINNING..secret.len()).rev().filter_map(|end| secret.get(..end));
        let rest = beginnings.into_iter().find_map(|beginning| text.strip_suffix(beginning));
        rest.map(|rest| format!("{rest}{REDACTED}")).unwrap_or(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dingtalk::NoReply;

    fn read(status: u16, body: &str) -> Result<TokenGrant, TokenError> {
        let answer = HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() };
        read_grant(&Exchange::Answered(answer), &["hunter2".into()])
    }

    #[test]
    fn both_forms_of_a_grant_are_read() {
        for body in [r#"{"accessToken":"t","expireIn":7200}"#, r#"{"access_token":"t","expires_in":7200}"#] {
            let grant = read(200, body).unwrap();
            assert_eq!((grant.token.expose_secret(), grant.lifetime), ("t", DOCUMENTED_LIFETIME));
        }
    }

    #[test]
    fn a_refusal_is_final_and_keeps_dingtalks_code() {
        for (status, body, code) in [
            (
                400,
                r#"{"code":"invalidClientIdOrSecret","message":"无效的clientId"}"#,
                "invalidClientIdOrSecret",
            ),
            (400, r#"{"code":"invalidSuiteTicket","message":"x"}"#, "invalidSuiteTicket"),
            (400, r#"{"code":"Missingbody","message":"x"}"#, "Missingbody"),
            (401, r#"{"code":"unauthorized.client","message":"x"}"#, "unauthorized.client"),
            (200, r#"{"errcode":404,"errmsg":"x"}"#, "404"),
        ] {
            let error = read(status, body).unwrap_err();
            assert!(!error.is_transient(), "{body}");
            assert_eq!(error.details().code, code);
        }
    }

    #[test]
    fn trouble_is_transient() {
        for (status, body) in [
            (500, r#"{"code":"server.error","message":"x"}"#),
            (502, "<html>"),
            (200, ""),
            (200, r#"{"accessToken":"","expireIn":7200}"#),
            (429, ""),
            (200, r#"{"status":1111,"punish":"deny"}"#),
        ] {
            assert!(read(status, body).unwrap_err().is_transient(), "{status} {body}");
        }
        assert!(read_grant(&Exchange::NoReply(NoReply::Timeout), &[]).unwrap_err().is_transient());
    }

    #[test]
    fn a_lifetime_of_any_length_can_be_added_to_an_instant() {
        let body = r#"{"accessToken":"t","expireIn":18446744073709551615}"#;
        assert_eq!(read(200, body).unwrap().lifetime, MAX_LIFETIME);
    }

    #[test]
    fn a_secret_that_the_longest_length_cuts_off_is_redacted_too() {
        let long = "x".repeat(496);
        for field in ["message", "code", "requestid"] {
            let error = read(400, &format!(r#"{{"code":"c","{field}":"{long}hunter2"}}"#)).unwrap_err();
            assert!(!format!("{error}{error:?}").contains("hunt"), "{error:?}");
        }
    }

    #[test]
    fn no_error_repeats_a_secret_or_a_token() {
        for (status, body) in [
            (400, r#"{"code":"hunter2","message":"wrong secret hunter2","requestid":"hunter2"}"#),
            (200, r#"{"accessToken":"hunter2"#),
            (500, "hunter2"),
        ] {
            let error = read(status, body).unwrap_err();
            assert!(!format!("{error}{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
