//! `/metrics`, `/healthz` and `/readyz` over HTTP, for Prometheus and for whatever restarts a worker.
//!
//! Invariant: what a client does or leaves undone holds up neither the process nor another client.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::prometheus_text;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::Metrics;
use parking_lot::RwLock;

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// Connections at once; the next one waits until one of them ends.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take to ask.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// How long no connection is taken after one could not be: the system has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether a worker can work, told by the worker and asked for by `/readyz`. Clones tell the same.
#[derive(Debug, Clone)]
pub(crate) struct Readiness(Arc<RwLock<State>>);

#[derive(Debug, Clone)]
enum State {
    Ready,
    NotReady(String),
    FeedLimits(String),
}

impl Readiness {
    /// Not ready, for this reason.
    pub(crate) fn not_yet(reason: &str) -> Self {
        Self(Arc::new(RwLock::new(State::NotReady(reason.to_owned()))))
    }

    /// Ready from now on.
    pub(crate) fn ready(&self) {
        self.set(State::Ready);
    }

    /// Not ready from now on, for this reason.
    pub(crate) fn not_ready(&self, reason: &str) {
        self.set(State::NotReady(reason.to_owned()));
    }

    /// Never ready again, for this reason.
    pub(crate) fn ends(&self, reason: &str) {
        self.set(State::FeedLimits(reason.to_owned()));
    }

    fn set(&self, new: State) {
        let mut state = self.0.write();
        match *state {
            State::Ready | State::NotReady(_) => *state = new,
            State::FeedLimits(_) => {}
        }
    }

    fn state(&self) -> Result<(), String> {
        match &*self.0.read() {
            State::Ready => Ok(()),
            State::NotReady(reason) | State::FeedLimits(reason) => Err(reason.clone()),
        }
    }
}

/// A running server; dropping it ends it, with every connection.
#[derive(Debug)]
pub(crate) struct MetricsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsServer {
    /// Listens and serves. Fails where the address cannot be listened on.
    pub(crate) async fn start(
        listen: SocketAddr,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, metrics, readiness));
        Ok(Self { address, task })
    }

    /// Where it listens: the port too, where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, metrics: Arc<Metrics>, readiness: Readiness) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&metrics), readiness.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, metrics: Arc<Metrics>, readiness: Readiness) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &metrics, &readiness);
        async { Ok::<_, Infallible>(answer) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(MAX_SILENCE);
    // A connection that ends with an error is the client's business.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(method: &Method, path: &str, metrics: &Metrics, readiness: &Readiness) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD is expected\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => text(StatusCode::OK, prometheus_text::CONTENT_TYPE, metrics.text()),
        "/healthz" => plain(StatusCode::OK, "alive\n".into()),
        "/readyz" => match readiness.state() {
            Ok(()) => plain(StatusCode::OK, "ready\n".into()),
            Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".into()),
    }
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    text(status, PLAIN_TEXT, body)
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn start(readiness: Readiness) -> (MetricsServer, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new(18.0));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        (MetricsServer::start(any, Arc::clone(&metrics), readiness).await.unwrap(), metrics)
    }

    /// Status, content type and body.
    async fn ask(server: &MetricsServer, method: reqwest::Method, path: &str) -> (u16, String, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let url = format!("http://{}{path}", server.address());
        let response = client.request(method, url).send().await.unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), content_type, response.text().await.unwrap())
    }

    async fn get(server: &MetricsServer, path: &str) -> (u16, String) {
        let (status, _, body) = ask(server, reqwest::Method::GET, path).await;
        (status, body)
    }

    #[tokio::test]
    async fn the_figures_are_served_as_they_are_now() {
        let (server, metrics) = start(Readiness::not_yet("starting")).await;
        for pending in [3, 4] {
            metrics.queue_pending(pending);
            let (status, content_type, body) = ask(&server, reqwest::Method::GET, "/metrics").await;
            assert_eq!((status, content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
            assert!(body.contains(&format!("meeting_closer_queue_pending {pending}\n")), "{body}");
        }
    }

    #[tokio::test]
    async fn a_worker_is_alive_from_the_start_and_ready_when_it_says_so_until_it_ends() {
        let readiness = Readiness::not_yet("starting");
        let (server, _) = start(readiness.clone()).await;
        assert_eq!(get(&server, "/healthz").await, (200, "alive\n".into()));
        assert_eq!(get(&server, "/readyz").await, (503, "not ready: starting\n".into()));
        readiness.ready();
        assert_eq!(get(&server, "/readyz").await, (200, "ready\n".into()));
        readiness.not_ready("the queue cannot be reached");
        assert_eq!(get(&server, "/readyz").await, (503, "not ready: the queue cannot be reached\n".into()));
        assert_eq!(get(&server, "/healthz").await.0, 200);
        readiness.ready();
        readiness.ends("a signal came");
        // What it is still told of its queue makes it fit for nothing new.
        readiness.ready();
        assert_eq!(get(&server, "/readyz").await, (503, "not ready: a signal came\n".into()));
    }

    #[tokio::test]
    async fn nothing_else_is_there_and_nothing_is_taken() {
        let (server, _) = start(Readiness::not_yet("starting")).await;
        for path in ["/", "/metrics/", "/debug"] {
            assert_eq!(get(&server, path).await.0, 404, "{path}");
        }
        assert_eq!(ask(&server, reqwest::Method::POST, "/metrics").await.0, 405);
        let (status, _, body) = ask(&server, reqwest::Method::HEAD, "/metrics").await;
        assert_eq!((status, body.as_str()), (200, ""));
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_holds_up_nobody() {
        let (server, _) = start(Readiness::not_yet("starting")).await;
        let mut silent = TcpStream::connect(server.address()).await.unwrap();
        silent.write_all(b"GET /metr").await.unwrap();
        assert_eq!(get(&server, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn a_server_that_is_dropped_ends_with_its_connections() {
        let (server, _) = start(Readiness::not_yet("starting")).await;
        let address = server.address();
        let mut open = TcpStream::connect(address).await.unwrap();
        open.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        open.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        drop(server);
        // The connection's end comes, whatever is still to be read of the answer.
        let _ = open.read_to_end(&mut vec![]).await;
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error() {
        let (server, metrics) = start(Readiness::not_yet("starting")).await;
        let error =
            MetricsServer::start(server.address(), metrics, Readiness::not_yet("x")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
