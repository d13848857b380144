//! Parses a journal's lines ahead of the reader, on all cores.
//!
//! Lines are read in batches. A thread of its own parses each batch and then ends, so threads share nothing and need no
//! stop. The reader checks whether a line follows the line before it.
//!
//! Invariant: lines come in the journal's order, and no more than [`MAX_AHEAD`] batches are in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};
use std::vec;

use jiff::Timestamp;

use super::record::RawLine;
use super::{Hash, Hasher, Record};

/// The length of a batch in bytes, without the rest of its last line.
pub(super) const BATCH: usize = 1 << 20;
/// The most batches in memory.
const MAX_AHEAD: usize = 9;

/// What is wrong with a line.
pub(super) type Problem = &'static str;

/// A line whose hash matches its content. Whether it follows the line before it is not checked yet.
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
    max_batches: usize,
    parsing: VecDeque<io::Result<JoinHandle<LineBatch>>>,
    parsed: vec::IntoIter<Result<ParsedLine, Problem>>,
}

impl ReadAhead {
    /// The lines from the current position of `file`.
    pub(super) fn new(file: File, hasher: Hasher) -> Self {
        // One batch more than there are cores, so that no core is idle while the reader uses the first batch.
        let max_batches =
            thread::available_parallelism().map_or(1, usize::from).saturating_add(1).min(MAX_AHEAD);
        let file = BufReader::with_capacity(1 << 16, file);
        Self { file, hasher, max_batches, parsing: VecDeque::new(), parsed: vec![].into_iter() }
    }

    /// The next line, or none at the file's end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Result<ParsedLine, Problem>>> {
        loop {
            if let Some(line) = self.parsed.next() {
                return Ok(Some(line));
            }
            self.read_ahead();
            let Some(batch) = self.parsing.pop_front() else { return Ok(None) };
            self.parsed = batch?.join().unwrap_or_else(|panic| resume_unwind(panic)).into_iter();
        }
    }

    /// A read error takes its place among the batches, so that the lines before it are read first.
    fn read_ahead(&mut self) {
        while self.parsing.len() < self.max_batches {
            match self.parse_batch().transpose() {
                Some(batch) => self.parsing.push_back(batch),
                None => return,
            }
        }
    }

    fn parse_batch(&mut self) -> io::Result<Option<JoinHandle<LineBatch>>> {
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
        thread.spawn(move || parse_lines(&lines, &hasher)).map(Some)
    }
}

fn parse_lines(mut lines: &[u8], hasher: &Hasher) -> LineBatch {
    let mut parsed = vec![];
    while !lines.is_empty() {
        let from_here = lines;
        let length = lines.skip_until(b'\n').expect("bytes in memory can be read");
        parsed.push(parse_line(&from_here[..length], hasher));
    }
    parsed
}

fn parse_line(line: &[u8], hasher: &Hasher) -> Result<ParsedLine, Problem> {
    let length = line.len() as u64;
    let line = line.strip_suffix(b"\n").ok_or("its line is incomplete")?;
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text")?;
    let hash = hasher.check(line).ok_or("its hash does not match its content")?;
    let RawLine { seq, prev, at, record } =
        Record::read(line).map_err(|_| "it is not a record of a known type")?;
    let prev = Hash::parse(prev).ok_or("it does not follow the record before it")?;
    Ok(ParsedLine { length, hash, prev, seq, at, record })
}
