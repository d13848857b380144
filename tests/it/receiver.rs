//! A small HTTP server that records requests and gives a fixed answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// A running server. Dropping it ends it.
pub(crate) struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Answers every request with this status and body. Status 0 breaks the connection instead.
    pub(crate) async fn start(status: u16, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(vec![]));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&received), status, body));
        Self { address, received, _server: server }
    }

    /// `http://127.0.0.1:PORT/` with this path.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("http://{}/{rest}", self.address)
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, received: Arc<Mutex<Vec<Received>>>, status: u16, body: &'static str) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &received, status, body));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    received: &Mutex<Vec<Received>>,
    status: u16,
    body: &'static str,
) -> std::io::Result<Response<Full<Bytes>>> {
    let (head, sent) = request.into_parts();
    let url = reqwest::Url::parse(&format!("http://x{}", head.uri)).unwrap();
    let sent = Received {
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        content_type: head.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned(),
        body: sent.collect().await.unwrap().to_bytes(),
    };
    received.lock().unwrap().push(sent);
    if status == 0 {
        return Err(std::io::ErrorKind::ConnectionReset.into());
    }
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    Ok(response)
}
