//! What to do about each code: the action, or the key, that helps.
//!
//! Invariant: every code of DingTalk's page that does not end a meeting has a hint.

/// What a code asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hint {
    /// The code.
    pub code: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// The codes with their hints.
const HINTS: &[Hint] = &[
    Hint {
        code: "permissionError",
        advice: "the union id must be the meeting's host; the host may have handed the meeting on: look the host up among the meeting's members",
    },
    Hint {
        code: "unknownUserError",
        advice: "the same person has another union id in every developer account: look it up with the app that closes the meeting (dingtalk.app_key)",
    },
    Hint {
        code: "orgAccessForbidden",
        advice: "DingTalk restricts this organisation: ask its administrator, or DingTalk's support with the request id",
    },
    Hint {
        code: "paramsError",
        advice: "check the conference id: the digits that people see are the room code, not the id",
    },
    Hint {
        code: "paramsTitleError",
        advice: "quote the request id to DingTalk's support: closing sends no title",
    },
    Hint {
        code: "systemError",
        advice: "DingTalk had trouble: run the same rows again later, or raise retry.max_attempts",
    },
    Hint {
        code: "waterLimitError",
        advice: "too much at once for the number of participants: lower pace.requests_per_second",
    },
    Hint {
        code: "Forbidden.AccessDenied.AccessTokenPermissionDenied",
        advice: "grant the app the permission VideoConference.Conference.Write in DingTalk's developer console",
    },
    Hint {
        code: "Forbidden.AccessDenied.IpNotInWhiteList",
        advice: "add this machine's outgoing address to the app's list of allowed ones in DingTalk's developer console",
    },
    Hint {
        code: "Forbidden.AccessDenied.ApiCountLimitForOrg",
        advice: "the month's quota of calls is spent: wait for the next month or raise the plan, then run the same command again",
    },
    Hint {
        code: "InvalidAuthentication",
        advice: "DingTalk refuses a fresh token too: check dingtalk.base_url (api.dingtalk.io for international accounts, api.dingtalk.com for China) and dingtalk.auth",
    },
    Hint {
        code: "invalidClientIdOrSecret",
        advice: "check dingtalk.app_key and dingtalk.app_secret, and that dingtalk.base_url is the account's own region",
    },
    Hint {
        code: "invalid.client",
        advice: "check dingtalk.app_key, dingtalk.app_secret and dingtalk.corp_id, and that dingtalk.base_url is the account's own region",
    },
    Hint {
        code: "unauthorized.client",
        advice: "check dingtalk.app_key, dingtalk.app_secret and dingtalk.corp_id, and that dingtalk.base_url is the account's own region",
    },
    Hint {
        code: "unknownError",
        advice: "DingTalk says so of a wrong organisation too: check dingtalk.corp_id",
    },
    Hint {
        code: "invalidSuiteKey",
        advice: "check dingtalk.suite_key and dingtalk.suite_secret, and that dingtalk.base_url is the account's own region",
    },
    Hint {
        code: "invalidAuthInfo",
        advice: "check dingtalk.corp_id: that organisation must have authorised the app",
    },
    Hint {
        code: "invalidSuiteTicket",
        advice: "the suite ticket is stale: DingTalk pushes one about every five hours; write it to dingtalk.suite_ticket_file",
    },
    Hint {
        code: "address_banned",
        advice: "DingTalk bans an address that sends too much: lower pace.requests_per_second, and look what else calls from here",
    },
    Hint {
        code: "timeout",
        advice: "no answer in time: check the network, or raise dingtalk.request_timeout",
    },
    Hint { code: "connect_failed", advice: "check the network, HTTPS_PROXY, and dingtalk.base_url" },
    Hint {
        code: "certificate_untrusted",
        advice: "install the system's certificates (ca-certificates), or name the authority of a company's own proxy in dingtalk.ca_file; a wrong clock makes good certificates look expired",
    },
    Hint {
        code: "connection_lost",
        advice: "connections broke: check the network and the proxy, then run the same rows again",
    },
    Hint {
        code: "unreadable_answer",
        advice: "something between here and DingTalk answered in its place: check the proxy",
    },
    Hint { code: "404", advice: "the address is no DingTalk API: check dingtalk.base_url" },
];

/// The hint for a code. Rates a second and a minute share one.
pub fn hint(code: &str) -> Option<&'static str> {
    if code.contains("QpsLimitFor") || code.contains("QpmLimitFor") {
        return Some("the rate is above what DingTalk allows: lower pace.requests_per_second");
    }
    HINTS.iter().find(|hint| hint.code.eq_ignore_ascii_case(code)).map(|hint| hint.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_apis_page_has_a_hint() {
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
    fn a_key_that_a_hint_names_exists() {
        let defaults: toml::Table = crate::settings::DEFAULTS.parse().unwrap();
        for Hint { advice, .. } in HINTS {
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
