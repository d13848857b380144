//! What a queue can do for its workers, in our own terms.

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

/// The text is no id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no id of an entry")]
pub(crate) struct NoEntryId;

impl FromStr for EntryId {
    type Err = NoEntryId;

    fn from_str(text: &str) -> Result<Self, NoEntryId> {
        let (millis, number) = text.split_once('-').ok_or(NoEntryId)?;
        let parse = |part: &str| part.parse().map_err(|_| NoEntryId);
        Ok(Self { millis: parse(millis)?, number: parse(number)? })
    }
}

/// A field of an entry: its beginning, which is all of it where it can be an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The beginning.
    pub start: Vec<u8>,
    /// Its whole length, in bytes.
    pub bytes: usize,
}

/// An entry that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Which.
    pub id: EntryId,
    /// How often it has been handed out by now, from 1.
    pub times: u64,
    /// Whether an earlier worker may have asked for it.
    pub in_doubt: bool,
    /// The conference id, where there is one.
    pub conference_id: Option<Field>,
    /// The union id, where there is one.
    pub union_id: Option<Field>,
}

/// What was taken from the queue at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TakenBatch {
    /// What was handed out.
    pub deliveries: Vec<Delivery>,
    /// Entries that are on the queue, those that somebody works on included.
    pub entries: u64,
    /// Entries that somebody holds, these included.
    pub held: u64,
}

/// What became of entries that this worker held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// Another worker has them, or will be handed them. All others are still this worker's.
    pub anothers: HashSet<EntryId>,
    /// The queue knows nothing of them: somebody settled or deleted them, or it forgot them.
    pub gone: HashSet<EntryId>,
}

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It is done.
    Acknowledge,
    /// It will not be done: it is kept apart.
    Bury {
        /// What was read of it, should nothing else be left.
        cells: Cells,
        /// What stands beside its own fields.
        fields: Vec<(&'static str, String)>,
    },
    /// Others may take it at once. It counts as handed out so often.
    Release {
        /// How often.
        times: u64,
    },
}

/// An entry that is to be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Which.
    pub id: EntryId,
    /// How.
    pub settlement: Settlement,
}

/// Why a queue did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the queue at {place}: {problem}")]
pub struct BrokerError {
    /// Where it is, without a password.
    pub place: String,
    /// The reason.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
    /// Whether it may pass without anybody's doing: the queue is away, or it has no room.
    pub passes: bool,
}

/// A queue, as one worker sees it. Every call is done whole or not at all, and can be made again.
pub(crate) trait Broker: Send + Sync + 'static {
    /// Takes up to so many entries: those given back, those whose worker is gone, and new ones.
    fn take(&self, most: usize) -> impl Future<Output = Result<TakenBatch, BrokerError>> + Send;

    /// Says that these are still worked on, and learns which have been taken over meanwhile.
    fn renew(&self, ids: &[EntryId]) -> impl Future<Output = Result<Renewed, BrokerError>> + Send;

    /// Settles entries. One that was settled before is left alone.
    fn settle(&self, settled: &[Settled]) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Leaves the queue; says how many entries this worker still holds.
    fn leave(&self) -> impl Future<Output = Result<u64, BrokerError>> + Send;
}

/// What adding requests came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Requests that are on the queue now and were not before.
    pub added: u64,
    /// Requests that waited already.
    pub waited: u64,
}

impl std::ops::AddAssign for Added {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.waited += other.waited;
    }
}

/// What putting dead entries back came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Entries that are on the queue again.
    pub put_back: u64,
    /// Entries whose meeting waited already.
    pub waited: u64,
}

/// A queue at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Entries that nobody works on.
    pub waiting: u64,
    /// Who works on what.
    pub workers: Vec<WorkerLoad>,
    /// Entries in the dead-letter stream.
    pub dead: u64,
    /// Those by code, the most frequent first; by outcome where there is no code.
    pub dead_by_code: Vec<(String, u64)>,
}

/// What one worker has in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLoad {
    /// The worker's name.
    pub worker: String,
    /// How many entries.
    pub entries: u64,
    /// For how long it has had the first of them, in milliseconds.
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
    fn an_id_is_read_as_it_is_written_and_stands_in_the_order_of_time() {
        let ids = ["7-0", "1764000000000-0", "1764000000000-2", "1764000000000-10"];
        let read: Vec<EntryId> = ids.iter().map(|id| id.parse().unwrap()).collect();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ids);
        assert!(read.is_sorted());
        for wrong in ["", "7", "7-", "a-0", "-1"] {
            assert_eq!(wrong.parse::<EntryId>(), Err(NoEntryId), "{wrong}");
        }
    }
}
