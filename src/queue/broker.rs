//! What a queue does for its workers, in our own terms.
//!
//! Invariant: a call is done whole or not at all, and the same call can be made again.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::str::FromStr;

use thiserror::Error;

use crate::exit::{ExitCode, Failure};
use crate::meeting::Cells;

/// The id of an entry: when it was added, in milliseconds since 1970, and a number within that millisecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryId {
    millis: u64,
    number: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

/// The text is not the id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not the id of an entry")]
pub(crate) struct NoEntryId;

impl FromStr for EntryId {
    type Err = NoEntryId;

    fn from_str(text: &str) -> Result<Self, NoEntryId> {
        let (millis, number) = text.split_once('-').ok_or(NoEntryId)?;
        let parse = |part: &str| part.parse().map_err(|_| NoEntryId);
        Ok(Self { millis: parse(millis)?, number: parse(number)? })
    }
}

/// A field of an entry. Long fields are cut: an id is shorter than what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The first bytes of the field.
    pub start: Vec<u8>,
    /// The length of the whole field, in bytes.
    pub bytes: usize,
}

/// An entry that the queue delivered to this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub id: EntryId,
    /// How often the queue has delivered the entry, this time included.
    pub times_delivered: u64,
    /// Whether an earlier worker may have asked for the meeting.
    pub in_doubt: bool,
    /// `None` where the entry has no such field.
    pub conference_id: Option<Field>,
    /// `None` where the entry has no such field.
    pub union_id: Option<Field>,
}

/// What one call of [`Broker::take`] returns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub deliveries: Vec<Delivery>,
    /// All entries on the queue, leased or not.
    pub entries: u64,
    /// Entries that are leased to any worker, or released and not yet delivered again.
    pub pending: u64,
}

/// What the queue answers to a renewal. The leases on all other entries are renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// Another worker has these entries, or the queue will deliver them again.
    pub taken_over: HashSet<EntryId>,
    /// These entries are not on the queue: they were settled or deleted, or the queue lost them.
    pub missing: HashSet<EntryId>,
}

/// How an entry is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The entry is done and leaves the queue.
    Acknowledge,
    /// The entry cannot be done. It moves to the dead-letter stream.
    DeadLetter {
        /// The ids that this worker read. They are used where the entry itself was deleted.
        cells: Cells,
        /// The fields that are added to the entry's own fields.
        fields: Vec<(&'static str, String)>,
    },
    /// The queue delivers the entry again, to any worker.
    Release {
        /// How often the entry counts as delivered.
        times_delivered: u64,
    },
}

/// An entry and how to settle it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub id: EntryId,
    pub settlement: Settlement,
}

/// Why a call to the queue failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the queue at {address}: {problem}")]
pub struct BrokerError {
    /// The queue's address, without a password.
    pub address: String,
    /// What went wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
    /// Whether a later call may succeed: the queue cannot be reached, or it has no memory left.
    pub is_transient: bool,
}

/// A queue, as one worker uses it.
pub(crate) trait Broker: Send + Sync + 'static {
    /// Takes up to `limit` entries: released entries first, then entries of silent workers, then new entries.
    fn take(&self, limit: usize) -> impl Future<Output = Result<Batch, BrokerError>> + Send;

    /// Renews the leases on these entries, and returns which entries this worker has lost.
    fn renew(&self, ids: &[EntryId]) -> impl Future<Output = Result<Renewed, BrokerError>> + Send;

    /// Settles entries. An entry that is settled already stays as it is.
    fn settle(&self, settled: &[Settled]) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Leaves the queue, and returns how many entries are still leased to this worker.
    fn leave(&self) -> impl Future<Output = Result<u64, BrokerError>> + Send;
}

/// The result of adding requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Requests that were added now.
    pub added: u64,
    /// Requests that were on the queue already.
    pub waited: u64,
}

impl std::ops::AddAssign for Added {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.waited += other.waited;
    }
}

/// The result of putting dead entries back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Entries that are on the queue again.
    pub put_back: u64,
    /// Dead entries whose meeting was on the queue already.
    pub waited: u64,
}

/// The state of a queue at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Entries that are not leased.
    pub waiting: u64,
    /// The workers that have leases.
    pub workers: Vec<WorkerLoad>,
    /// Entries in the dead-letter stream.
    pub dead: u64,
    /// Dead entries by code, the most frequent first. An entry without a code counts under its outcome.
    pub dead_by_code: Vec<(String, u64)>,
}

/// The leases of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLoad {
    /// The worker's name.
    pub worker: String,
    /// How many entries are leased to it.
    pub entries: u64,
    /// The age of its oldest lease, in milliseconds.
    pub longest_ms: u64,
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written_and_ids_sort_by_time() {
        let ids = ["7-0", "1764000000000-0", "1764000000000-2", "1764000000000-10"];
        let read: Vec<EntryId> = ids.iter().map(|id| id.parse().unwrap()).collect();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ids);
        assert!(read.is_sorted());
        for wrong in ["", "7", "7-", "a-0", "-1"] {
            assert_eq!(wrong.parse::<EntryId>(), Err(NoEntryId), "{wrong}");
        }
    }
}
