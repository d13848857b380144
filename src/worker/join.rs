//! Joining the queue when a worker starts, and leaving it when the worker ends.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use super::Queue;
use crate::clock::Clock;
use crate::exit::Failure;
use crate::metrics::Readiness;
use crate::queue::{Broker as _, BrokerBackoff, RedisQueue};
use crate::run::Signal;

/// How long a worker that ends waits for a queue that does not answer.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Joins the queue, and returns whether it joined before a signal came. A service waits for a queue that is away, as it does
/// later. A worker that drains the queue reports it at once.
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
                Err(error) if error.passes && !drains => error,
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

/// Waits until everything that is done is acknowledged, and leaves the queue. A signal ends the wait.
pub(crate) async fn leave(queue: &Queue, settler: JoinHandle<()>, signals: &mut mpsc::Receiver<Signal>) {
    tokio::select! {
        () = settle_and_leave(queue, settler) => {}
        Some(_) = signals.recv() => {
            warn!("aborted: what is done and not acknowledged is delivered to another worker later");
        }
    }
}

async fn settle_and_leave(queue: &Queue, settler: JoinHandle<()>) {
    // Nobody can send to the settler any more, so it ends with its last entry.
    if tokio::time::timeout(LEAVE_TIMEOUT, settler).await.is_err() {
        warn!(
            "the queue does not take every acknowledgement: what is done and not acknowledged is delivered to another \
             worker later"
        );
    }
    match tokio::time::timeout(LEAVE_TIMEOUT, queue.leave()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(held)) => warn!("{held} entries stay with this worker until another worker takes them over"),
        Ok(Err(error)) => warn!("{error}"),
        Err(_) => warn!("the queue does not answer"),
    }
}

/// A name that no other worker has: host, process id, and random digits, because process ids come again.
pub(crate) fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}-{:04x}", std::process::id(), fastrand::u16(..))
}
