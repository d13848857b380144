//! The one table of codes: what each code means, why, and what to do about it.
//!
//! The table has four kinds of codes: those that DingTalk answers to a close request, those that it answers to a request
//! for an access token, those of its older gateway, and our own for a request without a usable answer. To support another
//! DingTalk code, add one row to [`CODES`]: verdict, reason and hint all come from it.
//!
//! Invariant: every code that does not end a meeting has a hint.
//!
//! Sources: DingTalk's page "Close a video meeting" for the eight codes of that call, its global error codes for
//! `Forbidden.*` and the authentication codes, its pages on access tokens, and reports from the field for the rest.

use super::exchange::NoReply;
use crate::outcome::{Throttle, Verdict};

/// DingTalk puts this before the codes of its gateway. It is no part of a name in the table.
const GATEWAY_PREFIX: &str = "Forbidden.AccessDenied.";

/// Who writes a code. An answer may contain any text, so it is never looked up among our own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    DingTalk,
    /// DingTalk's older gateway, in `errcode`. Its codes are numbers, which other fields use for other things.
    OldGateway,
    Ours,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Code {
    writer: Writer,
    /// The names, compared without letter case: DingTalk writes both `permissionError` and `PermissionError`. A name that
    /// ends in `*` matches every code that begins with it.
    names: &'static [&'static str],
    /// What the code means, with any HTTP status. `None`: the status decides.
    pub verdict: Option<Verdict>,
    pub reason: &'static str,
    pub hint: Option<&'static str>,
}

impl Code {
    const fn dingtalk(
        names: &'static [&'static str],
        verdict: Option<Verdict>,
        reason: &'static str,
        hint: Option<&'static str>,
    ) -> Self {
        Self { writer: Writer::DingTalk, names, verdict, reason, hint }
    }

    const fn old_gateway(
        names: &'static [&'static str],
        verdict: Verdict,
        reason: &'static str,
        hint: &'static str,
    ) -> Self {
        Self { writer: Writer::OldGateway, names, verdict: Some(verdict), reason, hint: Some(hint) }
    }

    const fn ours(
        names: &'static [&'static str],
        verdict: Verdict,
        reason: &'static str,
        hint: &'static str,
    ) -> Self {
        Self { writer: Writer::Ours, names, verdict: Some(verdict), reason, hint: Some(hint) }
    }

    /// The code as the audit has it.
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    fn has_name(&self, code: &str) -> bool {
        self.names.iter().any(|name| match name.strip_suffix('*') {
            Some(prefix) => strip_prefix(code, prefix).is_some(),
            None => name.eq_ignore_ascii_case(code),
        })
    }
}

const TOO_FAST: &str = "the rate is above what DingTalk allows: lower pace.requests_per_second";

const MONTH_SPENT: &str = "the month's quota of calls is spent: wait for the next month or raise the plan, then run the same command again";

const GRANT_PERMISSION: &str =
    "grant the app the permission VideoConference.Conference.Write in DingTalk's developer console";

const CHECK_REGION: &str = "DingTalk refuses a fresh access token too: check dingtalk.base_url (api.dingtalk.io for international accounts, api.dingtalk.com for China) and dingtalk.auth";

/// No connection, so no request was sent.
const CONNECT_FAILED: Code = Code::ours(
    &["connect_failed"],
    Verdict::Unreachable,
    "no connection",
    "check the network, HTTPS_PROXY, and dingtalk.base_url",
);

/// The other end could not prove that it is DingTalk, so no request was sent.
const CERTIFICATE_UNTRUSTED: Code = Code::ours(
    &["certificate_untrusted"],
    Verdict::Unreachable,
    "the certificate is not trusted",
    "install the system's certificates (ca-certificates), or name the authority of a company's own proxy in dingtalk.ca_file; a wrong clock makes good certificates look expired",
);

const WRONG_SERVER: Code = Code::ours(
    &["wrong_server"],
    Verdict::Halt,
    "another server answers at this address now",
    "find out which server answers at dingtalk.base_url; continue a rehearsal with the sandbox, and a real run with DingTalk",
);

const TIMEOUT: Code = Code::ours(
    &["timeout"],
    Verdict::Retry,
    "no answer in time: the meeting's state is unknown",
    "check the network, or raise dingtalk.request_timeout",
);

const CONNECTION_LOST: Code = Code::ours(
    &["connection_lost"],
    Verdict::Retry,
    "the connection broke: the meeting's state is unknown",
    "check the network and the proxy, then run the same rows again",
);

/// An answer without a readable body, or without a code in it.
pub(super) const UNREADABLE_ANSWER: Code = Code::ours(
    &["unreadable_answer"],
    Verdict::Retry,
    "the answer has no readable code: the meeting's state is unknown",
    "something between this machine and DingTalk answered in its place: check the proxy",
);

/// The wall in front of DingTalk refuses every call of this address.
pub(super) const ADDRESS_BANNED: Code = Code::ours(
    &["address_banned"],
    Verdict::Banned,
    "this address is banned for a while, for every call",
    "DingTalk bans an address that sends too much: lower pace.requests_per_second, and find out what else calls from this address",
);

/// `{"errcode":404}`: a host of DingTalk's without this API.
pub(super) const NO_SUCH_API: Code = Code::ours(
    &["404"],
    Verdict::Halt,
    "the address or path is wrong",
    "the address is no DingTalk API: check dingtalk.base_url",
);

/// DingTalk's access token has characters that no header can carry.
pub(super) const UNUSABLE_TOKEN: Code = Code::ours(
    &["unusable_token"],
    Verdict::Halt,
    "the access token has characters that no header can carry",
    "check dingtalk.base_url and dingtalk.auth; an access token is one line of visible ASCII characters",
);

/// The file of a credential cannot be read.
pub(super) const CREDENTIAL_UNREADABLE: Code = Code::ours(
    &["credential_unreadable"],
    Verdict::Halt,
    "a credential cannot be read",
    "a run reads the files of credentials again for each access token: keep them in place and readable while it lasts",
);

/// What to do about a refusal that says no more than its status.
pub(crate) const UNKNOWN_REFUSAL_HINT: &str = "check dingtalk.base_url, the proxy, and the app's permissions in DingTalk's developer console; if DingTalk refuses only these meetings, name them in a list for --exclude";

/// The statuses with which servers and proxies refuse a caller or a path.
const UNKNOWN_REFUSAL: Code = Code::ours(
    &["http_401", "http_403", "http_404", "http_405"],
    Verdict::Refused,
    "a refusal without a code",
    UNKNOWN_REFUSAL_HINT,
);

/// The gateway knows no such call. It may mean the path or the version, and then every row gets it.
pub(super) const INVALID_ACTION: Code = Code::dingtalk(
    &["InvalidAction.NotFound"],
    Some(Verdict::Refused),
    "DingTalk knows no such call",
    Some("the address may be no DingTalk API: check dingtalk.base_url and the proxy"),
);

/// The table.
static CODES: &[Code] = &[
    // The codes of the page "Close a video meeting".
    Code::dingtalk(
        &["resourceClose", "confClosed", "roomClosed"],
        Some(Verdict::AlreadyEnded),
        "the meeting had ended",
        None,
    ),
    Code::dingtalk(
        &["permissionError"],
        Some(Verdict::Refused),
        "the union id is not this meeting's host",
        Some(
            "the union id must be the meeting's host; the host may have handed the meeting on: look the host up among the meeting's members",
        ),
    ),
    Code::dingtalk(
        &["unknownUserError"],
        Some(Verdict::Refused),
        "the union id is not known in this developer account",
        Some(
            "the same person has another union id in every developer account: look it up with the app that closes the meeting (dingtalk.app_key)",
        ),
    ),
    Code::dingtalk(
        &["orgAccessForbidden"],
        Some(Verdict::Refused),
        "the organisation is restricted",
        Some(
            "DingTalk restricts this organisation: ask its administrator, or DingTalk's support with the request id",
        ),
    ),
    Code::dingtalk(
        &["paramsError"],
        Some(Verdict::Refused),
        "DingTalk calls a parameter wrong",
        Some("check the conference id: the digits that people see are the room code, not the id"),
    ),
    Code::dingtalk(
        &["paramsTitleError"],
        Some(Verdict::Refused),
        "DingTalk calls a parameter wrong",
        Some("quote the request id to DingTalk's support: closing sends no title"),
    ),
    Code::dingtalk(
        &["systemError", "system.error"],
        Some(Verdict::Retry),
        "trouble on DingTalk's side",
        Some("DingTalk had trouble: run the same rows again later, or raise retry.max_attempts"),
    ),
    Code::dingtalk(
        &["waterLimitError"],
        Some(Verdict::Throttled(Throttle::Second)),
        "rate limit for the number of participants",
        Some("too much at once for the number of participants: lower pace.requests_per_second"),
    ),
    // The global codes.
    Code::dingtalk(
        &["QpsLimitFor*"],
        Some(Verdict::Throttled(Throttle::Second)),
        "rate limit a second",
        Some(TOO_FAST),
    ),
    Code::dingtalk(
        &["QpmLimitFor*"],
        Some(Verdict::Throttled(Throttle::Minute)),
        "rate limit a minute",
        Some(TOO_FAST),
    ),
    Code::dingtalk(
        &["ApiCountLimitForOrg"],
        Some(Verdict::Halt),
        "the organisation's quota for the month is spent",
        Some(MONTH_SPENT),
    ),
    Code::dingtalk(
        &["AccessTokenPermissionDenied"],
        Some(Verdict::Halt),
        "the app lacks the permission to close meetings",
        Some(GRANT_PERMISSION),
    ),
    Code::dingtalk(
        &["IpNotInWhiteList"],
        Some(Verdict::Halt),
        "this address is not on the app's list of allowed ones",
        Some(
            "add this machine's outgoing address to the app's list of allowed ones in DingTalk's developer console",
        ),
    ),
    Code::dingtalk(
        &["InvalidAuthentication"],
        Some(Verdict::TokenRefused),
        "the access token is invalid or has expired",
        Some(CHECK_REGION),
    ),
    Code::dingtalk(
        &["AuthenticationFailed.MissingParameter"],
        Some(Verdict::Halt),
        "the access token did not arrive",
        Some("something between this machine and DingTalk removes a header: check the proxy"),
    ),
    INVALID_ACTION,
    // The codes of a request for an access token. The status says whether the next request can succeed.
    Code::dingtalk(
        &["invalidClientIdOrSecret"],
        None,
        "the app key or the app secret is wrong",
        Some(
            "check dingtalk.app_key and dingtalk.app_secret, and that dingtalk.base_url is the account's own region",
        ),
    ),
    Code::dingtalk(
        &["invalid.client", "unauthorized.client"],
        None,
        "the client id or the client secret is wrong",
        Some(
            "check dingtalk.app_key, dingtalk.app_secret and dingtalk.corp_id, and that dingtalk.base_url is the account's own region",
        ),
    ),
    Code::dingtalk(
        &["unknownError"],
        None,
        "DingTalk does not say why",
        Some("DingTalk also answers this to a wrong organisation: check dingtalk.corp_id"),
    ),
    Code::dingtalk(
        &["invalidSuiteKey"],
        None,
        "the suite key or the suite secret is wrong",
        Some(
            "check dingtalk.suite_key and dingtalk.suite_secret, and that dingtalk.base_url is the account's own region",
        ),
    ),
    Code::dingtalk(
        &["invalidAuthInfo"],
        None,
        "the organisation has not authorised the app",
        Some("check dingtalk.corp_id: that organisation must have authorised the app"),
    ),
    Code::dingtalk(
        &["invalidSuiteTicket"],
        None,
        "the suite ticket is wrong or stale",
        Some(
            "the suite ticket is stale: DingTalk pushes one about every five hours; write it to dingtalk.suite_ticket_file",
        ),
    ),
    // The codes of the older gateway, which can come in a 200. They say the same as some of the global codes.
    Code::old_gateway(
        &["88", "90002", "90018", "90019"],
        Verdict::Throttled(Throttle::Second),
        "rate limit of the older gateway",
        TOO_FAST,
    ),
    Code::old_gateway(
        &["90020"],
        Verdict::Halt,
        "the organisation's quota for the month is spent",
        MONTH_SPENT,
    ),
    Code::old_gateway(
        &["40001", "40014", "42001"],
        Verdict::TokenRefused,
        "the access token is invalid or has expired",
        CHECK_REGION,
    ),
    Code::old_gateway(
        &["60011"],
        Verdict::Halt,
        "the app lacks the permission to close meetings",
        GRANT_PERMISSION,
    ),
    Code::old_gateway(
        &["-1"],
        Verdict::Retry,
        "trouble on DingTalk's side",
        "DingTalk had trouble: run the same rows again later, or raise retry.max_attempts",
    ),
    // Our own.
    CONNECT_FAILED,
    CERTIFICATE_UNTRUSTED,
    TIMEOUT,
    WRONG_SERVER,
    CONNECTION_LOST,
    UNREADABLE_ANSWER,
    ADDRESS_BANNED,
    NO_SUCH_API,
    UNUSABLE_TOKEN,
    CREDENTIAL_UNREADABLE,
    UNKNOWN_REFUSAL,
];

/// The row of a code in an answer of DingTalk.
pub(super) fn lookup(code: &str) -> Option<&'static Code> {
    row(code).filter(|row| row.writer == Writer::DingTalk)
}

/// The row of an `errcode` of DingTalk's older gateway.
pub(super) fn lookup_errcode(code: i64) -> Option<&'static Code> {
    row(&code.to_string()).filter(|row| row.writer == Writer::OldGateway)
}

/// The row of a request that got no reply.
pub(super) const fn of_no_reply(no_reply: &NoReply) -> &'static Code {
    match no_reply {
        NoReply::NoConnection(_) => &CONNECT_FAILED,
        NoReply::Untrusted(_) => &CERTIFICATE_UNTRUSTED,
        NoReply::WrongServer(_) => &WRONG_SERVER,
        NoReply::Timeout => &TIMEOUT,
        NoReply::Broken(_) => &CONNECTION_LOST,
    }
}

/// What to do about a code of the audit: the action that helps, or the configuration key.
pub fn hint(code: &str) -> Option<&'static str> {
    row(code)?.hint
}

/// Whether a code of the audit says that the meeting has ended.
pub(crate) fn says_ended(code: &str) -> bool {
    code == "200" || lookup(code).is_some_and(|row| row.verdict == Some(Verdict::AlreadyEnded))
}

fn row(code: &str) -> Option<&'static Code> {
    let name = strip_prefix(code, GATEWAY_PREFIX).unwrap_or(code);
    CODES.iter().find(|row| row.has_name(name))
}

/// The text after a prefix, which is compared without letter case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_does_not_end_a_meeting_has_a_hint() {
        for code in CODES {
            let ends = code.verdict == Some(Verdict::AlreadyEnded);
            assert_eq!(code.hint.is_some(), !ends, "{}", code.name());
        }
        for code in [
            "orgAccessForbidden",
            "unknownUserError",
            "paramsTitleError",
            "paramsError",
            "waterLimitError",
            "permissionError",
            "systemError",
            "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
        ] {
            assert!(hint(code).is_some(), "{code}");
        }
        assert_eq!(hint("200"), None);
        assert_eq!(hint("resourceClose"), None);
    }

    #[test]
    fn a_name_is_in_the_table_once() {
        let names: Vec<_> =
            CODES.iter().flat_map(|code| code.names).map(|name| name.to_lowercase()).collect();
        for name in &names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_code_is_found_in_any_letter_case_and_with_or_without_the_gateways_prefix() {
        for code in
            ["IpNotInWhiteList", "forbidden.accessdenied.ipnotinwhitelist", "QPSLIMITFORX", "qpmLimitFor"]
        {
            assert!(lookup(code).is_some(), "{code}");
        }
        for code in ["", "Forbidden.AccessDenied.", "QpsLimit", "会议会议会议会议会议会议"] {
            assert!(lookup(code).is_none() && hint(code).is_none(), "{code}");
        }
    }

    #[test]
    fn an_answer_with_one_of_our_own_codes_is_unknown() {
        for code in ["timeout", "address_banned", "404"] {
            assert!(lookup(code).is_none() && hint(code).is_some(), "{code}");
        }
        assert!(lookup_errcode(404).is_none());
    }

    #[test]
    fn a_number_of_the_older_gateway_is_known_as_an_errcode_alone() {
        for code in [-1, 88, 90_002, 90_018, 90_019, 90_020, 40_001, 40_014, 42_001, 60_011] {
            let text = code.to_string();
            assert!(lookup_errcode(code).is_some() && lookup(&text).is_none(), "{code}");
            assert!(hint(&text).is_some(), "{code}");
        }
        assert!(lookup_errcode(0).is_none() && lookup_errcode(200).is_none());
    }

    #[test]
    fn a_key_that_a_hint_names_exists() {
        let defaults: toml::Table = crate::settings::DEFAULTS.parse().unwrap();
        for advice in CODES.iter().filter_map(|code| code.hint) {
            for word in advice.split([' ', ',', ';', ':', '(', ')']) {
                if let Some((section, key)) = word.split_once('.')
                    && let Some(section) = defaults.get(section).and_then(toml::Value::as_table)
                {
                    assert!(section.contains_key(key), "{word}");
                }
            }
        }
    }
}
