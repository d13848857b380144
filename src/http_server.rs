//! The accept loop of both HTTP servers: the metrics listener and the stand-in. It imports nothing of ours.
//!
//! Invariant: a client that is slow, silent or gone delays neither the process nor another client.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How long the server accepts nothing after it could not accept a connection: the system has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once. The next one waits until one of them ends.
    pub connections: usize,
    /// How long a client may take to send the head of its next request. This also ends a connection without a next request.
    /// `None`: as long as it likes.
    pub head: Option<Duration>,
}

/// A running server. Dropping it ends it, with every connection.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Listens, and answers every request by calling `answer`. An error of `answer` closes the connection without an answer.
    pub(crate) async fn start<F, E>(
        listen: SocketAddr,
        limits: Limits,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
        E: Error + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, limits, answer));
        Ok(Self { address, task })
    }

    /// Where it listens. If port 0 was asked for, this has the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<F, E>(
    listener: TcpListener,
    limits: Limits,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, limits.head, answer.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve<F, E>(
    stream: TcpStream,
    head: Option<Duration>,
    answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
) where
    F: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    // Otherwise an answer waits until the client acknowledges the one before it.
    let _ = stream.set_nodelay(true);
    let mut http = hyper::server::conn::http1::Builder::new();
    if let Some(head) = head {
        http.timer(TokioTimer::new()).header_read_timeout(head);
    }
    // The client broke the connection off, or `answer` closed it on purpose.
    let _ = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}
