//! Settles entries whose outcome is on the disk.
//!
//! Invariant: an entry is settled only after its outcome is durable. While the queue refuses, the settler tries again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{error, warn};

use super::leases::SharedLeases;
use crate::clock::Clock;
use crate::events::{Observe, RunEvent};
use crate::journal::Durability;
use crate::outcome::OutcomeKind;
use crate::queue::{Broker, BrokerBackoff, Settled, Settlement};

/// The most entries that one call settles. While the script runs, all workers wait for their permits.
const AT_ONCE: usize = 32;

/// An entry, and the record that must be on the disk before the entry is settled.
struct DueEntry {
    settled: Settled,
    after: Option<(Durability, u64)>,
}

/// Sends entries to the settler. The settler ends when every clone of this is dropped and every entry is settled.
#[derive(Clone)]
pub(crate) struct SettleQueue(mpsc::UnboundedSender<DueEntry>);

impl SettleQueue {
    /// Settles an entry once more that this worker has settled before.
    pub(super) fn settle_again(&self, settled: Settled) {
        self.send(DueEntry { settled, after: None });
    }

    fn send(&self, due: DueEntry) {
        // Without a settler the entry stays unsettled, and another worker gets it later.
        let _ = self.0.send(due);
    }
}

/// Observes which rows of a run have ended, and sends their entries to the settler.
pub(super) struct QueueObserver {
    pub leases: SharedLeases,
    pub run_id: String,
    /// Resolves when the run's records are on the disk.
    pub durability: Durability,
    pub settle_queue: SettleQueue,
}

impl Observe for QueueObserver {
    fn observe(&mut self, event: &RunEvent<'_>) {
        let RunEvent::RowEnded { outcome } = event else { return };
        // `close` names the invalid rows of a list before it starts. A worker can only do so now.
        if outcome.kind == OutcomeKind::Invalid {
            warn!(row = %outcome.origin, "this entry is invalid: {}", outcome.details.message);
        }
        let settled = self.leases.lock().ended(outcome, &self.run_id);
        self.leases.notify_room();
        if let Some(settled) = settled {
            let after = Some((self.durability.clone(), self.durability.appended()));
            self.settle_queue.send(DueEntry { settled, after });
        }
    }
}

/// Settles the entries of all runs of this process.
pub(crate) struct Settler<B> {
    broker: Arc<B>,
    leases: SharedLeases,
    clock: Clock,
    due: mpsc::UnboundedReceiver<DueEntry>,
    /// Dead letters that wait. They are apart from the other entries because they need memory on the server. A refused dead letter
    /// must not delay an acknowledgement, which may free that memory.
    dead_letters: Vec<Settled>,
    failures: BrokerBackoff,
}

impl<B: Broker> Settler<B> {
    /// A settler, and what sends entries to it.
    pub(crate) fn new(broker: Arc<B>, leases: SharedLeases, clock: Clock) -> (Self, SettleQueue) {
        let (sender, due) = mpsc::unbounded_channel();
        let (dead_letters, failures) = (vec![], BrokerBackoff::default());
        (Self { broker, leases, clock, due, dead_letters, failures }, SettleQueue(sender))
    }

    /// Settles until every sender is dropped and no entry is left.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        let (mut more_may_come, mut retry_at) = (true, self.clock.now());
        while more_may_come || !self.dead_letters.is_empty() {
            tokio::select! {
                received = self.due.recv_many(&mut batch, AT_ONCE), if more_may_come => {
                    more_may_come = received > 0;
                }
                () = self.clock.wait_until(retry_at), if !self.dead_letters.is_empty() => {}
            }
            self.settle(on_the_disk(&mut batch).await).await;
            let now = self.clock.now();
            if retry_at <= now {
                retry_at = now + self.settle_dead_letters().await;
            }
        }
    }

    /// Settles all entries but the dead letters, and retries until the queue has done it.
    async fn settle(&mut self, settled: Vec<Settled>) {
        let (dead_letters, others): (Vec<_>, Vec<_>) =
            settled.into_iter().partition(|entry| matches!(entry.settlement, Settlement::DeadLetter { .. }));
        self.dead_letters.extend(dead_letters);
        while !others.is_empty() {
            match self.broker.settle(&others).await {
                Ok(()) => {
                    self.settled(&others);
                    return;
                }
                Err(error) => self.clock.wait_until(self.clock.now() + self.failures.failed(&error)).await,
            }
        }
    }

    /// Settles the dead letters. Returns how long to wait before the next try.
    async fn settle_dead_letters(&mut self) -> Duration {
        while !self.dead_letters.is_empty() {
            let count = self.dead_letters.len().min(AT_ONCE);
            if let Err(error) = self.broker.settle(&self.dead_letters[..count]).await {
                return self.failures.failed(&error);
            }
            let moved: Vec<Settled> = self.dead_letters.drain(..count).collect();
            self.settled(&moved);
        }
        self.failures.worked();
        Duration::ZERO
    }

    fn settled(&self, settled: &[Settled]) {
        self.leases.lock().settled(settled);
        self.leases.notify_room();
    }
}

/// Waits until the records of these entries are on the disk. Entries whose record cannot be written are left out.
async fn on_the_disk(batch: &mut Vec<DueEntry>) -> Vec<Settled> {
    let mut settled = vec![];
    for DueEntry { settled: entry, after } in batch.drain(..) {
        let reached = match after {
            Some((mut durability, seq)) => durability.reached(seq).await,
            None => Ok(()),
        };
        match reached {
            Ok(()) => settled.push(entry),
            // The run stops for this reason. Another worker gets the entry, asks again, and records `ended_by` unknown.
            Err(problem) => {
                error!(entry = %entry.id, "cannot settle the entry, because its outcome is not on the disk: {problem}");
            }
        }
    }
    settled
}
