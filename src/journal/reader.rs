//! Reads a journal record by record and checks its chain.
//!
//! Invariant: every entry follows the one before it, by number and by hash.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use thiserror::Error;

use super::read_ahead::{ParsedLine, ReadAhead};
use super::{Chain, Hasher, OutcomeRecord, Record};

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
    /// A record is not as it was written.
    #[error("{}: record {seq} is broken: {problem}", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
        /// The record's number.
        seq: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The first record does not start a run.
    #[error("{} does not begin with a run", .0.display())]
    NoRun(PathBuf),
}

/// One record, and its place in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// Its number, from 1.
    pub seq: u64,
    /// When the record was written.
    pub at: Timestamp,
    /// The byte at which its line begins.
    pub offset: u64,
    /// The record.
    pub record: Record,
}

/// Reads a journal.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    lines: ReadAhead,
    chain: Chain,
    offset: u64,
    /// Reads single lines a second time, at a position of its own.
    lookup: BufReader<File>,
    lookup_offset: u64,
    line: Vec<u8>,
}

impl Reader {
    /// Opens a journal at its first record.
    pub fn open(path: &Path, hasher: Hasher) -> Result<Self, ReadError> {
        let file = || File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source });
        Ok(Self {
            path: path.to_owned(),
            lines: ReadAhead::new(file()?, hasher.clone()),
            chain: Chain::new(hasher),
            offset: 0,
            lookup: BufReader::with_capacity(1 << 16, file()?),
            lookup_offset: 0,
            line: vec![],
        })
    }

    /// The chain's state after the last entry.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The byte behind the last entry.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether only the beginning of a record is left, as after a crash or with a full disk. Neither breaks a record that
    /// has others behind it.
    pub fn is_at_torn_tail(&mut self) -> Result<bool, ReadError> {
        self.read_line_at(self.offset)?;
        Ok(!self.line.is_empty() && !self.line.ends_with(b"\n"))
    }

    /// The next entry, or none at the journal's end.
    pub fn next_entry(&mut self) -> Result<Option<JournalEntry>, ReadError> {
        let (seq, offset) = (self.chain.seq + 1, self.offset);
        let line = self.lines.next_line();
        let Some(line) = line.map_err(|source| self.io_error(source))? else { return Ok(None) };
        let next = line.and_then(|parsed| {
            if parsed.prev != self.chain.head {
                return Err("it does not follow the record before it");
            }
            if parsed.seq != seq {
                return Err("its number does not follow the number before it");
            }
            Ok(parsed)
        });
        match next {
            Ok(ParsedLine { length, hash, at, record, .. }) => {
                self.chain.advance(hash);
                self.offset += length;
                Ok(Some(JournalEntry { seq, at, offset, record }))
            }
            Err(problem) => Err(ReadError::Broken { path: self.path.clone(), seq, problem }),
        }
    }

    /// The outcome whose line begins at `offset`. Its chain is not checked again.
    pub fn outcome_at(&mut self, offset: u64) -> Result<OutcomeRecord, ReadError> {
        self.read_line_at(offset)?;
        serde_json::from_slice(&self.line).map_err(|error| self.io_error(error.into()))
    }

    /// Reads the line that begins at `offset`. Lines are read nearly in order, so a short seek stays within the buffer.
    fn read_line_at(&mut self, offset: u64) -> Result<(), ReadError> {
        self.line.clear();
        let distance = offset.wrapping_sub(self.lookup_offset).cast_signed();
        let read =
            self.lookup.seek_relative(distance).and_then(|()| self.lookup.read_until(b'\n', &mut self.line));
        self.lookup_offset = offset + read.map_err(|source| self.io_error(source))? as u64;
        Ok(())
    }

    fn io_error(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_ahead::BATCH;
    use super::*;
    use crate::journal::{AttemptStarted, FileStorage, Journal};
    use crate::meeting::{Cells, Origin};
    use crate::outcome::{Outcome, OutcomeKind};

    fn attempt(attempt: u32, conference_id: &str) -> Record {
        Record::Attempt(AttemptStarted {
            source: "a.csv".into(),
            line: 2,
            conference_id: conference_id.into(),
            union_id: "u".into(),
            attempt,
        })
    }

    fn written(folder: &Path, records: u32) -> PathBuf {
        let path = folder.join("journal.jsonl");
        let journal =
            Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
        for number in 1..=records {
            journal.append(&attempt(number, "c"), Timestamp::UNIX_EPOCH).unwrap();
        }
        journal.sync().unwrap();
        path
    }

    fn read(path: &Path) -> Result<Vec<JournalEntry>, ReadError> {
        let mut reader = Reader::open(path, Hasher::PLAIN)?;
        std::iter::from_fn(|| reader.next_entry().transpose()).collect()
    }

    #[test]
    fn a_journal_is_read_in_order_and_any_outcome_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal =
            Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
        for line in 1..=5 {
            let (origin, at) = (Origin { source: "a.csv".into(), line }, Timestamp::UNIX_EPOCH);
            let kind = OutcomeKind::Invalid;
            let outcome = Outcome::unasked(origin, Cells::default(), kind, "is \"empty\"".into(), at);
            journal.append(&Record::Outcome(Box::new(OutcomeRecord::from(&outcome))), at).unwrap();
        }
        journal.append(&attempt(1, "c"), Timestamp::UNIX_EPOCH).unwrap();
        let entries = read(&path).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let mut reader = Reader::open(&path, Hasher::PLAIN).unwrap();
        for index in [3, 0, 4, 1, 2] {
            let outcome = reader.outcome_at(entries[index].offset).unwrap();
            assert_eq!(Record::Outcome(Box::new(outcome)), entries[index].record);
        }
        assert!(matches!(reader.outcome_at(entries[5].offset), Err(ReadError::Io { .. })));
    }

    #[test]
    fn a_swapped_missing_or_altered_record_is_reported_by_its_number() {
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

    /// A journal of several batches, with one line longer than a batch, and the offsets of its lines.
    fn long(folder: &Path) -> (PathBuf, Vec<u64>) {
        let path = folder.join("journal.jsonl");
        let journal =
            Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
        let mut offsets = vec![];
        for number in 1..=50 {
            offsets.push(std::fs::metadata(&path).unwrap().len());
            let length = if number == 30 { BATCH + 1 } else { BATCH / 10 };
            journal.append(&attempt(number, &"c".repeat(length)), Timestamp::UNIX_EPOCH).unwrap();
        }
        journal.sync().unwrap();
        (path, offsets)
    }

    #[test]
    fn a_journal_of_several_batches_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (path, offsets) = long(folder.path());
        let entries = read(&path).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.offset).collect::<Vec<_>>(), offsets);
        for (attempt, entry) in (1..).zip(entries) {
            assert!(
                matches!(entry.record, Record::Attempt(record) if record.attempt == attempt),
                "{attempt}"
            );
        }
    }

    #[test]
    fn the_first_broken_record_is_reported_and_a_torn_end_is_known_from_an_altered_record() {
        let folder = tempfile::tempdir().unwrap();
        let (path, offsets) = long(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for seq in [2, 25, 30, 50] {
            let begin = usize::try_from(offsets[seq - 1]).unwrap();
            let torn = whole[..begin + 100].to_vec();
            let mut altered = whole.clone();
            // A second altered record is behind it.
            for place in [begin + 100, whole.len() - 2] {
                altered[place] ^= 1;
            }
            for (bytes, is_torn) in [(torn, true), (altered, false)] {
                std::fs::write(&path, bytes).unwrap();
                let mut reader = Reader::open(&path, Hasher::PLAIN).unwrap();
                for whole in 1..seq {
                    assert_eq!(reader.next_entry().unwrap().unwrap().seq, whole as u64);
                }
                let broken = reader.next_entry();
                assert!(matches!(broken, Err(ReadError::Broken { seq: named, .. }) if named == seq as u64));
                assert_eq!((reader.offset(), reader.chain().seq), (offsets[seq - 1], seq as u64 - 1));
                assert_eq!(reader.is_at_torn_tail().unwrap(), is_torn, "{seq}");
            }
        }
    }

    #[test]
    fn only_the_owner_can_read_a_journal() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = std::fs::metadata(written(folder.path(), 1)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
