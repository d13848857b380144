//! A first contact with DingTalk, judged: who answered, whose clock is right, and whether there is a token.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Side};
use crate::dingtalk::hint;
use crate::dingtalk::{FirstContact, NoReply, Reachability, TokenError, TokenGrant, TokenKeeper};

/// How far apart two clocks may be before it is said: the audit's times are evidence.
const CLOCK_DOUBT: SignedDuration = SignedDuration::from_secs(5);
/// How far apart they may be at all: DingTalk's robots refuse a signature of another hour.
const CLOCK_LIMIT: SignedDuration = SignedDuration::from_hours(1);

/// A first contact, and when it was made by this machine's clock.
#[derive(Debug)]
pub(crate) struct Contact {
    /// Where: scheme and host.
    pub address: String,
    /// `dingtalk.auth`; none where a credential is lacking, and nothing can be said of the token.
    pub auth: Option<&'static str>,
    /// What it showed.
    pub showed: FirstContact,
    /// When the request left.
    pub left_at: Timestamp,
    /// When its answer was there.
    pub answered_at: Timestamp,
}

/// The findings of a first contact.
pub(crate) fn contact(contact: &Contact) -> Vec<Finding> {
    let Contact { address, auth, showed, left_at, answered_at } = contact;
    let mut findings = vec![met(address, &showed.met)];
    if let Reachability::DingTalk(served_at) = &showed.met {
        findings.push(match served_at {
            Some(served_at) => clock(ahead(*left_at, *answered_at, *served_at)),
            None => Finding::doubtful(
                "clock",
                "DingTalk's answer told no time",
                "compare with a clock that is right",
            ),
        });
        findings.extend(auth.map(|auth| token(auth, showed.token.as_ref())));
    }
    findings
}

fn met(address: &str, met: &Reachability) -> Finding {
    let wrong = |found: String, advice: &str| Finding::wrong(Side::DingTalks, "dingtalk", found, advice);
    let hint = |code| hint(code).unwrap_or_default();
    match met {
        Reachability::DingTalk(_) => Finding::fine("dingtalk", format!("{address} answers")),
        Reachability::NoSuchPath => {
            wrong(format!("{address} answers, and does not know how to give a token"), hint("404"))
        }
        Reachability::Banned => {
            wrong(format!("{address} has banned this address for five minutes"), hint("address_banned"))
        }
        Reachability::Trouble(status) => wrong(
            format!("{address} has trouble (HTTP {status})"),
            "check again in a few minutes; a proxy on the way answers so too",
        ),
        Reachability::Stranger(status) => wrong(
            format!("who answers at {address} is no DingTalk API (HTTP {status})"),
            "check dingtalk.base_url and the proxy; where both are right, DingTalk has banned this address for five minutes",
        ),
        Reachability::Nobody(lost) => {
            let code = match lost {
                NoReply::NoConnection(_) => "connect_failed",
                NoReply::Untrusted(_) => "certificate_untrusted",
                NoReply::Timeout => "timeout",
                NoReply::Broken(_) => "connection_lost",
            };
            wrong(format!("{address}: {lost}"), hint(code))
        }
    }
}

/// How far this machine's clock is ahead of the other end's, at the least. That end's time is told to the second, and was
/// told at some time while this machine waited.
fn ahead(left_at: Timestamp, answered_at: Timestamp, served_at: Timestamp) -> SignedDuration {
    let at_least = left_at.duration_since(served_at) - SignedDuration::from_secs(1);
    let at_most = answered_at.duration_since(served_at);
    SignedDuration::ZERO.max(at_least).min(at_most)
}

fn clock(ahead: SignedDuration) -> Finding {
    let direction = if ahead.is_negative() { "behind" } else { "ahead of" };
    let found = format!("{:#} {direction} DingTalk's", SignedDuration::from_secs(ahead.abs().as_secs()));
    let advice = "let the machine keep its time (timedatectl set-ntp true)";
    if ahead.abs() > CLOCK_LIMIT {
        let found = format!("{found}, and a robot's signature is good for an hour");
        Finding::wrong(Side::Ours, "clock", found, advice)
    } else if ahead.abs() > CLOCK_DOUBT {
        Finding::doubtful("clock", format!("{found}: the audit's times would be wrong"), advice)
    } else {
        Finding::fine("clock", "agrees with DingTalk's")
    }
}

fn token(auth: &str, token: Option<&Result<TokenGrant, TokenError>>) -> Finding {
    let refused = |error: &TokenError| {
        let code = error.details().code;
        let advice = hint(&code).unwrap_or("look the code up in DingTalk's documentation of access tokens");
        Finding::wrong(Side::DingTalks, "token", error.to_string(), advice)
    };
    match token {
        None => Finding::fine("token", format!("{auth} names one; only its use can prove it")),
        Some(Err(error)) => refused(error),
        Some(Ok(grant)) => {
            if let Err(unusable) = TokenKeeper::default().fetched(grant, tokio::time::Instant::now()) {
                return refused(&unusable);
            }
            let lifetime = SignedDuration::try_from(grant.lifetime).unwrap_or(SignedDuration::MAX);
            let found = format!(
                "fetched by {auth}, good for {lifetime:#}; only its use can prove the permission to close meetings"
            );
            Finding::fine("token", found)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::findings::Grade;
    use crate::outcome::ReplyDetails;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_000_000_000 + millis).unwrap()
    }

    fn lines(met: Reachability, token: Option<Result<TokenGrant, TokenError>>) -> Vec<String> {
        let showed = FirstContact { met, token };
        let made = Contact {
            address: "https://api.dingtalk.io".into(),
            auth: Some("internal_app"),
            showed,
            left_at: at(100),
            answered_at: at(900),
        };
        contact(&made).iter().map(ToString::to_string).collect()
    }

    fn refusal(code: &str) -> Result<TokenGrant, TokenError> {
        let said = ReplyDetails { code: code.into(), message: "no".into(), ..ReplyDetails::default() };
        Err(TokenError::Refused(said))
    }

    #[test]
    fn a_clock_is_judged_by_what_is_certain_alone() {
        let ahead = |left, answered, served| ahead(at(left), at(answered), at(served)).as_millis();
        // Served within the second that 0 names, while this machine waited from -3000 to 3000: nothing is certain.
        assert_eq!(ahead(-3_000, 3_000, 0), 0);
        assert_eq!(ahead(500, 600, 0), 0);
        assert_eq!(ahead(9_000, 9_500, 0), 8_000);
        assert_eq!(ahead(-9_500, -9_000, 0), -9_000);
    }

    #[test]
    fn a_clock_that_is_seconds_off_is_a_doubt_and_an_hour_is_wrong() {
        let grade = |seconds| clock(SignedDuration::from_secs(seconds)).grade;
        for seconds in [0, 5, -5] {
            assert_eq!(grade(seconds), Grade::Fine, "{seconds}");
        }
        for seconds in [6, -6, 3_600, -3_600] {
            assert!(matches!(grade(seconds), Grade::Doubtful(_)), "{seconds}");
        }
        for seconds in [3_601, -3_601] {
            assert!(matches!(grade(seconds), Grade::Wrong(Side::Ours, _)), "{seconds}");
        }
        let found = clock(SignedDuration::from_secs(-75)).found;
        assert_eq!(found, "1m 15s behind DingTalk's: the audit's times would be wrong");
    }

    #[test]
    fn a_token_is_told_by_its_lifetime_and_never_shown() {
        let grant = TokenGrant { token: "hunter2".into(), lifetime: Duration::from_hours(2) };
        let lines = lines(Reachability::DingTalk(Some(at(0))), Some(Ok(grant)));
        assert_eq!(
            lines[..2],
            ["ok     dingtalk: https://api.dingtalk.io answers", "ok     clock: agrees with DingTalk's"]
        );
        assert!(lines[2].starts_with("ok     token: fetched by internal_app, good for 2h; "), "{}", lines[2]);
        assert!(!lines[2].contains("hunter2"));
    }

    #[test]
    fn a_refusal_carries_the_hint_of_its_code() {
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
            lines(Reachability::DingTalk(None), Some(refusal("new")))[2].contains("; hint: look the code up")
        );
    }

    #[test]
    fn whoever_is_not_dingtalk_is_one_wrong_line_of_its_own() {
        let lost = |lost| Reachability::Nobody(lost);
        let answers = [
            (Reachability::NoSuchPath, "does not know how to give a token"),
            (Reachability::Banned, "has banned this address"),
            (Reachability::Trouble(502), "has trouble (HTTP 502)"),
            (Reachability::Stranger(200), "is no DingTalk API (HTTP 200)"),
            (
                lost(NoReply::NoConnection("refused".into())),
                "could not connect: refused; hint: check the network",
            ),
            (
                lost(NoReply::Untrusted("UnknownIssuer".into())),
                "the certificate is not trusted: UnknownIssuer; hint: install",
            ),
            (lost(NoReply::Timeout), "no answer in time; hint: no answer in time: check the network"),
            (lost(NoReply::Broken("reset".into())), "the connection broke: reset; hint: connections broke"),
        ];
        for (met, part) in answers {
            let lines = lines(met, Some(refusal("404")));
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with("wrong  dingtalk: ") && lines[0].contains(part), "{}", lines[0]);
        }
    }

    #[test]
    fn a_token_that_is_fetched_elsewhere_is_not_called_proven() {
        assert!(lines(Reachability::DingTalk(None), None)[2].ends_with("only its use can prove it"));
    }
}
