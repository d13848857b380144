//! A queue that reports the result of every call to an observer.
//!
//! Invariant: every call is reported, from every caller. A worker with a full prefetch takes nothing, and a worker without
//! leases renews nothing, so no single caller can know whether the queue works.

use tokio::time::Instant;

use super::{Batch, Broker, BrokerError, EntryId, QuotaHost, Renewed, ScriptReply, Settled};

/// Observes every result: success, or the problem.
pub(crate) type OnResult = Box<dyn Fn(Result<(), String>) + Send + Sync>;

/// A queue with its observer.
pub(crate) struct MonitoredQueue<B> {
    queue: B,
    on_result: OnResult,
}

impl<B> MonitoredQueue<B> {
    /// `on_result` sees each result before the caller does.
    pub(crate) fn new(queue: B, on_result: OnResult) -> Self {
        Self { queue, on_result }
    }

    fn report<T, E: ToString>(&self, result: Result<T, E>) -> Result<T, E> {
        (self.on_result)(result.as_ref().map(|_| ()).map_err(ToString::to_string));
        result
    }
}

impl<B: Broker> Broker for MonitoredQueue<B> {
    async fn take(&self, limit: usize) -> Result<Batch, BrokerError> {
        self.report(self.queue.take(limit).await)
    }

    async fn renew(&self, ids: &[EntryId]) -> Result<Renewed, BrokerError> {
        self.report(self.queue.renew(ids).await)
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BrokerError> {
        self.report(self.queue.settle(settled).await)
    }

    async fn leave(&self) -> Result<u64, BrokerError> {
        self.report(self.queue.leave().await)
    }
}

impl<B: QuotaHost> QuotaHost for MonitoredQueue<B> {
    async fn run(
        &self,
        arguments: impl FnOnce(Instant) -> Vec<String> + Send,
    ) -> Result<ScriptReply, String> {
        self.report(self.queue.run(arguments).await)
    }
}
