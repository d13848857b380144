//! One pass over a journal: what it counts to, and where each row's outcome stands.
//!
//! Invariant: a row counts once. `not_attempted` is no end: when the run goes on, the row's next outcome takes its place.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;

use super::{
    Chain, JournalEntry, OutcomeRecord, ReadError, Reader, Record, RunFinished, RunPace, RunStarted,
    RunTimeline,
};
use crate::meeting::{Fingerprint, FingerprintMap};
use crate::outcome::OutcomeKind;

/// A journal, counted.
#[derive(Debug)]
pub struct RunIndex {
    /// What the run set out to do.
    pub started: RunStarted,
    /// When it began.
    pub started_at: Timestamp,
    /// What it set out to do when it was last continued, if it was.
    pub continued: Option<RunStarted>,
    /// How it last ended, if it did.
    pub finished: Option<RunFinished>,
    /// When the last record was written.
    pub last_at: Timestamp,
    /// Requests that left.
    pub calls: u64,
    /// Requests refused for their rate, as far as ended processes counted them.
    pub throttled_calls: u64,
    /// Time in pauses, likewise, in milliseconds.
    pub paused_ms: u64,
    /// How the rate went, likewise.
    pub pace: RunPace,
    /// Rows by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Rows by code, of those that have one.
    pub codes: BTreeMap<String, u64>,
    /// Rows by outcome and code, an empty one included.
    pub outcome_codes: BTreeMap<(OutcomeKind, String), u64>,
    /// How it went over time.
    pub timeline: RunTimeline,
    /// Where the journal ends.
    pub chain: Chain,
    /// The rows in input order.
    pub rows: Vec<Place>,
}

/// Where a row's outcome stands in the journal, where the row stood in the lists, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    source: u32,
    line: u64,
    pub offset: u64,
    pub outcome: OutcomeKind,
}

impl RunIndex {
    /// Reads a journal from its first record to its last.
    pub fn read(reader: &mut Reader, path: &Path) -> Result<Self, ReadError> {
        let first = reader.next_entry()?;
        let Some((started, started_at)) = first.and_then(|entry| match entry.record {
            Record::RunStarted(started) => Some((*started, entry.at)),
            Record::Attempt(_) | Record::Outcome(_) | Record::RunContinued(_) | Record::RunFinished(_) => {
                None
            }
        }) else {
            return Err(ReadError::NoRun(path.to_owned()));
        };
        let mut index = Self {
            started_at,
            continued: None,
            finished: None,
            last_at: started_at,
            calls: 0,
            throttled_calls: 0,
            paused_ms: 0,
            pace: RunPace::default(),
            outcomes: OutcomeKind::ALL.map(|kind| (kind.name(), 0)).into(),
            codes: BTreeMap::new(),
            outcome_codes: BTreeMap::new(),
            timeline: RunTimeline::begun(started_at),
            chain: reader.chain().clone(),
            rows: vec![],
            started,
        };
        let mut sources = Sources::default();
        sources.learn(&index.started);
        let mut open: FingerprintMap<(usize, String)> = FingerprintMap::default();
        while let Some(entry) = next_whole(reader)? {
            index.last_at = entry.at;
            match entry.record {
                Record::RunStarted(more) => sources.learn(&more),
                Record::RunContinued(more) => {
                    sources.learn(&more);
                    index.timeline.continued(entry.at);
                    index.continued = Some(*more);
                    // It goes on: how it had ended does not hold any more.
                    index.finished = None;
                }
                Record::Attempt(_) => {
                    index.calls += 1;
                    index.timeline.call(entry.at);
                }
                Record::RunFinished(finished) => {
                    index.timeline.finished(&finished.totals.timeline);
                    index.throttled_calls += finished.totals.throttled_calls;
                    index.paused_ms += finished.totals.paused_ms;
                    index.pace = index.pace.then(finished.totals.pace);
                    index.finished = Some(*finished);
                }
                Record::Outcome(outcome) => {
                    let place = Place {
                        source: sources.rank(&outcome.source),
                        line: outcome.line,
                        offset: entry.offset,
                        outcome: outcome.outcome,
                    };
                    index.count(*outcome, place, &mut open);
                }
            }
        }
        index.chain = reader.chain().clone();
        index.rows.sort_unstable();
        Ok(index)
    }

    fn count(&mut self, outcome: OutcomeRecord, place: Place, open: &mut FingerprintMap<(usize, String)>) {
        // Every entry of a queue is a row of its own, whatever it says.
        let fingerprint = match self.started.queue {
            Some(_) => Fingerprint::of(&outcome.source, ""),
            None => Fingerprint::of(&outcome.conference_id, &outcome.union_id),
        };
        let row = match outcome.outcome {
            OutcomeKind::Duplicate | OutcomeKind::Invalid => None,
            OutcomeKind::Closed
            | OutcomeKind::AlreadyClosed
            | OutcomeKind::Failed
            | OutcomeKind::Excluded
            | OutcomeKind::NotAttempted => open.remove(&fingerprint),
        };
        let row = if let Some((row, code)) = row {
            self.rows[row] = place;
            decrement(self.outcomes.get_mut(OutcomeKind::NotAttempted.name()));
            decrement(self.codes.get_mut(&code));
            self.codes.retain(|_, count| *count > 0);
            decrement(self.outcome_codes.get_mut(&(OutcomeKind::NotAttempted, code)));
            self.outcome_codes.retain(|_, count| *count > 0);
            row
        } else {
            self.rows.push(place);
            self.rows.len() - 1
        };
        *self.outcomes.entry(outcome.outcome.name()).or_default() += 1;
        *self.outcome_codes.entry((outcome.outcome, outcome.code.clone())).or_default() += 1;
        if !outcome.code.is_empty() {
            *self.codes.entry(outcome.code.clone()).or_default() += 1;
        }
        if outcome.outcome == OutcomeKind::NotAttempted {
            open.insert(fingerprint, (row, outcome.code));
        }
    }

    /// Rows with an outcome.
    pub fn rows_in(&self) -> u64 {
        self.rows.len() as u64
    }
}

/// The next record, or none at the journal's end, torn or not: a run that was killed has reports too.
fn next_whole(reader: &mut Reader) -> Result<Option<JournalEntry>, ReadError> {
    match reader.next_entry() {
        Err(ReadError::Broken { .. }) if reader.is_at_torn_tail()? => Ok(None),
        next => next,
    }
}

fn decrement(count: Option<&mut u64>) {
    if let Some(count) = count {
        *count -= 1;
    }
}

/// The lists' names in the order in which the run met them.
#[derive(Default)]
struct Sources(HashMap<String, u32>);

impl Sources {
    fn learn(&mut self, run: &RunStarted) {
        for list in &run.lists {
            self.rank(&list.source);
        }
    }

    fn rank(&mut self, source: &str) -> u32 {
        if let Some(rank) = self.0.get(source) {
            return *rank;
        }
        let rank = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(source.to_owned(), rank);
        rank
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{FileStorage, Hasher, Journal, RowCounts};
    use crate::meeting::{Cells, Origin};
    use crate::outcome::Outcome;

    /// Rows by outcome, where the same meeting is not attempted first and closed then.
    fn counted(queue: Option<&str>, sources: [&str; 2]) -> (u64, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal =
            Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
        let started = RunStarted {
            run_id: "r".into(),
            version: "1".into(),
            pid: 1,
            keyed: false,
            sandbox: false,
            lists: vec![],
            lists_digest: String::new(),
            rows: RowCounts::default(),
            settings: BTreeMap::new(),
            retry_of: None,
            queue: queue.map(str::to_owned),
        };
        journal.append(&Record::RunStarted(Box::new(started)), Timestamp::UNIX_EPOCH).unwrap();
        for (source, kind) in sources.into_iter().zip([OutcomeKind::NotAttempted, OutcomeKind::Closed]) {
            let origin = Origin { source: source.into(), line: 1 };
            let cells = Cells { conference_id: "c".into(), union_id: "u".into() };
            let outcome = Outcome::unasked(origin, cells, kind, String::new(), Timestamp::UNIX_EPOCH);
            let record = Record::Outcome(Box::new(OutcomeRecord::from(&outcome)));
            journal.append(&record, Timestamp::UNIX_EPOCH).unwrap();
        }
        drop(journal);
        let index = RunIndex::read(&mut Reader::open(&path, Hasher::PLAIN).unwrap(), &path).unwrap();
        (index.outcomes["not_attempted"], index.outcomes["closed"])
    }

    #[test]
    fn a_row_that_was_not_attempted_counts_as_what_it_comes_to_and_an_entry_counts_for_itself() {
        assert_eq!(counted(None, ["a.csv", "b.csv"]), (0, 1));
        assert_eq!(counted(Some("s"), ["s/7-1", "s/7-1"]), (0, 1));
        // Another worker took the one over; the other came later.
        assert_eq!(counted(Some("s"), ["s/7-1", "s/7-2"]), (1, 1));
    }
}
