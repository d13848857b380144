//! Takes entries as the run can carry them.
//!
//! Invariant: no more entries are in the run without an outcome than [`Feeder::new`] was told, and not many more with one that
//! the queue does not take; what waits on the queue waits for whoever is free first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::leases::{Accepted, SharedLeases};
use super::settler::SettleQueue;
use crate::clock::Clock;
use crate::queue::{Broker, BrokerBackoff, TakenBatch};
use crate::run::IncomingRow;

/// Entries that are taken at once: a script keeps everybody else waiting.
const AT_ONCE: usize = 256;
/// So many entries with an outcome that are not settled are too many: something is wrong with the queue, and what is ended and
/// not acknowledged is asked for again if this worker dies.
const UNSETTLED: usize = 4096;
/// How long an empty queue is left alone before it is asked again.
const IDLE: Duration = Duration::from_millis(100);

/// What a look at the queue came to.
#[derive(Debug)]
pub(crate) enum FeedStep {
    /// Rows for the run.
    Rows(Vec<IncomingRow>),
    /// Nothing waits, and nobody works on anything.
    Emptied {
        /// Entries that are on the queue all the same, and that nobody will be handed: acknowledged by hand and not deleted, or
        /// held by a name that was.
        stranded: u64,
    },
    /// The time given is over.
    Due,
    /// Nothing more is to be taken.
    Stopped,
}

/// Hears what every look at the queue saw.
pub(super) type OnTake = Box<dyn FnMut(&TakenBatch) + Send>;

/// Takes entries.
pub(crate) struct Feeder<B> {
    broker: Arc<B>,
    leases: SharedLeases,
    settle_queue: SettleQueue,
    clock: Clock,
    claim_after: Duration,
    most: usize,
    not_before: Instant,
    is_dammed: bool,
    failures: BrokerBackoff,
    on_take: OnTake,
}

/// Rows that were taken, and how many entries there were then, and how many of them somebody held.
struct TakenRows {
    rows: Vec<IncomingRow>,
    entries: u64,
    held: u64,
}

impl<B: Broker> Feeder<B> {
    /// Keeps up to `most` entries in the run.
    pub(crate) fn new(
        broker: Arc<B>,
        leases: SharedLeases,
        settle_queue: SettleQueue,
        clock: Clock,
        claim_after: Duration,
        most: usize,
        on_take: OnTake,
    ) -> Self {
        let not_before = clock.now();
        Self {
            broker,
            leases,
            settle_queue,
            clock,
            claim_after,
            most,
            not_before,
            is_dammed: false,
            failures: BrokerBackoff::default(),
            on_take,
        }
    }

    /// Waits for entries, and takes them. Returns without any where the queue is empty (if `until_empty`), at `due`, or when
    /// `stopped` says so. Cancelling this future may leave entries taken that nobody knows of, until the claim runs out.
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
            let now = self.clock.now();
            if now >= due {
                return FeedStep::Due;
            }
            let room = self.room();
            // In halves, so that a script is not run for each row that ends.
            let has_room = 2 * room >= self.most;
            if has_room && now >= self.not_before {
                match self.take(room).await {
                    Some(TakenRows { rows, .. }) if !rows.is_empty() => return FeedStep::Rows(rows),
                    // There was room, so nothing more waits; and what nobody holds is nobody's to wait for.
                    Some(TakenRows { held: 0, entries, .. })
                        if until_empty && self.leases.lock().is_empty() =>
                    {
                        return FeedStep::Emptied { stranded: entries };
                    }
                    Some(_) | None => {}
                }
                continue;
            }
            let wake = if has_room { self.not_before.min(due) } else { due };
            tokio::select! {
                () = self.clock.wait_until(wake) => {}
                () = self.leases.freed() => {}
                _ = stopped.changed() => {}
            }
        }
    }

    /// How many entries the run can carry now.
    fn room(&mut self) -> usize {
        let (open, unsettled) = {
            let leases = self.leases.lock();
            (leases.open(), leases.unsettled())
        };
        let was_dammed = std::mem::replace(&mut self.is_dammed, unsettled >= UNSETTLED);
        if self.is_dammed && !was_dammed {
            warn!("nothing more is taken until the queue takes the outcomes of {unsettled} entries");
        }
        if self.is_dammed { 0 } else { self.most.saturating_sub(open) }
    }

    /// What was taken; nothing where the queue failed.
    async fn take(&mut self, room: usize) -> Option<TakenRows> {
        let asked_at = self.clock.now();
        let TakenBatch { deliveries, entries, held } = match self.broker.take(room.min(AT_ONCE)).await {
            Ok(batch) => {
                (self.on_take)(&batch);
                batch
            }
            Err(error) => {
                self.not_before = self.clock.now() + self.failures.failed(&error);
                return None;
            }
        };
        self.failures.worked();
        if deliveries.is_empty() {
            self.not_before = self.clock.now() + IDLE;
        }
        let mut rows = vec![];
        for delivery in deliveries {
            match self.leases.lock().accept(&delivery, asked_at + self.claim_after) {
                Accepted::Row(arrival) => rows.push(*arrival),
                Accepted::Ended(settled) => self.settle_queue.again(settled),
                Accepted::AlreadyLeased => {}
            }
        }
        Some(TakenRows { rows, entries, held })
    }
}
