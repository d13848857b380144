//! Takes entries from the queue while the run has room for them.
//!
//! Invariant: the run has at most `capacity` entries without an outcome. All other entries stay on the queue, for the worker
//! that has room first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::leases::{Accepted, SharedLeases};
use super::settler::SettleQueue;
use crate::clock::Clock;
use crate::queue::{Batch, Broker, BrokerBackoff};
use crate::run::IncomingRow;

/// The most entries that one call takes. While the script runs, the server does nothing else.
const AT_ONCE: usize = 256;
/// With this many unsettled entries, the feeder takes no more: the queue seems to be broken. If this worker dies, other workers
/// ask for these meetings again.
const MAX_UNSETTLED: usize = 4096;
/// How long to wait before the next look at an empty queue.
const IDLE: Duration = Duration::from_millis(100);

/// What one step of the feeder came to.
#[derive(Debug)]
pub(crate) enum FeedStep {
    /// Rows for the run.
    Rows(Vec<IncomingRow>),
    /// No entry is left that a worker could get or has.
    Emptied {
        /// Entries that are on the queue, but that it delivers to no worker: a person acknowledged them, or deleted the consumer
        /// that had them.
        stranded: u64,
    },
    /// The given time is over.
    Due,
    /// The feeder was stopped.
    Stopped,
}

/// Observes every batch.
pub(crate) type OnBatch = Box<dyn FnMut(&Batch) + Send>;

/// What a feeder is made of.
pub(crate) struct FeederParts<B> {
    pub(crate) broker: Arc<B>,
    pub(crate) leases: SharedLeases,
    pub(crate) settle_queue: SettleQueue,
    pub(crate) clock: Clock,
    /// How long a lease lasts.
    pub(crate) claim_after: Duration,
    /// The most entries without an outcome in the run.
    pub(crate) capacity: usize,
    pub(crate) on_batch: OnBatch,
}

/// Takes entries.
pub(crate) struct Feeder<B> {
    parts: FeederParts<B>,
    /// When to call the queue again, at the earliest.
    not_before: Instant,
    /// Whether too many entries are unsettled.
    is_blocked: bool,
    failures: BrokerBackoff,
}

/// The rows of one batch, and its counts.
struct TakenRows {
    rows: Vec<IncomingRow>,
    entries: u64,
    pending: u64,
}

impl<B: Broker> Feeder<B> {
    pub(crate) fn new(parts: FeederParts<B>) -> Self {
        let not_before = parts.clock.now();
        Self { parts, not_before, is_blocked: false, failures: BrokerBackoff::default() }
    }

    /// Waits for entries, and takes them. Returns without rows at `due`, when `stopped` becomes true, and, with `until_empty`,
    /// when the queue is empty. If this future is cancelled, entries that it has just taken wait until their leases run out.
    pub(crate) async fn step(
        &mut self,
        until_empty: bool,
        due: Instant,
        stopped: &mut watch::Receiver<bool>,
    ) -> FeedStep {
        loop {
            if *stopped.borrow_and_update() {
                return FeedStep::Stopped;
            }
            let now = self.parts.clock.now();
            if now >= due {
                return FeedStep::Due;
            }
            let room = self.room();
            // The feeder waits until half the capacity is free. Otherwise it would call the queue for every row that ends.
            let has_room = 2 * room >= self.parts.capacity;
            if has_room && now >= self.not_before {
                match self.take(room).await {
                    Some(TakenRows { rows, .. }) if !rows.is_empty() => return FeedStep::Rows(rows),
                    // There was room, so no entry waits. Entries that are not pending are delivered to no worker.
                    Some(TakenRows { pending: 0, entries, .. })
                        if until_empty && self.parts.leases.lock().is_empty() =>
                    {
                        return FeedStep::Emptied { stranded: entries };
                    }
                    Some(_) | None => {}
                }
                continue;
            }
            let wake = if has_room { self.not_before.min(due) } else { due };
            tokio::select! {
                () = self.parts.clock.wait_until(wake) => {}
                () = self.parts.leases.room_freed() => {}
                _ = stopped.changed() => {}
            }
        }
    }

    /// How many more entries the run has room for.
    fn room(&mut self) -> usize {
        let (open, unsettled) = {
            let leases = self.parts.leases.lock();
            (leases.open(), leases.unsettled())
        };
        let was_blocked = std::mem::replace(&mut self.is_blocked, unsettled >= MAX_UNSETTLED);
        if self.is_blocked && !was_blocked {
            warn!("taking no more entries until the queue has settled {unsettled} entries");
        }
        if self.is_blocked { 0 } else { self.parts.capacity.saturating_sub(open) }
    }

    /// Takes up to `room` entries. Returns nothing if the queue failed.
    async fn take(&mut self, room: usize) -> Option<TakenRows> {
        let asked_at = self.parts.clock.now();
        let Batch { deliveries, entries, pending } = match self.parts.broker.take(room.min(AT_ONCE)).await {
            Ok(batch) => {
                (self.parts.on_batch)(&batch);
                batch
            }
            Err(error) => {
                self.not_before = self.parts.clock.now() + self.failures.failed(&error);
                return None;
            }
        };
        self.failures.worked();
        if deliveries.is_empty() {
            self.not_before = self.parts.clock.now() + IDLE;
        }
        let mut rows = vec![];
        for delivery in deliveries {
            let until = asked_at + self.parts.claim_after;
            match self.parts.leases.lock().accept(&delivery, until) {
                Accepted::Row(row) => rows.push(*row),
                Accepted::Ended(settled) => self.parts.settle_queue.settle_again(settled),
                Accepted::AlreadyLeased => {}
            }
        }
        Some(TakenRows { rows, entries, pending })
    }
}
