//! Serves the stand-in over HTTP.
//!
//! Invariant: it listens only on loopback, because it accepts any credentials.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use super::reply::REQUEST_ID;
use super::stand_in::{ApiRequest, StandIn};
use super::tokens::TokenFlow;
use super::{Reply, SandboxSettings, ScriptedReply, Statistics};
use crate::dingtalk::SANDBOX_HEADER;
use crate::http_server::{HttpServer, Limits};

const CLOSE_PATH: &str = "/v1.0/conference/videoConferences/";
const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";
/// A longer body is no request of this API.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// A test opens as many connections as it likes, and keeps them open without a request for as long as it likes.
const LIMITS: Limits = Limits { connections: usize::MAX, head: None };

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Sandbox {
    server: HttpServer,
    stand_in: Arc<Mutex<StandIn>>,
}

impl Sandbox {
    /// Listens and answers. An address that is not loopback is an error.
    pub async fn start(settings: SandboxSettings) -> io::Result<Self> {
        if !settings.listen.ip().is_loopback() {
            let problem = format!("{} is not a loopback address", settings.listen.ip());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let listen = settings.listen;
        let stand_in = Arc::new(Mutex::new(StandIn::new(settings)));
        let answering = Arc::clone(&stand_in);
        let server =
            HttpServer::start(listen, LIMITS, move |request| answer(request, Arc::clone(&answering)));
        Ok(Self { server: server.await?, stand_in })
    }

    /// Its address: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The counts so far.
    pub fn statistics(&self) -> Statistics {
        self.stand_in.lock().statistics.clone()
    }

    /// Prepares the next answers for a conference id. The usual ones follow them.
    pub fn script(&self, conference_id: &str, replies: impl IntoIterator<Item = impl Into<ScriptedReply>>) {
        self.stand_in.lock().script(conference_id, replies.into_iter().map(Into::into).collect());
    }

    /// Prepares the next answers to requests for an access token.
    pub fn script_tokens(&self, replies: impl IntoIterator<Item = Reply>) {
        self.stand_in.lock().script_tokens(replies.into_iter().collect());
    }

    /// Makes every access token invalid at once.
    pub fn expire_tokens(&self) {
        self.stand_in.lock().expire_tokens();
    }

    /// Changes the quota of calls a second. `None`: no limit.
    pub fn set_app_quota(&self, per_second: Option<usize>) {
        self.stand_in.lock().set_app_quota(per_second);
    }

    /// Whether a meeting has ended.
    pub fn has_ended(&self, conference_id: &str) -> bool {
        self.stand_in.lock().has_ended(conference_id)
    }
}

/// The error that makes hyper close a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
struct DropConnection;

async fn answer(
    request: Request<Incoming>,
    stand_in: Arc<Mutex<StandIn>>,
) -> Result<Response<Full<Bytes>>, DropConnection> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Err(DropConnection),
    };
    let token = head.headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
    let request = read(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), token, &body);
    let ((reply, latency), says_so) = {
        let mut stand_in = stand_in.lock();
        (stand_in.answer(request, Instant::now()), stand_in.says_so())
    };
    let reply = if says_so { reply.header(SANDBOX_HEADER, "1") } else { reply };
    let _in_flight = InFlightGuard(Arc::clone(&stand_in));
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match reply {
        Reply::Answer { status, body, headers } => Ok(response(status, &body, headers)),
        Reply::Drop => Err(DropConnection),
        Reply::Silence => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            Err(DropConnection)
        }
    }
}

/// Counts a request as in flight until its answer is sent, even if the client does not wait for it.
struct InFlightGuard(Arc<Mutex<StandIn>>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.lock().reply_sent();
    }
}

fn read<'a>(
    method: &Method,
    path: &str,
    query: &str,
    token: Option<&'a str>,
    body: &'a [u8],
) -> ApiRequest<'a> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match (method, path) {
        (&Method::POST, "/v1.0/oauth2/accessToken") => ApiRequest::Token { flow: TokenFlow::Internal, body },
        (&Method::POST, "/v1.0/oauth2/corpAccessToken") => {
            ApiRequest::Token { flow: TokenFlow::ThirdParty, body }
        }
        (&Method::POST, path) if path.starts_with("/v1.0/oauth2/") && path.ends_with("/token") => {
            ApiRequest::Token { flow: TokenFlow::Corp, body }
        }
        (&Method::DELETE, path) => match path.strip_prefix(CLOSE_PATH) {
            Some(id) if !id.is_empty() && !id.contains('/') => {
                let union_id = query.split('&').find_map(|pair| pair.strip_prefix("unionId=")).map(decoded);
                ApiRequest::Close { conference_id: decoded(id), union_id, token }
            }
            Some(_) | None => ApiRequest::Unknown,
        },
        _ => ApiRequest::Unknown,
    }
}

fn response(status: u16, body: &str, headers: Vec<(&'static str, String)>) -> Response<Full<Bytes>> {
    let id = request_id();
    let mut response = Response::new(Full::from(body.replace(REQUEST_ID, &id)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let usual = [("x-acs-request-id", id), ("content-type", "application/json;charset=utf-8".to_owned())];
    for (name, value) in usual.into_iter().chain(headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A request id of the shape that DingTalk's have.
fn request_id() -> String {
    let id = fastrand::u128(..);
    let hex = format!("{id:032X}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
