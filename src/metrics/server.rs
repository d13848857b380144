//! Serves `/metrics`, `/healthz` and `/readyz` over HTTP, for Prometheus and for the system that restarts a worker.
//!
//! Invariant: a request only reads. It changes neither the metrics nor the worker.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use parking_lot::RwLock;
use prometheus_client::encoding::prometheus_text;

use super::Metrics;
use crate::http_server::{HttpServer, Limits};

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

const LIMITS: Limits = Limits { connections: 64, head: Some(Duration::from_secs(10)) };

/// Whether a worker can work. The worker sets it, `/readyz` reads it, and clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Readiness(Arc<RwLock<ReadyState>>);

#[derive(Debug, Clone)]
enum ReadyState {
    Ready,
    NotReady(String),
    Stopping(String),
}

impl Readiness {
    pub(crate) fn not_yet(reason: &str) -> Self {
        Self(Arc::new(RwLock::new(ReadyState::NotReady(reason.to_owned()))))
    }

    pub(crate) fn ready(&self) {
        self.set(ReadyState::Ready);
    }

    /// Not ready from now on.
    pub(crate) fn not_ready(&self, reason: &str) {
        self.set(ReadyState::NotReady(reason.to_owned()));
    }

    /// Never ready again: the worker is stopping, for this reason.
    pub(crate) fn ends(&self, reason: &str) {
        self.set(ReadyState::Stopping(reason.to_owned()));
    }

    fn set(&self, new: ReadyState) {
        let mut state = self.0.write();
        match *state {
            ReadyState::Ready | ReadyState::NotReady(_) => *state = new,
            ReadyState::Stopping(_) => {}
        }
    }

    fn state(&self) -> Result<(), String> {
        match &*self.0.read() {
            ReadyState::Ready => Ok(()),
            ReadyState::NotReady(reason) | ReadyState::Stopping(reason) => Err(reason.clone()),
        }
    }
}

/// A running server. Dropping it ends it, with every connection.
#[derive(Debug)]
pub(crate) struct MetricsServer(HttpServer);

impl MetricsServer {
    pub(crate) async fn start(
        listen: SocketAddr,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> io::Result<Self> {
        let server = HttpServer::start(listen, LIMITS, move |request: Request<Incoming>| {
            let response = answer(request.method(), request.uri().path(), &metrics, &readiness);
            async { Ok::<_, Infallible>(response) }
        });
        Ok(Self(server.await?))
    }

    /// Where it listens. If port 0 was asked for, this has the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

fn answer(method: &Method, path: &str, metrics: &Metrics, readiness: &Readiness) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n".into());
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
        _ => plain(StatusCode::NOT_FOUND, "not found: use /metrics, /healthz or /readyz\n".into()),
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
    use tokio::net::TcpStream;

    use super::*;

    async fn start(readiness: Readiness) -> (MetricsServer, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new(18.0));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        (MetricsServer::start(any, Arc::clone(&metrics), readiness).await.unwrap(), metrics)
    }

    /// Status, content type and body.
    async fn request(server: &MetricsServer, method: reqwest::Method, path: &str) -> (u16, String, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let url = format!("http://{}{path}", server.address());
        let response = client.request(method, url).send().await.unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), content_type, response.text().await.unwrap())
    }

    async fn get(server: &MetricsServer, path: &str) -> (u16, String) {
        let (status, _, body) = request(server, reqwest::Method::GET, path).await;
        (status, body)
    }

    #[tokio::test]
    async fn each_request_gets_the_current_metrics() {
        let (server, metrics) = start(Readiness::not_yet("starting")).await;
        for pending in [3, 4] {
            metrics.queue_pending(pending);
            let (status, content_type, body) = request(&server, reqwest::Method::GET, "/metrics").await;
            assert_eq!((status, content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
            assert!(body.contains(&format!("meeting_closer_queue_pending {pending}\n")), "{body}");
        }
    }

    #[tokio::test]
    async fn a_worker_is_alive_from_the_start_and_ready_from_when_it_says_so_until_it_stops() {
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
        // A late report of its queue does not make it ready again.
        readiness.ready();
        assert_eq!(get(&server, "/readyz").await, (503, "not ready: a signal came\n".into()));
    }

    #[tokio::test]
    async fn other_paths_are_not_found_and_other_methods_are_refused() {
        let (server, _) = start(Readiness::not_yet("starting")).await;
        for path in ["/", "/metrics/", "/debug"] {
            assert_eq!(get(&server, path).await.0, 404, "{path}");
        }
        assert_eq!(request(&server, reqwest::Method::POST, "/metrics").await.0, 405);
        let (status, _, body) = request(&server, reqwest::Method::HEAD, "/metrics").await;
        assert_eq!((status, body.as_str()), (200, ""));
    }

    #[tokio::test]
    async fn a_silent_client_delays_no_other_client() {
        let (server, _) = start(Readiness::not_yet("starting")).await;
        let mut silent = TcpStream::connect(server.address()).await.unwrap();
        silent.write_all(b"GET /metr").await.unwrap();
        assert_eq!(get(&server, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn dropping_a_server_ends_its_connections() {
        let (server, _) = start(Readiness::not_yet("starting")).await;
        let address = server.address();
        let mut open = TcpStream::connect(address).await.unwrap();
        open.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        open.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        drop(server);
        // The connection ends, after the rest of the answer.
        let _ = open.read_to_end(&mut vec![]).await;
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error() {
        let (server, metrics) = start(Readiness::not_yet("starting")).await;
        let error =
            MetricsServer::start(server.address(), metrics, Readiness::not_yet("x")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
