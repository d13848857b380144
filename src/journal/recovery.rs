//! Opens the journal of an earlier process, to continue it.
//!
//! A crash or a full disk can leave the beginning of a record at the journal's end. This torn end is moved to a file beside
//! the journal and never deleted. Any other difference from what was written is an error: a journal is never repaired.
//!
//! Invariant: the journal that [`recover`] returns is locked, was read to its last byte, and ends with a whole record.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Chain, FileStorage, Hasher, JournalEntry, ReadError, Reader};

/// Why a journal cannot be continued.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// Another process is writing it.
    #[error("another process is writing {}", .0.display())]
    Busy(PathBuf),
    /// It cannot be read, or a record is broken.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be opened, or its torn end cannot be moved.
    #[error("cannot continue {}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A journal that can be continued.
#[derive(Debug)]
pub struct Recovered {
    /// The file, locked.
    pub storage: FileStorage,
    /// The state of its chain.
    pub chain: Chain,
    /// The file with its torn end, if it had one.
    pub torn: Option<PathBuf>,
}

/// Locks a journal, reads it to its end, and moves a torn end to a file of its own. `learn` receives every record.
pub fn recover(
    path: &Path,
    hasher: Hasher,
    mut learn: impl FnMut(JournalEntry),
) -> Result<Recovered, RecoverError> {
    let failed = |source: io::Error| RecoverError::Io { path: path.to_owned(), source };
    let storage = FileStorage::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => RecoverError::Busy(path.to_owned()),
        _ => failed(error),
    })?;
    let mut reader = Reader::open(path, hasher)?;
    let torn = loop {
        match reader.next_entry() {
            Ok(Some(entry)) => learn(entry),
            Ok(None) => break None,
            Err(broken @ ReadError::Broken { .. }) => {
                if !reader.is_at_torn_tail()? {
                    return Err(broken.into());
                }
                let copy = copy_torn_end(path, reader.offset(), reader.chain().seq + 1).map_err(failed)?;
                storage.truncate(reader.offset()).map_err(failed)?;
                break Some(copy);
            }
            Err(error @ (ReadError::Io { .. } | ReadError::NoRun(_))) => return Err(error.into()),
        }
    };
    Ok(Recovered { storage, chain: reader.chain().clone(), torn })
}

/// Copies the bytes from `offset` on to a new file, and syncs that.
fn copy_torn_end(journal: &Path, offset: u64, seq: u64) -> io::Result<PathBuf> {
    let mut tail = vec![];
    let mut file = File::open(journal)?;
    file.seek(SeekFrom::Start(offset))?;
    file.read_to_end(&mut tail)?;
    for number in 0.. {
        let copy = journal.with_file_name(format!("journal.torn-{seq}-{number}"));
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy) {
            Ok(mut file) => {
                let written = file.write_all(&tail).and_then(|()| file.sync_all());
                return match written {
                    Ok(()) => Ok(copy),
                    Err(error) => {
                        let _ = fs::remove_file(&copy);
                        Err(error)
                    }
                };
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("a folder has fewer than 2^31 torn ends of one record")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::journal::{AttemptStarted, Journal, Record};

    const RECORDS: u32 = 6;

    fn attempt(attempt: u32) -> Record {
        Record::Attempt(AttemptStarted {
            source: "a.csv".into(),
            line: 2,
            conference_id: "c".into(),
            union_id: "会议".into(),
            attempt,
        })
    }

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("journal.jsonl");
        let journal =
            Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
        for number in 1..=RECORDS {
            journal.append(&attempt(number), Timestamp::UNIX_EPOCH).unwrap();
        }
        journal.sync().unwrap();
        path
    }

    fn count(path: &Path) -> Result<(usize, Recovered), RecoverError> {
        let mut entries = 0;
        let recovered = recover(path, Hasher::PLAIN, |_| entries += 1)?;
        Ok((entries, recovered))
    }

    #[test]
    fn a_journal_cut_at_any_byte_continues_after_its_last_whole_record_and_nothing_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            let (entries, recovered) = count(&path).unwrap();
            assert_eq!(entries, lines, "cut at {cut}");
            let kept = fs::read(&path).unwrap();
            let copy = recovered.torn.map(|torn| fs::read(torn).unwrap()).unwrap_or_default();
            assert_eq!([kept, copy].concat(), &whole[..cut], "cut at {cut}");
            let journal = Journal::new(path.clone(), recovered.storage, recovered.chain);
            assert_eq!(journal.append(&attempt(9), Timestamp::UNIX_EPOCH).unwrap(), lines as u64 + 1);
            drop(journal);
            assert_eq!(count(&path).unwrap().0, lines + 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_journal_that_another_process_is_writing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let (_, first) = count(&path).unwrap();
        assert!(matches!(count(&path), Err(RecoverError::Busy(_))));
        drop(first);
        assert!(count(&path).is_ok());
    }

    proptest! {
        #[test]
        fn a_record_altered_before_the_end_is_refused_with_its_number(position in 0.0..1.0f64, flip in 1u8..=255) {
            let folder = tempfile::tempdir().unwrap();
            let path = written(folder.path());
            let mut bytes = fs::read(&path).unwrap();
            let last_line = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short file")]
            let place = (position * last_line as f64) as usize;
            bytes[place] ^= flip;
            let seq = bytes[..place].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            fs::write(&path, bytes).unwrap();
            match count(&path) {
                Err(RecoverError::Read(ReadError::Broken { seq: broken, .. })) => prop_assert!(broken <= seq),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
