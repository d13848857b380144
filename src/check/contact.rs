//! Judges a first contact with DingTalk: who answered, whether the clocks agree, and whether an access token came.
//!
//! Invariant: a clock is only called wrong as far as the answer proves it.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Side};
use crate::dingtalk::{FirstContact, Reachability, TokenError, TokenGrant, TokenKeeper, hint};

/// From this difference of the clocks on, the check warns: the audit's times are evidence.
const CLOCK_WARNING: SignedDuration = SignedDuration::from_secs(5);
/// From this difference on, a run would not work: DingTalk's robots refuse a signature that is older than an hour.
const CLOCK_LIMIT: SignedDuration = SignedDuration::from_hours(1);

/// A first contact, with its times by this machine's clock.
#[derive(Debug)]
pub(crate) struct Contact {
    /// Scheme and host.
    pub address: String,
    /// `dingtalk.auth`. `None` if a credential is missing, and so nothing is known of the access token.
    pub auth: Option<&'static str>,
    pub found: FirstContact,
    /// When the request was sent.
    pub sent_at: Timestamp,
    /// When its answer came.
    pub answered_at: Timestamp,
}

/// The findings of a first contact.
pub(crate) fn contact(contact: &Contact) -> Vec<Finding> {
    let Contact { address, auth, found, sent_at, answered_at } = contact;
    let mut findings = vec![reached(address, found)];
    if let Reachability::DingTalk(served_at) = &found.reachability {
        findings.push(match served_at {
            Some(served_at) => clock(ahead(*sent_at, *answered_at, *served_at)),
            None => Finding::warning(
                "clock",
                "DingTalk's answer has no time",
                "compare this machine's clock with a correct one",
            ),
        });
        findings.extend(auth.map(|auth| token(auth, found.token.as_ref())));
    }
    findings
}

fn reached(address: &str, FirstContact { reachability, is_sandbox, .. }: &FirstContact) -> Finding {
    let found = match reachability {
        Reachability::DingTalk(_) if *is_sandbox => {
            format!("{address} answers: it is the sandbox, and closes no real meeting")
        }
        Reachability::DingTalk(_) => format!("{address} answers"),
        Reachability::NoSuchApi => format!("{address} answers, and has no API for access tokens"),
        Reachability::Banned => format!("{address} has banned this address for five minutes"),
        Reachability::Trouble(status) => format!("{address} has trouble (HTTP {status})"),
        Reachability::NotDingTalk(status) => {
            format!("the server at {address} is no DingTalk API (HTTP {status})")
        }
        Reachability::NoReply(no_reply) => format!("{address}: {no_reply}"),
    };
    match reachability.hint() {
        None => Finding::ok("dingtalk", found),
        Some(advice) => Finding::wrong(Side::DingTalk, "dingtalk", found, advice),
    }
}

/// How far this machine's clock is ahead of the server's, at least. The server wrote its time, to the second, at some moment
/// while this machine waited.
fn ahead(sent_at: Timestamp, answered_at: Timestamp, served_at: Timestamp) -> SignedDuration {
    let at_least = sent_at.duration_since(served_at) - SignedDuration::from_secs(1);
    let at_most = answered_at.duration_since(served_at);
    SignedDuration::ZERO.max(at_least).min(at_most)
}

fn clock(ahead: SignedDuration) -> Finding {
    let direction = if ahead.is_negative() { "behind" } else { "ahead of" };
    let found = format!("{:#} {direction} DingTalk's", SignedDuration::from_secs(ahead.abs().as_secs()));
    let advice = "let the machine keep its time (timedatectl set-ntp true)";
    if ahead.abs() > CLOCK_LIMIT {
        let found = format!("{found}, and a robot's signature is valid for one hour");
        Finding::wrong(Side::Local, "clock", found, advice)
    } else if ahead.abs() > CLOCK_WARNING {
        Finding::warning("clock", format!("{found}: the audit's times would be wrong"), advice)
    } else {
        Finding::ok("clock", "agrees with DingTalk's")
    }
}

fn token(auth: &str, token: Option<&Result<TokenGrant, TokenError>>) -> Finding {
    let refused = |error: &TokenError| {
        let code = error.details().code;
        let advice = hint(&code).unwrap_or("look up the code in DingTalk's documentation of access tokens");
        Finding::wrong(Side::DingTalk, "token", error.to_string(), advice)
    };
    match token {
        None => Finding::ok("token", format!("{auth} has one; only a request can prove that it is valid")),
        Some(Err(error)) => refused(error),
        Some(Ok(grant)) => {
            if let Err(unusable) = TokenKeeper::default().fetched(grant, tokio::time::Instant::now()) {
                return refused(&unusable);
            }
            let lifetime = SignedDuration::try_from(grant.lifetime).unwrap_or(SignedDuration::MAX);
            let found = format!(
                "fetched with {auth}, valid for {lifetime:#}; only a close request can prove the permission to close meetings"
            );
            Finding::ok("token", found)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::findings::Grade;
    use crate::dingtalk::NoReply;
    use crate::outcome::ReplyDetails;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_000_000_000 + millis).unwrap()
    }

    fn lines(reachability: Reachability, token: Option<Result<TokenGrant, TokenError>>) -> Vec<String> {
        let found = FirstContact { reachability, is_sandbox: false, token };
        let made = Contact {
            address: "https://api.dingtalk.io".into(),
            auth: Some("internal_app"),
            found,
            sent_at: at(100),
            answered_at: at(900),
        };
        contact(&made).iter().map(ToString::to_string).collect()
    }

    fn refusal(code: &str) -> Result<TokenGrant, TokenError> {
        let details = ReplyDetails { code: code.into(), message: "no".into(), ..ReplyDetails::default() };
        Err(TokenError::Refused(details))
    }

    #[test]
    fn only_a_certain_difference_of_the_clocks_counts() {
        let ahead = |sent, answered, served| ahead(at(sent), at(answered), at(served)).as_millis();
        // Served within the second that 0 names, while this machine waited from -3000 to 3000: nothing is certain.
        assert_eq!(ahead(-3_000, 3_000, 0), 0);
        assert_eq!(ahead(500, 600, 0), 0);
        assert_eq!(ahead(9_000, 9_500, 0), 8_000);
        assert_eq!(ahead(-9_500, -9_000, 0), -9_000);
    }

    #[test]
    fn a_clock_that_is_seconds_off_gives_a_warning_and_one_that_is_an_hour_off_is_wrong() {
        let grade = |seconds| clock(SignedDuration::from_secs(seconds)).grade;
        for seconds in [0, 5, -5] {
            assert_eq!(grade(seconds), Grade::Ok, "{seconds}");
        }
        for seconds in [6, -6, 3_600, -3_600] {
            assert!(matches!(grade(seconds), Grade::Warning(_)), "{seconds}");
        }
        for seconds in [3_601, -3_601] {
            assert!(matches!(grade(seconds), Grade::Wrong(Side::Local, _)), "{seconds}");
        }
        let found = clock(SignedDuration::from_secs(-75)).found;
        assert_eq!(found, "1m 15s behind DingTalk's: the audit's times would be wrong");
    }

    #[test]
    fn an_access_token_is_described_by_its_lifetime_and_never_shown() {
        let grant = TokenGrant { token: "hunter2".into(), lifetime: Duration::from_hours(2) };
        let lines = lines(Reachability::DingTalk(Some(at(0))), Some(Ok(grant)));
        assert_eq!(
            lines[..2],
            ["ok     dingtalk: https://api.dingtalk.io answers", "ok     clock: agrees with DingTalk's"]
        );
        assert!(
            lines[2].starts_with("ok     token: fetched with internal_app, valid for 2h; "),
            "{}",
            lines[2]
        );
        assert!(!lines[2].contains("hunter2"));
    }

    #[test]
    fn a_refusal_has_the_hint_of_its_code() {
        for code in [
            "invalidClientIdOrSecret",
            "invalidSuiteKey",
            "invalidSuiteTicket",
            "invalidAuthInfo",
            "invalid.client",
            "unauthorized.client",
            "unknownError",
            "Forbidden.AccessDenied.AccessTokenPermissionDenied",
            "Forbidden.AccessDenied.IpNotInWhiteList",
            "InvalidAuthentication",
        ] {
            let lines = lines(Reachability::DingTalk(None), Some(refusal(code)));
            let expected = format!(
                "wrong  token: DingTalk refused to give an access token: no ({code}); hint: {}",
                hint(code).unwrap()
            );
            assert_eq!(lines[2], expected);
        }
        assert!(
            lines(Reachability::DingTalk(None), Some(refusal("new")))[2].contains("; hint: look up the code")
        );
    }

    #[test]
    fn every_answer_that_is_not_dingtalks_is_one_wrong_line() {
        let no_reply = Reachability::NoReply;
        let answers = [
            (Reachability::NoSuchApi, "has no API for access tokens"),
            (Reachability::Banned, "has banned this address"),
            (Reachability::Trouble(502), "has trouble (HTTP 502)"),
            (Reachability::NotDingTalk(200), "is no DingTalk API (HTTP 200)"),
            (
                no_reply(NoReply::NoConnection("refused".into())),
                "could not connect: refused; hint: check the network",
            ),
            (
                no_reply(NoReply::Untrusted("UnknownIssuer".into())),
                "the certificate is not trusted: UnknownIssuer; hint: install",
            ),
            (no_reply(NoReply::Timeout), "no answer in time; hint: check the network, or raise"),
            (
                no_reply(NoReply::Broken("reset".into())),
                "the connection broke: reset; hint: check the network and the proxy",
            ),
        ];
        for (reachability, part) in answers {
            let lines = lines(reachability, Some(refusal("404")));
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with("wrong  dingtalk: ") && lines[0].contains(part), "{}", lines[0]);
        }
    }

    #[test]
    fn an_access_token_that_is_fetched_elsewhere_is_not_called_proven() {
        assert!(
            lines(Reachability::DingTalk(None), None)[2]
                .ends_with("only a request can prove that it is valid")
        );
    }
}
