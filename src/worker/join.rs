//! Joining the queue when a worker starts, and leaving it when the worker ends.
//!
//! Invariant: a signal ends every wait for the queue.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::clock::Clock;
use crate::exit::Failure;
use crate::metrics::Readiness;
use crate::queue::{Broker, BrokerBackoff, RedisQueue};
use crate::run::Signal;

/// How long a worker that ends waits for a queue that does not answer.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Joins the queue, and returns whether it joined before a signal came. A service waits for a queue that cannot be reached. A
/// worker that drains the queue returns the error at once.
pub(crate) async fn join(
    queue: &RedisQueue,
    drains: bool,
    readiness: &Readiness,
    signals: &mut mpsc::Receiver<Signal>,
    clock: &Clock,
) -> Result<bool, Failure> {
    let mut backoff = BrokerBackoff::default();
    loop {
        let error = tokio::select! {
            joined = queue.join() => match joined {
                Ok(()) => break,
                Err(error) if error.is_transient && !drains => error,
                Err(error) => return Err(error.into()),
            },
            Some(_) = signals.recv() => return Ok(false),
        };
        readiness.not_ready(&error.to_string());
        let again_at = clock.now() + backoff.failed(&error);
        tokio::select! {
            () = clock.wait_until(again_at) => {}
            Some(_) = signals.recv() => return Ok(false),
        }
    }
    backoff.worked();
    readiness.ready();
    Ok(true)
}

/// Waits until every entry with an outcome is settled, and leaves the queue. A signal ends the wait.
pub(crate) async fn leave<B: Broker>(
    queue: &B,
    settler: JoinHandle<()>,
    signals: &mut mpsc::Receiver<Signal>,
) {
    tokio::select! {
        () = settle_and_leave(queue, settler) => {}
        Some(_) = signals.recv() => {
            warn!("aborted: another worker will get the entries that are done and not acknowledged");
        }
    }
}

async fn settle_and_leave<B: Broker>(queue: &B, settler: JoinHandle<()>) {
    // All senders to the settler are gone, so it ends after its last entry.
    if tokio::time::timeout(LEAVE_TIMEOUT, settler).await.is_err() {
        warn!(
            "the queue did not settle every entry: another worker will get the entries that are done and not acknowledged"
        );
    }
    match tokio::time::timeout(LEAVE_TIMEOUT, queue.leave()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(1)) => warn!("1 entry stays leased to this worker until another worker takes it over"),
        Ok(Ok(leased)) => {
            warn!("{leased} entries stay leased to this worker until another worker takes them over");
        }
        Ok(Err(error)) => warn!("cannot leave the queue: {error}"),
        Err(_) => warn!("cannot leave the queue: it does not answer"),
    }
}

/// A name that no other worker has: host, process id, and random digits, because the system uses process ids again.
pub(crate) fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}-{:04x}", std::process::id(), fastrand::u16(..))
}
