//! Appending, and making durable in groups.
//!
//! Records go to the operating system one by one, within the caller's own call. A thread beside it syncs the file to the
//! disk every few milliseconds while there is something new, so durability costs one sync a group and never a wait.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;

use super::{Chain, Record, Storage};
use crate::clock::blocking_sleep;
use crate::exit::{ExitCode, Failure};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// The shortest time between two syncs: what a power loss can cost at most, beside the sync itself.
const GROUP: Duration = Duration::from_millis(20);

/// Why the journal takes no more.
#[derive(Debug, Clone, Error)]
#[error("cannot write {}: {problem}", path.display())]
pub struct JournalError {
    /// The journal.
    pub path: PathBuf,
    /// The system's reason.
    pub problem: String,
    /// How many records are on the disk for sure.
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
    state: Mutex<State>,
    changed: Condvar,
    /// Sent whenever more is on the disk, or nothing more will be.
    synced: watch::Sender<()>,
}

/// Tells when records are on the disk, for whoever may not act on them before.
#[derive(Clone)]
pub struct Durability {
    shared: Arc<Shared>,
    synced: watch::Receiver<()>,
}

impl Durability {
    /// The number of the record that was added last.
    pub fn appended(&self) -> u64 {
        self.shared.lock().chain.seq
    }

    /// Returns once the record of that number is on the disk, or an error once it is known that it never will be.
    pub async fn reached(&mut self, seq: u64) -> Result<(), JournalError> {
        loop {
            self.synced.borrow_and_update();
            if let Some(end) = self.shared.known_of(seq) {
                return end;
            }
            if self.synced.changed().await.is_err() {
                unreachable!("the sender is in what this holds");
            }
        }
    }
}

struct State {
    chain: Chain,
    durable: u64,
    failed: Option<JournalError>,
    closing: bool,
}

impl Journal {
    /// Continues `chain` in `storage`. `path` is for errors alone.
    pub fn new(path: PathBuf, storage: impl Storage, chain: Chain) -> Self {
        let durable = chain.seq;
        let state = State { chain, durable, failed: None, closing: false };
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
        // Without the thread nothing is durable before [`Journal::sync`], which is always called before anything counts.
        Self { shared, syncer: syncer.ok() }
    }

    /// Adds a record and returns its number. It has reached the operating system when this returns.
    pub fn append(&self, record: &Record, at: Timestamp) -> Result<u64, JournalError> {
        let mut state = self.shared.lock();
        if let Some(error) = &state.failed {
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

    /// Returns once everything added so far is on the disk.
    pub fn sync(&self) -> Result<Chain, JournalError> {
        let chain = self.shared.lock().chain.clone();
        let synced = self.shared.storage.sync();
        let mut state = self.shared.lock();
        match (&state.failed, synced) {
            (Some(error), _) => Err(error.clone()),
            (None, Err(error)) => Err(self.shared.fail(&mut state, &error)),
            (None, Ok(())) => {
                self.shared.made_durable(&mut state, chain.seq);
                Ok(chain)
            }
        }
    }

    /// Tells when records are on the disk.
    pub fn durability(&self) -> Durability {
        Durability { shared: Arc::clone(&self.shared), synced: self.shared.synced.subscribe() }
    }

    /// The failure after which nothing is taken any more, if there was one.
    pub fn failure(&self) -> Option<JournalError> {
        self.shared.lock().failed.clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_one();
        if let Some(syncer) = self.syncer.take() {
            let _ = syncer.join();
        }
        self.shared.synced.send_replace(());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn fail(&self, state: &mut State, error: &io::Error) -> JournalError {
        let error = JournalError {
            path: self.path.clone(),
            problem: error.to_string(),
            durable_records: state.durable,
        };
        self.synced.send_replace(());
        state.failed.get_or_insert(error).clone()
    }

    fn made_durable(&self, state: &mut State, seq: u64) {
        state.durable = state.durable.max(seq);
        self.synced.send_replace(());
    }

    /// Whether a record is on the disk, or never will be; none while that is open.
    fn known_of(&self, seq: u64) -> Option<Result<(), JournalError>> {
        let state = self.lock();
        if state.durable >= seq {
            return Some(Ok(()));
        }
        let closed = || JournalError {
            path: self.path.clone(),
            problem: "it was closed before its last records were on the disk".to_owned(),
            durable_records: state.durable,
        };
        state.failed.clone().or_else(|| state.closing.then(closed)).map(Err)
    }

    fn sync_in_groups(&self) {
        loop {
            let seq = {
                let mut state = self.lock();
                while state.durable == state.chain.seq && !state.closing {
                    self.changed.wait(&mut state);
                }
                if state.closing || state.failed.is_some() {
                    return;
                }
                state.chain.seq
            };
            let synced = self.storage.sync();
            let mut state = self.lock();
            match synced {
                Ok(()) => self.made_durable(&mut state, seq),
                Err(error) => {
                    self.fail(&mut state, &error);
                    return;
                }
            }
            drop(state);
            blocking_sleep(GROUP);
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let durable = format!("{error}; {} records are safe on the disk", error.durable_records);
        Self::new(ExitCode::AuditLost, durable)
            .hint("make room, or mend the folder, and run the same command again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{AttemptStarted, Hasher};

    /// A disk of so many bytes.
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
    fn a_full_disk_is_told_with_what_is_durable_and_nothing_is_taken_after() {
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
    async fn whoever_waits_for_a_record_is_told_once_it_is_on_the_disk_and_not_before() {
        let journal = journal(10_000, false);
        let mut durability = journal.durability();
        append(&journal).unwrap();
        assert_eq!(durability.appended(), 1);
        durability.reached(1).await.unwrap();
        assert!(tokio::time::timeout(2 * GROUP, durability.reached(2)).await.is_err());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_record_that_never_will_be_on_the_disk_is_told_so() {
        let broken = journal(10_000, true);
        append(&broken).unwrap();
        assert_eq!(broken.durability().reached(1).await.unwrap_err().problem, "input/output error");
        let closed = journal(10_000, false);
        let mut durability = closed.durability();
        drop(closed);
        assert!(durability.reached(1).await.unwrap_err().problem.starts_with("it was closed before"));
    }

    #[test]
    fn a_failed_sync_counts_nothing_as_durable() {
        let journal = journal(10_000, true);
        append(&journal).unwrap();
        assert_eq!(journal.sync().unwrap_err().durable_records, 0);
        assert!(append(&journal).is_err());
    }
}
