//! Sends the requests, over reqwest.
//!
//! Invariant: ids are percent-encoded whole. So every text of a list reaches DingTalk as an id, and never as a path, a query or
//! a fragment.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use thiserror::Error;

use super::exchange::{
    Exchange, HttpAnswer, MAX_BODY_BYTES, NoReply, SANDBOX_HEADER, parse_date, parse_retry_after,
};
use super::first_contact::{FirstContact, Reachability};
use super::token_grant::{TokenError, TokenGrant, read_grant};
use super::token_keeper::AccessToken;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::meeting::CloseRequest;
use crate::settings::{Auth, BaseUrl, DingTalkSettings, SettingsError};

/// Where an internal app requests an access token.
const INTERNAL_TOKEN_PATH: &str = "/v1.0/oauth2/accessToken";

/// The header that carries the access token.
const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";

/// Everything is encoded, except for what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// DingTalk over HTTP.
#[derive(Debug, Clone)]
pub struct HttpApi {
    client: Client,
    base_url: BaseUrl,
    auth: Auth,
    clock: Clock,
    /// Whether the stand-in must answer, or must not. `None`: either may.
    is_rehearsal: Option<bool>,
}

/// Why no client could be made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The file with the company's certificate authority cannot be read.
    #[error("cannot read {}, which dingtalk.ca_file names: {source}", path.display())]
    CaUnreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file with the company's certificate authority is not PEM.
    #[error("{}, which dingtalk.ca_file names, has no certificate in PEM form", path.display())]
    CaNotPem {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

impl ClientError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::CaUnreadable { .. } => "name a file that can be read, or set dingtalk.ca_file to \"\"",
            Self::CaNotPem { .. } => "a PEM file has lines -----BEGIN CERTIFICATE-----",
            Self::Tls(_) => "install the system's certificates (on Debian: apt-get install ca-certificates)",
        }
    }
}

impl HttpApi {
    /// A client that keeps up to `concurrency` connections. Nothing is sent yet.
    pub fn new(
        settings: &DingTalkSettings,
        auth: Auth,
        concurrency: usize,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let client = http_client(settings, settings.base_url.is_loopback(), concurrency)?;
        Ok(Self { client, base_url: settings.base_url.clone(), auth, clock, is_rehearsal: None })
    }

    /// Accepts only answers of the stand-in in a rehearsal, and only other answers in a real run. So a rehearsal never counts
    /// as real, and a real run never as a rehearsal, even if another server takes over the address.
    pub fn expect_sandbox(&mut self, is_rehearsal: bool) {
        self.is_rehearsal = Some(is_rehearsal);
    }

    /// Whether the stand-in answers at this address. The request has no token, names no meeting and is not metered.
    pub async fn is_answered_by_sandbox(&self) -> bool {
        is_sandbox(&self.exchange(self.client.get(self.base_url.join("/"))).await)
    }

    fn check_server(&self, exchange: Exchange) -> Exchange {
        match (&exchange, self.is_rehearsal) {
            (Exchange::Answered(answer), Some(expected)) if answer.is_sandbox != expected => {
                let other = if expected {
                    "a server that is not the sandbox answered, and this run is a rehearsal"
                } else {
                    "the sandbox answered, and this run is not a rehearsal"
                };
                Exchange::NoReply(NoReply::WrongServer(other))
            }
            (Exchange::Answered(_) | Exchange::NoReply(_), _) => exchange,
        }
    }

    async fn exchange(&self, request: RequestBuilder) -> Exchange {
        exchange(request, &self.clock).await
    }

    /// Sends one request for an access token. If access tokens are fetched elsewhere, the request has no credentials, and
    /// DingTalk refuses it in its own form. DingTalk meters neither request, and neither closes a meeting.
    pub async fn first_contact(&self) -> Result<FirstContact, SettingsError> {
        Ok(match self.request_token().await? {
            TokenReply::Answered { exchange, sent } => {
                let token = Some(read_grant(&exchange, &sent));
                FirstContact {
                    reachability: Reachability::of(&exchange),
                    is_sandbox: self.base_url.is_loopback() && is_sandbox(&exchange),
                    token,
                }
            }
            TokenReply::Elsewhere(_) => {
                let exchange = self.post(INTERNAL_TOKEN_PATH, &json!({})).await;
                FirstContact {
                    reachability: Reachability::of(&exchange),
                    is_sandbox: self.base_url.is_loopback() && is_sandbox(&exchange),
                    token: None,
                }
            }
        })
    }

    async fn post(&self, path: &str, body: &Value) -> Exchange {
        let request = self
            .client
            .post(self.base_url.join(path))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .body(body.to_string());
        self.exchange(request).await
    }

    async fn request_token(&self) -> Result<TokenReply, SettingsError> {
        let (path, body, sent) = match &self.auth {
            Auth::InternalApp { app_key, app_secret } => {
                let secret = app_secret.read()?;
                let body = json!({"appKey": app_key, "appSecret": secret.expose_secret()});
                (INTERNAL_TOKEN_PATH.to_owned(), body, vec![secret])
            }
            Auth::ThirdPartyApp { suite_key, suite_secret, suite_ticket, corp_id } => {
                let (secret, ticket) = (suite_secret.read()?, suite_ticket.read()?);
                let body = json!({
                    "suiteKey": suite_key,
                    "suiteSecret": secret.expose_secret(),
                    "authCorpId": corp_id,
                    "suiteTicket": ticket.expose_secret(),
                });
                ("/v1.0/oauth2/corpAccessToken".to_owned(), body, vec![secret, ticket])
            }
            Auth::CorpToken { client_id, client_secret, corp_id } => {
                let secret = client_secret.read()?;
                let body = json!({
                    "client_id": client_id,
                    "client_secret": secret.expose_secret(),
                    "grant_type": "client_credentials",
                });
                let path = format!("/v1.0/oauth2/{}/token", utf8_percent_encode(corp_id, ENCODED));
                (path, body, vec![secret])
            }
            Auth::AccessToken(token) => return Ok(TokenReply::Elsewhere(token.read()?)),
        };
        Ok(TokenReply::Answered { exchange: self.post(&path, &body).await, sent })
    }
}

fn is_sandbox(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::Answered(answer) if answer.is_sandbox)
}

/// The reply to a request for an access token.
enum TokenReply {
    /// A request was sent, with these secrets.
    Answered { exchange: Exchange, sent: Vec<SecretString> },
    /// No request was sent: the access token is fetched elsewhere.
    Elsewhere(SecretString),
}

/// A client that keeps up to `idle` connections. Nothing is sent yet. On loopback it uses no proxy and no certificates.
pub(super) fn http_client(
    settings: &DingTalkSettings,
    is_loopback: bool,
    idle: usize,
) -> Result<Client, ClientError> {
    // A second call fails because the first one has installed the provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("meeting-closer/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout)
        .pool_max_idle_per_host(idle)
        // If an HTTP/1.1 connection breaks, the state of one meeting is unknown, and not of all in flight.
        .http1_only()
        .redirect(Policy::none())
        // A request that reqwest repeats by itself would be missing in the audit.
        .retry(reqwest::retry::never());
    let builder = if is_loopback {
        // The stand-in on this machine must work where there is no proxy and there are no certificates.
        builder.no_proxy().tls_certs_only([])
    } else {
        builder.https_only(true)
    };
    let builder = builder.tls_certs_merge(company_certificates(settings)?);
    builder.build().map_err(|error| ClientError::Tls(chain(&error)))
}

/// Sends one request, once.
pub(super) async fn exchange(request: RequestBuilder, clock: &Clock) -> Exchange {
    match request.send().await {
        Ok(response) => Exchange::Answered(read(response, clock).await),
        Err(error) if is_distrust(&error) => Exchange::NoReply(NoReply::Untrusted(chain(&error))),
        Err(error) if error.is_connect() => Exchange::NoReply(NoReply::NoConnection(chain(&error))),
        Err(error) if error.is_timeout() => Exchange::NoReply(NoReply::Timeout),
        Err(error) => Exchange::NoReply(NoReply::Broken(chain(&error))),
    }
}

async fn read(mut response: Response, clock: &Clock) -> HttpAnswer {
    let text = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    let mut answer = HttpAnswer {
        status: response.status().as_u16(),
        is_sandbox: response.headers().contains_key(SANDBOX_HEADER),
        request_id: text("x-acs-request-id"),
        retry_after: text(RETRY_AFTER.as_str())
            .or_else(|| text("x-acs-retry-after"))
            .and_then(|header| parse_retry_after(&header, clock.timestamp())),
        served_at: text(DATE.as_str()).and_then(|header| parse_date(&header)),
        ..HttpAnswer::default()
    };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = MAX_BODY_BYTES - answer.body.len();
                answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return answer;
                }
            }
            Ok(None) => {
                answer.complete = true;
                return answer;
            }
            Err(_) => return answer,
        }
    }
}

impl super::Api for HttpApi {
    async fn close(&self, request: &CloseRequest, token: &AccessToken) -> Exchange {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(TOKEN_HEADER, token.header());
        headers.insert(CONTENT_TYPE, "application/json".parse().expect("a valid header"));
        headers.insert(ACCEPT, "application/json".parse().expect("a valid header"));
        let url = self.base_url.join(&close_path(request));
        self.check_server(self.exchange(self.client.delete(url).headers(headers)).await)
    }

    async fn fetch_token(&self) -> Result<TokenGrant, TokenError> {
        match self.request_token().await? {
            TokenReply::Answered { exchange, sent } => read_grant(&exchange, &sent),
            // Its lifetime is unknown here. It is used until DingTalk refuses it.
            TokenReply::Elsewhere(token) => Ok(TokenGrant { token, lifetime: A_YEAR }),
        }
    }
}

const A_YEAR: std::time::Duration = std::time::Duration::from_hours(365 * 24);

fn close_path(request: &CloseRequest) -> String {
    path_of(request.conference_id.as_str(), request.union_id.as_str())
}

/// `/v1.0/conference/videoConferences/{conferenceId}?unionId={unionId}`. Whatever an id may contain, it stays one segment.
fn path_of(conference_id: &str, union_id: &str) -> String {
    let conference_id = utf8_percent_encode(conference_id, ENCODED);
    let union_id = utf8_percent_encode(union_id, ENCODED);
    format!("/v1.0/conference/videoConferences/{conference_id}?unionId={union_id}")
}

fn company_certificates(settings: &DingTalkSettings) -> Result<Vec<Certificate>, ClientError> {
    let Some(path) = &settings.ca_file else { return Ok(vec![]) };
    let pem =
        std::fs::read(path).map_err(|source| ClientError::CaUnreadable { path: path.clone(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ClientError::CaNotPem { path: path.clone() }),
    }
}

/// Whether a certificate is the reason why no connection was made. An I/O error that wraps another error does not name it as
/// its source, so it is unwrapped here.
fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => is_distrust(wrapped),
        None => error.source().is_some_and(is_distrust),
    }
}

/// The causes of an error, without its URL: the audit has the ids in it already.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = vec![];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.dedup();
    if causes.is_empty() { "unknown reason".into() } else { causes.join(": ") }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(ExitCode::Usage, &error).hint(error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_encoded_so_that_they_stay_ids() {
        let url = |conference_id: &str, union_id: &str| {
            let base_url = BaseUrl::parse("https://api.dingtalk.io").unwrap();
            base_url.join(&path_of(conference_id, union_id)).to_string()
        };
        let close = "https://api.dingtalk.io/v1.0/conference/videoConferences";
        for (conference_id, union_id, expected) in [
            ("607452e01401526ee39609e1", "27SaQ3", "607452e01401526ee39609e1?unionId=27SaQ3"),
            ("../x", "a", "..%2Fx?unionId=a"),
            ("a?unionId=b", "a&b=c", "a%3FunionId%3Db?unionId=a%26b%3Dc"),
            ("a/b", "..", "a%2Fb?unionId=.."),
            ("a#b", "a#b", "a%23b?unionId=a%23b"),
            ("a%2Fb", "a+b c", "a%252Fb?unionId=a%2Bb%20c"),
            ("会议\\", "'\"", "%E4%BC%9A%E8%AE%AE%5C?unionId=%27%22"),
        ] {
            assert_eq!(url(conference_id, union_id), format!("{close}/{expected}"));
        }
    }

    #[test]
    fn a_certificate_authority_that_cannot_be_used_is_named() {
        let settings = |path: &str| {
            let text = format!("[dingtalk]\nca_file = \"{path}\"");
            crate::settings::tests::load_text(&text).unwrap().dingtalk
        };
        let make = |path: &str| {
            let token = crate::settings::Secret::value("dingtalk.access_token", "t");
            HttpApi::new(&settings(path), Auth::AccessToken(token), 1, Clock::System).unwrap_err().to_string()
        };
        assert!(
            make("/nowhere/ca.pem").starts_with("cannot read /nowhere/ca.pem, which dingtalk.ca_file names")
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(make(file.path().to_str().unwrap()).ends_with("has no certificate in PEM form"));
    }
}
