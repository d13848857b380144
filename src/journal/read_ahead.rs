//! Opening a journal's lines ahead of who reads them, on all cores.
//!
//! Lines are read in batches, and each batch is opened by a thread of its own: it ends with its batch, so there is nothing
//! to stop and nothing to share. Whether a line follows the one before it is for the reader to say.
//!
//! Invariant: lines come in the journal's order, and no more than [`MAX_AHEAD`] batches are held.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};
use std::vec;

use jiff::Timestamp;

use super::record::Line;
use super::{Hash, Hasher, Record};

/// How long a batch is, in bytes, but for the rest of its last line.
pub(super) const BATCH: usize = 1 << 20;
/// The most batches that are held at a time.
const MAX_AHEAD: usize = 9;

/// What is wrong with a line.
pub(super) type Problem = &'static str;

/// A line that is what was written, by itself: whether it follows the one before it is not known yet.
#[derive(Debug)]
pub(super) struct ParsedLine {
    /// The line's bytes, its line break included.
    pub(super) length: u64,
    pub(super) hash: Hash,
    pub(super) prev: Hash,
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) record: Record,
}

type LineBatch = Vec<Result<ParsedLine, Problem>>;

/// The lines of a journal.
#[derive(Debug)]
pub(super) struct ReadAhead {
    file: BufReader<File>,
    hasher: Hasher,
    most: usize,
    opening: VecDeque<io::Result<JoinHandle<LineBatch>>>,
    opened: vec::IntoIter<Result<ParsedLine, Problem>>,
}

impl ReadAhead {
    /// The lines from where `file` stands.
    pub(super) fn new(file: File, hasher: Hasher) -> Self {
        // One batch more than there are cores, so that none is idle while the reader makes use of the first.
        let most = thread::available_parallelism().map_or(1, usize::from).saturating_add(1).min(MAX_AHEAD);
        let file = BufReader::with_capacity(1 << 16, file);
        Self { file, hasher, most, opening: VecDeque::new(), opened: vec![].into_iter() }
    }

    /// The next line, or none at the file's end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Result<ParsedLine, Problem>>> {
        loop {
            if let Some(line) = self.opened.next() {
                return Ok(Some(line));
            }
            self.read_ahead();
            let Some(batch) = self.opening.pop_front() else { return Ok(None) };
            self.opened = batch?.join().unwrap_or_else(|panic| resume_unwind(panic)).into_iter();
        }
    }

    /// An error waits for its turn like a batch.
    fn read_ahead(&mut self) {
        while self.opening.len() < self.most {
            match self.open_batch().transpose() {
                Some(batch) => self.opening.push_back(batch),
                None => return,
            }
        }
    }

    fn open_batch(&mut self) -> io::Result<Option<JoinHandle<LineBatch>>> {
        let mut lines = Vec::with_capacity(BATCH + BATCH / 16);
        self.file.by_ref().take(BATCH as u64).read_to_end(&mut lines)?;
        if lines.is_empty() {
            return Ok(None);
        }
        if !lines.ends_with(b"\n") {
            self.file.read_until(b'\n', &mut lines)?;
        }
        let hasher = self.hasher.clone();
        let thread = thread::Builder::new().name("journal-read".into());
        thread.spawn(move || open_all(&lines, &hasher)).map(Some)
    }
}

fn open_all(mut lines: &[u8], hasher: &Hasher) -> LineBatch {
    let mut opened = vec![];
    while !lines.is_empty() {
        let from_here = lines;
        let length = lines.skip_until(b'\n').expect("bytes in memory can be read");
        opened.push(open(&from_here[..length], hasher));
    }
    opened
}

/// Takes a line apart.
fn open(line: &[u8], hasher: &Hasher) -> Result<ParsedLine, Problem> {
    let length = line.len() as u64;
    let line = line.strip_suffix(b"\n").ok_or("its line is cut off")?;
    let line = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let hash = hasher.check(line).ok_or("its hash does not match its content")?;
    let Line { seq, prev, at, record } = Record::read(line).map_err(|_| "it is no record of a known type")?;
    let prev = Hash::parse(prev).ok_or("it does not follow the record before it")?;
    Ok(ParsedLine { length, hash, prev, seq, at, record })
}
