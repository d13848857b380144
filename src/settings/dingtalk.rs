//! `[dingtalk]`: DingTalk's address, and how the program gets an access token.
//!
//! Invariant: a [`BaseUrl`] never sends an access token over a network without encryption.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;

use super::error::SettingsError;
use super::secret::Secret;
use super::text;

/// Credentials are not checked here but when they are needed, by [`DingTalkSettings::auth`].
#[derive(Debug, Clone)]
pub struct DingTalkSettings {
    /// The address for all requests.
    pub base_url: BaseUrl,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for a complete answer.
    pub request_timeout: Duration,
    /// A certificate authority to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    method: Method,
    credentials: Credentials,
}

/// `https://host[:port]`, or `http://` to loopback, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// A way to get an access token from DingTalk, with the credentials that it needs.
#[derive(Debug, Clone)]
pub enum Auth {
    /// `POST /v1.0/oauth2/accessToken`.
    InternalApp { app_key: String, app_secret: Secret },
    /// `POST /v1.0/oauth2/corpAccessToken`.
    ThirdPartyApp {
        suite_key: String,
        suite_secret: Secret,
        /// DingTalk pushes a new ticket about every five hours.
        suite_ticket: Secret,
        /// The organisation that authorised the app.
        corp_id: String,
    },
    /// `POST /v1.0/oauth2/{corpId}/token`.
    CorpToken {
        /// The same as the app's key.
        client_id: String,
        client_secret: Secret,
        /// The organisation whose meetings are closed.
        corp_id: String,
    },
    /// Another program fetches the access token.
    AccessToken(Secret),
}

#[derive(Debug, Clone, Copy)]
enum Method {
    InternalApp,
    ThirdPartyApp,
    CorpToken,
    AccessToken,
}

#[derive(Debug, Clone)]
struct Credentials {
    app_key: String,
    app_secret: Option<Secret>,
    suite_key: String,
    suite_secret: Option<Secret>,
    suite_ticket: Option<Secret>,
    corp_id: String,
    access_token: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDingTalk {
    base_url: String,
    auth: String,
    app_key: String,
    app_secret: SecretString,
    app_secret_file: String,
    suite_key: String,
    suite_secret: SecretString,
    suite_secret_file: String,
    suite_ticket: SecretString,
    suite_ticket_file: String,
    corp_id: String,
    access_token: SecretString,
    access_token_file: String,
    connect_timeout: String,
    request_timeout: String,
    ca_file: String,
}

impl RawDingTalk {
    pub(super) fn check(self) -> Result<DingTalkSettings, SettingsError> {
        Ok(DingTalkSettings {
            base_url: BaseUrl::parse(&self.base_url)?,
            connect_timeout: text::duration("dingtalk.connect_timeout", &self.connect_timeout)?,
            request_timeout: text::duration("dingtalk.request_timeout", &self.request_timeout)?,
            ca_file: text::optional_path(&self.ca_file),
            method: text::choice(
                "dingtalk.auth",
                &self.auth,
                &[
                    ("internal_app", Method::InternalApp),
                    ("third_party_app", Method::ThirdPartyApp),
                    ("corp_token", Method::CorpToken),
                    ("access_token", Method::AccessToken),
                ],
                "expected internal_app, third_party_app, corp_token or access_token",
            )?,
            credentials: Credentials {
                app_key: self.app_key.trim().to_owned(),
                app_secret: Secret::from_twins(
                    "dingtalk.app_secret",
                    self.app_secret,
                    &self.app_secret_file,
                )?,
                suite_key: self.suite_key.trim().to_owned(),
                suite_secret: Secret::from_twins(
                    "dingtalk.suite_secret",
                    self.suite_secret,
                    &self.suite_secret_file,
                )?,
                suite_ticket: Secret::from_twins(
                    "dingtalk.suite_ticket",
                    self.suite_ticket,
                    &self.suite_ticket_file,
                )?,
                corp_id: self.corp_id.trim().to_owned(),
                access_token: Secret::from_twins(
                    "dingtalk.access_token",
                    self.access_token,
                    &self.access_token_file,
                )?,
            },
        })
    }
}

impl DingTalkSettings {
    /// The same settings with another address.
    #[must_use]
    pub fn at(&self, base_url: BaseUrl) -> Self {
        Self { base_url, ca_file: None, ..self.clone() }
    }

    /// The value of `auth` in the configuration.
    pub const fn auth_name(&self) -> &'static str {
        match self.method {
            Method::InternalApp => "internal_app",
            Method::ThirdPartyApp => "third_party_app",
            Method::CorpToken => "corp_token",
            Method::AccessToken => "access_token",
        }
    }

    /// The way to get an access token. Each secret that it needs is present, and each secret's file is readable.
    pub fn auth(&self) -> Result<Auth, SettingsError> {
        let given = &self.credentials;
        match self.method {
            Method::InternalApp => {
                let needed_for = "auth = \"internal_app\"";
                Ok(Auth::InternalApp {
                    app_key: text(&given.app_key, "dingtalk.app_key", needed_for)?,
                    app_secret: secret(given.app_secret.as_ref(), "dingtalk.app_secret", needed_for)?,
                })
            }
            Method::ThirdPartyApp => {
                let needed_for = "auth = \"third_party_app\"";
                Ok(Auth::ThirdPartyApp {
                    suite_key: text(&given.suite_key, "dingtalk.suite_key", needed_for)?,
                    suite_secret: secret(given.suite_secret.as_ref(), "dingtalk.suite_secret", needed_for)?,
                    suite_ticket: secret(given.suite_ticket.as_ref(), "dingtalk.suite_ticket", needed_for)?,
                    corp_id: text(&given.corp_id, "dingtalk.corp_id", needed_for)?,
                })
            }
            Method::CorpToken => {
                let needed_for = "auth = \"corp_token\"";
                Ok(Auth::CorpToken {
                    client_id: text(&given.app_key, "dingtalk.app_key", needed_for)?,
                    client_secret: secret(given.app_secret.as_ref(), "dingtalk.app_secret", needed_for)?,
                    corp_id: text(&given.corp_id, "dingtalk.corp_id", needed_for)?,
                })
            }
            Method::AccessToken => {
                let needed_for = "auth = \"access_token\"";
                let token = secret(given.access_token.as_ref(), "dingtalk.access_token", needed_for)?;
                Ok(Auth::AccessToken(token))
            }
        }
    }
}

fn text(value: &str, key: &'static str, needed_for: &'static str) -> Result<String, SettingsError> {
    match value {
        "" => Err(SettingsError::Missing { key, needed_for }),
        value => Ok(value.to_owned()),
    }
}

fn secret(
    value: Option<&Secret>,
    key: &'static str,
    needed_for: &'static str,
) -> Result<Secret, SettingsError> {
    let secret = value.ok_or(SettingsError::Missing { key, needed_for })?;
    secret.read()?;
    Ok(secret.clone())
}

impl BaseUrl {
    /// Parses a URL that has no path. `http://` is accepted for loopback only: on a network, others could read the
    /// access token.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let error = |found, expected| SettingsError::Value { key: "dingtalk.base_url", found, expected };
        // What stands before an @ can be a password, and what stands behind a ? an access token: neither is shown, also
        // where the rest is no URL.
        if text.contains('@') {
            return Err(error("a URL with a user or password".into(), "expected a URL without them"));
        }
        let wrong = |expected| match text.split_once(['?', '#']) {
            Some((shown, _)) => error(format!("{:?}", format!("{shown}?\u{2026}")), expected),
            None => error(format!("{text:?}"), expected),
        };
        let url = Url::parse(text.trim())
            .map_err(|_| wrong("expected a URL such as \"https://api.dingtalk.io\""))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("expected only a scheme and a host, without a path"));
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            "http" => Err(wrong(
                "http is allowed for loopback only, because it would show the access token to the network",
            )),
            _ => Err(wrong("expected https")),
        }
    }

    /// Whether requests stay on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The URL of `path`, which must be percent-encoded.
    pub fn join(&self, path: &str) -> Url {
        self.0.join(path).expect("a percent-encoded path joins any origin")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::load_text;

    #[test]
    fn http_is_accepted_for_loopback_only() {
        for url in
            ["https://api.dingtalk.io", "http://127.0.0.1:80", "http://[::1]:8080/", "http://localhost:1"]
        {
            assert!(BaseUrl::parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://api.dingtalk.io",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "ftp://localhost",
            "api.dingtalk.io",
            "https://api.dingtalk.io/v1.0",
            "",
        ] {
            let error = BaseUrl::parse(url).unwrap_err().to_string();
            assert!(error.starts_with(&format!("dingtalk.base_url is {url:?}: ")), "{error}");
        }
    }

    #[test]
    fn no_error_shows_what_may_be_a_password_or_a_token() {
        for url in [
            "https://me:hunter2@api.dingtalk.io",
            "https://me:hunter2@api.dingtalk.io:99999",
            "https://me:hunter2@",
            "https://hunter2@api.dingtalk.io:x",
            "me:hunter2@api.dingtalk.io",
            "hunter2@api.dingtalk.io",
            "https://api.dingtalk.io/robot/send?access_token=hunter2",
            "https://api.dingtalk.io:99999?access_token=hunter2",
            "https://api.dingtalk.io#hunter2",
        ] {
            let error = BaseUrl::parse(url).unwrap_err();
            assert!(error.to_string().starts_with("dingtalk.base_url is "), "{error}");
            assert!(!format!("{error}{error:?}{}", error.hint()).contains("hunter2"), "{error}");
        }
        let error = BaseUrl::parse("https://api.dingtalk.io?x=1").unwrap_err().to_string();
        assert!(error.starts_with("dingtalk.base_url is \"https://api.dingtalk.io?\u{2026}\": "), "{error}");
    }

    #[test]
    fn each_auth_names_the_key_that_is_missing() {
        let missing = |section: &str| {
            let settings = load_text(&format!("[dingtalk]\n{section}")).unwrap();
            settings.dingtalk.auth().unwrap_err().to_string()
        };
        assert!(missing("").starts_with("dingtalk.app_key is not set"));
        assert!(missing("app_key = \"k\"").starts_with("dingtalk.app_secret is not set"));
        let third_party = "auth = \"third_party_app\"\nsuite_key = \"k\"\nsuite_secret = \"s\"\n";
        assert!(missing(third_party).starts_with("dingtalk.suite_ticket is not set"));
        assert!(
            missing(&format!("{third_party}suite_ticket = \"t\"")).starts_with("dingtalk.corp_id is not set")
        );
        let corp = "auth = \"corp_token\"\napp_key = \"k\"\napp_secret = \"s\"";
        assert!(missing(corp).starts_with("dingtalk.corp_id is not set, but auth = \"corp_token\" needs it"));
        assert!(missing("auth = \"access_token\"").starts_with("dingtalk.access_token is not set"));
    }

    #[test]
    fn an_unknown_auth_is_refused_with_the_known_ones() {
        let error = load_text("[dingtalk]\nauth = \"oauth\"").unwrap_err().to_string();
        assert!(error.contains("internal_app") && error.contains("corp_token"), "{error}");
    }
}
