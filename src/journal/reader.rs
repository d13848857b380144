//! Reading a journal record by record, with its chain checked.
//!
//! Invariant: every entry that is yielded follows the one before it, by number and by hash.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use thiserror::Error;

use super::record::Line;
use super::{Chain, Hash, Hasher, Record};

/// Why a journal cannot be read to its end.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A record is not what was written.
    #[error("{}: record {seq} is broken: {problem}", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
        /// The record's number.
        seq: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// One record and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The byte at which its line begins.
    pub offset: u64,
    /// What it says.
    pub record: Record,
}

/// Reads a journal.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    chain: Chain,
    offset: u64,
    line: Vec<u8>,
}

/// A line that is what was written, by itself: whether it follows the one before it is not known yet.
#[derive(Debug)]
struct Opened {
    hash: Hash,
    prev: Hash,
    seq: u64,
    at: Timestamp,
    record: Record,
}

impl Reader {
    /// Opens a journal at its first record.
    pub fn open(path: &Path, hasher: Hasher) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(1 << 16, file),
            chain: Chain::new(hasher),
            offset: 0,
            line: vec![],
        })
    }

    /// Where the chain stands after the last entry.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The byte behind the last entry.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether nothing is left but the beginning of a record: what a crash or a full disk leaves behind. A broken record
    /// with others behind it is none of their doing.
    pub fn is_at_torn_tail(&mut self) -> Result<bool, ReadError> {
        let io_error = |source| ReadError::Io { path: self.path.clone(), source };
        self.file.seek(SeekFrom::Start(self.offset)).map_err(io_error)?;
        self.line.clear();
        let length = self.file.read_until(b'\n', &mut self.line).map_err(io_error)?;
        Ok(length > 0 && !self.line.ends_with(b"\n"))
    }

    /// The next entry, or none at the journal's end.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        let (seq, offset) = (self.chain.seq + 1, self.offset);
        self.line.clear();
        let read = self.file.read_until(b'\n', &mut self.line);
        let length = read.map_err(|source| ReadError::Io { path: self.path.clone(), source })?;
        if length == 0 {
            return Ok(None);
        }
        let followed = open(&self.line, self.chain.hasher()).and_then(|opened| {
            if opened.prev != self.chain.head {
                return Err("it does not follow the record before it");
            }
            if opened.seq != seq {
                return Err("its number does not follow the one before it");
            }
            Ok(opened)
        });
        match followed {
            Ok(Opened { hash, at, record, .. }) => {
                self.chain.advance(hash);
                self.offset += length as u64;
                Ok(Some(Entry { seq, at, offset, record }))
            }
            Err(problem) => Err(ReadError::Broken { path: self.path.clone(), seq, problem }),
        }
    }

    /// The record whose line begins at `offset`, for a second look; its chain is not checked again.
    pub fn record_at(&mut self, offset: u64) -> Result<Record, ReadError> {
        let io_error = |source| ReadError::Io { path: self.path.clone(), source };
        // Lines are asked for nearly in order, so a short way is walked within the buffer.
        let here = self.file.stream_position().map_err(io_error)?;
        let way = i64::try_from(offset).unwrap_or(i64::MAX) - i64::try_from(here).unwrap_or(i64::MAX);
        self.file.seek_relative(way).map_err(io_error)?;
        self.line.clear();
        self.file.read_until(b'\n', &mut self.line).map_err(io_error)?;
        let line = std::str::from_utf8(&self.line).map_err(|error| io_error(io::Error::other(error)))?;
        Ok(Record::read(line).map_err(|error| io_error(error.into()))?.record)
    }
}

/// Takes a line apart.
fn open(line: &[u8], hasher: &Hasher) -> Result<Opened, &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("its line is cut off")?;
    let line = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let hash = hasher.check(line).ok_or("its hash does not match its content")?;
    let Line { seq, prev, at, record } = Record::read(line).map_err(|_| "it is no record of a known type")?;
    let prev = Hash::parse(prev).ok_or("it does not follow the record before it")?;
    Ok(Opened { hash, prev, seq, at, record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{AttemptStarted, FileStorage, Journal};

    fn written(folder: &Path, records: u32) -> PathBuf {
        let path = folder.join("journal.jsonl");
        let journal =
            Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
        for attempt in 1..=records {
            let record = AttemptStarted {
                source: "a.csv".into(),
                line: 2,
                conference_id: "c".into(),
                union_id: "u".into(),
                attempt,
            };
            journal.append(&Record::Attempt(record), Timestamp::UNIX_EPOCH).unwrap();
        }
        journal.sync().unwrap();
        path
    }

    fn read(path: &Path) -> Result<Vec<Entry>, ReadError> {
        let mut reader = Reader::open(path, Hasher::PLAIN)?;
        std::iter::from_fn(|| reader.next_entry().transpose()).collect()
    }

    #[test]
    fn a_journal_reads_back_in_order_and_any_record_can_be_looked_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 5);
        let entries = read(&path).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let mut reader = Reader::open(&path, Hasher::PLAIN).unwrap();
        for index in [3, 0, 4, 1, 2] {
            assert_eq!(reader.record_at(entries[index].offset).unwrap(), entries[index].record);
        }
    }

    #[test]
    fn a_swapped_missing_or_altered_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 4);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (order, broken) in [(vec![0, 2, 1, 3], 2), (vec![0, 1, 3], 3), (vec![1, 2, 3], 1)] {
            let altered: Vec<&str> = order.iter().map(|line| lines[*line]).collect();
            std::fs::write(&path, altered.join("\n") + "\n").unwrap();
            assert!(matches!(read(&path), Err(ReadError::Broken { seq, .. }) if seq == broken), "{order:?}");
        }
        std::fs::write(&path, text.replacen("\"attempt\":3", "\"attempt\":4", 1)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("record 3 is broken: its hash does not match its content"), "{error}");
    }

    #[test]
    fn a_journal_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = std::fs::metadata(written(folder.path(), 1)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
