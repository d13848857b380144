//! Which refusals may concern every row, although their code does not say so.
//!
//! Without a known code, nothing tells a refusal of one meeting from one of the app, of the address or of the path. Each row
//! would spend a metered call to hear it again.
//!
//! Invariant: a code for which the table has a verdict is never suspect, but for [`codes::INVALID_ACTION`].

use super::codes;
use crate::outcome::{Judgement, Verdict};

/// Whether every row may get this refusal. The statuses are those with which servers and proxies refuse a caller, a path or a
/// method, and redirects.
pub(crate) fn may_concern_every_row(judgement: &Judgement) -> bool {
    let details = &judgement.details;
    let by_status = matches!(details.http_status, Some(300..=399 | 401 | 403..=405));
    let code = codes::lookup(&details.code);
    judgement.verdict == Verdict::Refused
        && match code.filter(|code| code.verdict.is_some()) {
            Some(code) => code.name() == codes::INVALID_ACTION.name(),
            None => by_status,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dingtalk::{Exchange, HttpAnswer, judge};

    fn is_suspect(status: u16, body: &str) -> bool {
        let answer = HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() };
        may_concern_every_row(&judge(&Exchange::Answered(answer)))
    }

    #[test]
    fn a_refusal_without_a_known_code_is_suspect_where_its_status_may_concern_every_row() {
        for body in [
            "",
            "no",
            "{}",
            r#"{"code":"Forbidden.AccessDenied.SomethingNew","message":"x"}"#,
            r#"{"code":403}"#,
        ] {
            for status in [401, 403, 404, 405, 302] {
                assert!(is_suspect(status, body), "{status} {body}");
            }
            for status in [400, 410, 418, 500, 503] {
                assert!(!is_suspect(status, body), "{status} {body}");
            }
        }
        // Codes of a request for an access token say nothing about a meeting.
        assert!(is_suspect(401, r#"{"code":"unauthorized.client"}"#));
    }

    #[test]
    fn a_known_code_is_not_suspect_with_any_status() {
        for code in [
            "permissionError",
            "orgAccessForbidden",
            "unknownUserError",
            "paramsError",
            "resourceClose",
            "waterLimitError",
            "Forbidden.AccessDenied.IpNotInWhiteList",
            "InvalidAuthentication",
        ] {
            for status in [200, 400, 401, 403, 404] {
                assert!(!is_suspect(status, &format!(r#"{{"code":"{code}"}}"#)), "{status} {code}");
            }
        }
        assert!(!is_suspect(200, r#"{"code":200}"#) && !is_suspect(200, ""));
    }

    #[test]
    fn an_action_that_does_not_exist_is_suspect_with_any_status() {
        for code in ["InvalidAction.NotFound", "invalidaction.notfound"] {
            for status in [200, 400, 404] {
                assert!(
                    is_suspect(status, &format!(r#"{{"code":"{code}","message":"x"}}"#)),
                    "{status} {code}"
                );
            }
        }
    }
}
