//! Appends records, and syncs them to the disk in groups.
//!
//! The caller's own call gives a record to the operating system. While there are new records, a thread syncs the file every
//! few milliseconds. So a group of records costs one sync, and appending never waits for the disk.
//!
//! Invariant: after a failure, the journal takes no more records.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex, MutexGuard};
use thiserror::Error;
use tokio::sync::watch;

use super::{Chain, Record, Storage};
use crate::clock::blocking_sleep;
use crate::exit::{ExitCode, Failure};
use crate::wording::count;

/// The shortest time between two syncs. A power loss can cost the records of this time, and of the sync itself.
const SYNC_INTERVAL: Duration = Duration::from_millis(20);

/// Why the journal takes no more records.
#[derive(Debug, Clone, Error)]
#[error("cannot write {}: {problem}", path.display())]
pub struct JournalError {
    /// The journal.
    pub path: PathBuf,
    /// The system's reason.
    pub problem: String,
    /// How many records are certainly on the disk.
    pub durable_records: u64,
}

/// An open journal.
pub struct Journal {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
}

struct Shared {
    path: PathBuf,
    storage: Box<dyn Storage>,
    state: Mutex<WriterState>,
    changed: Condvar,
    /// Sent when more records are on the disk, or when no more will be.
    synced: watch::Sender<()>,
}

/// Waits until records are on the disk, for callers that must not act on them before.
#[derive(Clone)]
pub struct Durability {
    shared: Arc<Shared>,
    synced: watch::Receiver<()>,
}

impl Durability {
    /// The number of the last record that was appended.
    pub fn appended(&self) -> u64 {
        self.shared.lock().chain.seq
    }

    /// Returns when the record with that number is on the disk, or an error when it never will be.
    pub async fn reached(&mut self, seq: u64) -> Result<(), JournalError> {
        loop {
            self.synced.borrow_and_update();
            if let Some(result) = self.shared.durability_of(seq) {
                return result;
            }
            if self.synced.changed().await.is_err() {
                unreachable!("`self.shared` owns the sender");
            }
        }
    }
}

struct WriterState {
    chain: Chain,
    /// The number of the last record that is on the disk.
    durable: u64,
    failure: Option<JournalError>,
    is_closing: bool,
}

impl Journal {
    /// Continues `chain` in `storage`. Only errors use `path`.
    pub fn new(path: PathBuf, storage: impl Storage, chain: Chain) -> Self {
        let durable = chain.seq;
        let state = WriterState { chain, durable, failure: None, is_closing: false };
        let shared = Arc::new(Shared {
            path,
            storage: Box::new(storage),
            state: Mutex::new(state),
            changed: Condvar::new(),
            synced: watch::Sender::new(()),
        });
        let syncer = std::thread::Builder::new().name("journal-sync".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.sync_in_groups()
        });
        // Without the thread, only [`Journal::sync`] makes records durable. It is always called before an outcome counts.
        Self { shared, syncer: syncer.ok() }
    }

    /// Adds a record and returns its number. The operating system has the record when this returns.
    pub fn append(&self, record: &Record, at: Timestamp) -> Result<u64, JournalError> {
        let mut state = self.shared.lock();
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        let canonical = record.canonical(&state.chain, at);
        let mut line = state.chain.seal(&canonical);
        line.push('\n');
        if let Err(error) = self.shared.storage.append(line.as_bytes()) {
            return Err(self.shared.fail(&mut state, &error));
        }
        self.shared.changed.notify_one();
        Ok(state.chain.seq)
    }

    /// Returns when every record so far is on the disk.
    pub fn sync(&self) -> Result<Chain, JournalError> {
        let chain = self.shared.lock().chain.clone();
        let synced = self.shared.storage.sync();
        let mut state = self.shared.lock();
        match (&state.failure, synced) {
            (Some(error), _) => Err(error.clone()),
            (None, Err(error)) => Err(self.shared.fail(&mut state, &error)),
            (None, Ok(())) => {
                self.shared.mark_durable(&mut state, chain.seq);
                Ok(chain)
            }
        }
    }

    /// A handle that waits until records are on the disk.
    pub fn durability(&self) -> Durability {
        Durability { shared: Arc::clone(&self.shared), synced: self.shared.synced.subscribe() }
    }

    /// The first failure, if there was one.
    pub fn failure(&self) -> Option<JournalError> {
        self.shared.lock().failure.clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.changed.notify_one();
        if let Some(syncer) = self.syncer.take() {
            let _ = syncer.join();
        }
        self.shared.synced.send_replace(());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, WriterState> {
        self.state.lock()
    }

    fn fail(&self, state: &mut WriterState, error: &io::Error) -> JournalError {
        let error = JournalError {
            path: self.path.clone(),
            problem: error.to_string(),
            durable_records: state.durable,
        };
        self.synced.send_replace(());
        state.failure.get_or_insert(error).clone()
    }

    fn mark_durable(&self, state: &mut WriterState, seq: u64) {
        state.durable = state.durable.max(seq);
        self.synced.send_replace(());
    }

    /// Whether a record is on the disk or never will be; none while this is unknown.
    fn durability_of(&self, seq: u64) -> Option<Result<(), JournalError>> {
        let state = self.lock();
        if state.durable >= seq {
            return Some(Ok(()));
        }
        let closed = || JournalError {
            path: self.path.clone(),
            problem: "the journal was closed before its last records were on the disk".to_owned(),
            durable_records: state.durable,
        };
        state.failure.clone().or_else(|| state.is_closing.then(closed)).map(Err)
    }

    fn sync_in_groups(&self) {
        loop {
            let seq = {
                let mut state = self.lock();
                while state.durable == state.chain.seq && !state.is_closing {
                    self.changed.wait(&mut state);
                }
                if state.is_closing || state.failure.is_some() {
                    return;
                }
                state.chain.seq
            };
            let synced = self.storage.sync();
            let mut state = self.lock();
            match synced {
                Ok(()) => self.mark_durable(&mut state, seq),
                Err(error) => {
                    self.fail(&mut state, &error);
                    return;
                }
            }
            drop(state);
            blocking_sleep(SYNC_INTERVAL);
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let verb = if error.durable_records == 1 { "is" } else { "are" };
        let durable = count(error.durable_records, "record");
        Self::new(ExitCode::AuditLost, format!("{error}; {durable} {verb} safe on the disk"))
            .hint("free disk space or repair the folder, then repeat the command")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{AttemptStarted, Hasher};

    /// A disk with room for a number of bytes.
    struct SmallDisk {
        room: Mutex<usize>,
        syncs_fail: bool,
    }

    impl Storage for SmallDisk {
        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            let mut room = self.room.lock();
            *room = room.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            if self.syncs_fail { Err(io::Error::other("input/output error")) } else { Ok(()) }
        }
    }

    fn journal(room: usize, syncs_fail: bool) -> Journal {
        let disk = SmallDisk { room: Mutex::new(room), syncs_fail };
        Journal::new("audit/r/journal.jsonl".into(), disk, Chain::new(Hasher::PLAIN))
    }

    fn append(journal: &Journal) -> Result<u64, JournalError> {
        let record = AttemptStarted {
            source: "a.csv".into(),
            line: 2,
            conference_id: "c".into(),
            union_id: "u".into(),
            attempt: 1,
        };
        journal.append(&Record::Attempt(record), "2026-11-23T18:00:00Z".parse().unwrap())
    }

    #[test]
    fn records_are_numbered_from_one() {
        let journal = journal(10_000, false);
        assert_eq!((append(&journal).unwrap(), append(&journal).unwrap()), (1, 2));
        assert_eq!(journal.sync().unwrap().seq, 2);
    }

    #[test]
    fn a_full_disk_is_an_error_with_the_durable_records_and_no_record_is_taken_after_it() {
        let journal = journal(700, false);
        append(&journal).unwrap();
        journal.sync().unwrap();
        let error = loop {
            if let Err(error) = append(&journal) {
                break error;
            }
        };
        assert!(error.to_string().starts_with("cannot write audit/r/journal.jsonl: "), "{error}");
        assert!(error.durable_records >= 1);
        assert!(append(&journal).is_err() && journal.sync().is_err() && journal.failure().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_a_record_ends_when_it_is_on_the_disk_and_not_before() {
        let journal = journal(10_000, false);
        let mut durability = journal.durability();
        append(&journal).unwrap();
        assert_eq!(durability.appended(), 1);
        durability.reached(1).await.unwrap();
        assert!(tokio::time::timeout(2 * SYNC_INTERVAL, durability.reached(2)).await.is_err());
    }

    #[tokio::test]
    async fn a_wait_for_a_record_that_will_never_be_on_the_disk_ends_with_an_error() {
        let broken = journal(10_000, true);
        append(&broken).unwrap();
        assert_eq!(broken.durability().reached(1).await.unwrap_err().problem, "input/output error");
        let closed = journal(10_000, false);
        let mut durability = closed.durability();
        drop(closed);
        assert!(
            durability.reached(1).await.unwrap_err().problem.starts_with("the journal was closed before")
        );
    }

    #[test]
    fn after_a_failed_sync_no_record_counts_as_durable() {
        let journal = journal(10_000, true);
        append(&journal).unwrap();
        assert_eq!(journal.sync().unwrap_err().durable_records, 0);
        assert!(append(&journal).is_err());
    }
}
