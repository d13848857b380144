//! The stand-in on a socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::reply::REQUEST_ID;
use super::stand_in::{ApiRequest, StandIn};
use super::tokens::TokenFlow;
use super::{Reply, SandboxSettings, ScriptedReply, Statistics};
use parking_lot::{Mutex, MutexGuard};

const CLOSE_PATH: &str = "/v1.0/conference/videoConferences/";
const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";
/// No request for a token is longer.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// A running stand-in; dropping it ends it.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    stand_in: Arc<Mutex<StandIn>>,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Listens and serves. An address that is not loopback is refused: the stand-in takes any credentials.
    pub async fn start(settings: SandboxSettings) -> io::Result<Self> {
        if !settings.listen.ip().is_loopback() {
            let problem = format!("{} is not a loopback address", settings.listen.ip());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let stand_in = Arc::new(Mutex::new(StandIn::new(settings)));
        let server = tokio::spawn(serve(listener, Arc::clone(&stand_in)));
        Ok(Self { address, stand_in, server })
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was counted so far.
    pub fn statistics(&self) -> Statistics {
        lock(&self.stand_in).statistics.clone()
    }

    /// Prepares the next answers for a conference id; when they are used up, the usual ones follow.
    pub fn script(&self, conference_id: &str, replies: impl IntoIterator<Item = impl Into<ScriptedReply>>) {
        lock(&self.stand_in).script(conference_id, replies.into_iter().map(Into::into).collect());
    }

    /// Prepares the next answers to requests for a token.
    pub fn script_tokens(&self, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.stand_in).script_tokens(replies.into_iter().collect());
    }

    /// Makes every access token invalid at once.
    pub fn expire_tokens(&self) {
        lock(&self.stand_in).expire_tokens();
    }

    /// Lets in so many calls a second from now on; none is no limit.
    pub fn set_app_quota(&self, per_second: Option<usize>) {
        lock(&self.stand_in).set_app_quota(per_second);
    }

    /// Whether a meeting has been closed.
    pub fn has_ended(&self, conference_id: &str) -> bool {
        lock(&self.stand_in).has_ended(conference_id)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(stand_in: &Mutex<StandIn>) -> MutexGuard<'_, StandIn> {
    stand_in.lock()
}

async fn serve(listener: TcpListener, stand_in: Arc<Mutex<StandIn>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve_connection(stream, Arc::clone(&stand_in)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, stand_in: Arc<Mutex<StandIn>>) {
    // Without this, an answer waits for the acknowledgement of the one before it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, Arc::clone(&stand_in)));
    // A connection that ends with an error is the client's business, or ours on purpose.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
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
    let ask = read(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), token, &body);
    let (reply, latency) = lock(&stand_in).ask(ask, Instant::now());
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

/// Counts a request as in flight until its answer leaves, also where the client does not wait for it.
struct InFlightGuard(Arc<Mutex<StandIn>>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        lock(&self.0).answered();
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
        (&Method::POST, "/v1.0/oauth2/accessToken") => ApiRequest::Token { way: TokenFlow::Internal, body },
        (&Method::POST, "/v1.0/oauth2/corpAccessToken") => {
            ApiRequest::Token { way: TokenFlow::ThirdParty, body }
        }
        (&Method::POST, path) if path.starts_with("/v1.0/oauth2/") && path.ends_with("/token") => {
            ApiRequest::Token { way: TokenFlow::Corp, body }
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
