//! A queue whose every answer is told, whoever asked.
//!
//! Invariant: whether a queue can be worked with does not depend on one of those who ask: with a full hand nobody takes, with
//! an empty one nobody renews.

use tokio::time::Instant;

use super::{Broker, BrokerError, EntryId, QuotaHost, Renewed, ScriptReply, Settled, TakenBatch};

/// Hears of every answer: that the queue did what it was asked, or why not.
pub(crate) type OnAnswer = Box<dyn Fn(Result<(), String>) + Send + Sync>;

/// A queue, and who hears of its answers.
pub(crate) struct MonitoredQueue<B> {
    queue: B,
    on_answer: OnAnswer,
}

impl<B> MonitoredQueue<B> {
    /// Tells of each answer before whoever asked has it.
    pub(crate) fn new(queue: B, on_answer: OnAnswer) -> Self {
        Self { queue, on_answer }
    }

    fn told<T, E: ToString>(&self, answer: Result<T, E>) -> Result<T, E> {
        (self.on_answer)(answer.as_ref().map(|_| ()).map_err(ToString::to_string));
        answer
    }
}

impl<B: Broker> Broker for MonitoredQueue<B> {
    async fn take(&self, most: usize) -> Result<TakenBatch, BrokerError> {
        self.told(self.queue.take(most).await)
    }

    async fn renew(&self, ids: &[EntryId]) -> Result<Renewed, BrokerError> {
        self.told(self.queue.renew(ids).await)
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BrokerError> {
        self.told(self.queue.settle(settled).await)
    }

    async fn leave(&self) -> Result<u64, BrokerError> {
        self.told(self.queue.leave().await)
    }
}

impl<B: QuotaHost> QuotaHost for MonitoredQueue<B> {
    async fn run(
        &self,
        arguments: impl FnOnce(Instant) -> Vec<String> + Send,
    ) -> Result<ScriptReply, String> {
        self.told(self.queue.run(arguments).await)
    }
}
