//! Settles entries whose outcome is on the disk.
//!
//! Invariant: nothing is settled before its outcome is durable; what the queue does not take is offered to it again until it
//! does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{error, warn};

use super::SharedLeases;
use crate::clock::Clock;
use crate::events::{Observe, RunEvent};
use crate::journal::Durability;
use crate::outcome::OutcomeKind;
use crate::queue::{Broker, BrokerBackoff, Settled, Settlement};

/// Entries that are settled at once: the script keeps everybody else waiting, the quota's askers first of all.
const AT_ONCE: usize = 32;

/// An entry, and the record that has to be on the disk before it is settled.
struct DueEntry {
    settled: Settled,
    after: Option<(Durability, u64)>,
}

/// The way to the settler. It ends when every clone of this is gone and everything is settled.
#[derive(Clone)]
pub(crate) struct SettleQueue(mpsc::UnboundedSender<DueEntry>);

impl SettleQueue {
    /// Settles what was settled before.
    pub(super) fn again(&self, settled: Settled) {
        self.send(DueEntry { settled, after: None });
    }

    fn send(&self, due: DueEntry) {
        // Without a settler nothing can be settled, and the entry is handed to somebody else.
        let _ = self.0.send(due);
    }
}

/// Hears which rows of a run have ended, and hands their entries on.
pub(super) struct QueueObserver {
    /// What is in hand.
    pub leases: SharedLeases,
    /// The run's id.
    pub run_id: String,
    /// When its records are on the disk.
    pub durability: Durability,
    /// Where its entries go.
    pub settle_queue: SettleQueue,
}

impl Observe for QueueObserver {
    fn observe(&mut self, event: &RunEvent<'_>) {
        let RunEvent::RowEnded { outcome } = event else { return };
        // Nobody read the queue to its end before, as somebody did a list.
        if outcome.kind == OutcomeKind::Invalid {
            warn!(row = %outcome.origin, "no meeting can be closed for this entry: {}", outcome.details.message);
        }
        let settled = self.leases.lock().ended(outcome, &self.run_id);
        self.leases.free();
        if let Some(settled) = settled {
            let after = Some((self.durability.clone(), self.durability.appended()));
            self.settle_queue.send(DueEntry { settled, after });
        }
    }
}

/// Settles what the runs of a process come to.
pub(crate) struct Settler<B> {
    broker: Arc<B>,
    leases: SharedLeases,
    clock: Clock,
    due: mpsc::UnboundedReceiver<DueEntry>,
    /// What the queue did not take yet: a dead-letter stream without room keeps no acknowledgement waiting, which may be what
    /// makes the room.
    unburied: Vec<Settled>,
    failures: BrokerBackoff,
}

impl<B: Broker> Settler<B> {
    /// A settler, and the way to it.
    pub(crate) fn new(broker: Arc<B>, leases: SharedLeases, clock: Clock) -> (Self, SettleQueue) {
        let (sender, due) = mpsc::unbounded_channel();
        let (unburied, failures) = (vec![], BrokerBackoff::default());
        (Self { broker, leases, clock, due, unburied, failures }, SettleQueue(sender))
    }

    /// Settles until every way in is gone and nothing is left.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        let (mut more_may_come, mut bury_at) = (true, self.clock.now());
        while more_may_come || !self.unburied.is_empty() {
            tokio::select! {
                received = self.due.recv_many(&mut batch, AT_ONCE), if more_may_come => {
                    more_may_come = received > 0;
                }
                () = self.clock.wait_until(bury_at), if !self.unburied.is_empty() => {}
            }
            self.settle(on_the_disk(&mut batch).await).await;
            let now = self.clock.now();
            if bury_at <= now {
                bury_at = now + self.bury().await;
            }
        }
    }

    /// Settles all but the burials, however long it takes.
    async fn settle(&mut self, settled: Vec<Settled>) {
        let (burials, others): (Vec<_>, Vec<_>) =
            settled.into_iter().partition(|entry| matches!(entry.settlement, Settlement::Bury { .. }));
        self.unburied.extend(burials);
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

    /// Buries what is to be buried; says after how long to go on.
    async fn bury(&mut self) -> Duration {
        while !self.unburied.is_empty() {
            let count = self.unburied.len().min(AT_ONCE);
            if let Err(error) = self.broker.settle(&self.unburied[..count]).await {
                return self.failures.failed(&error);
            }
            let buried: Vec<Settled> = self.unburied.drain(..count).collect();
            self.settled(&buried);
        }
        self.failures.worked();
        Duration::ZERO
    }

    fn settled(&self, settled: &[Settled]) {
        self.leases.lock().settled(settled);
        self.leases.free();
    }
}

/// What of these is on the disk, once it is clear.
async fn on_the_disk(batch: &mut Vec<DueEntry>) -> Vec<Settled> {
    let mut settled = vec![];
    for DueEntry { settled: entry, after } in batch.drain(..) {
        let reached = match after {
            Some((mut durability, seq)) => durability.reached(seq).await,
            None => Ok(()),
        };
        match reached {
            Ok(()) => settled.push(entry),
            // The run stops for it; whoever takes the entry over asks again, and says that it does not know.
            Err(problem) => error!(entry = %entry.id, "not settled: {problem}"),
        }
    }
    settled
}
