//! One pass over a journal for the reports: totals, and where each row's outcome is.
//!
//! Invariant: a row counts once, by the rules of [`super::fold`].

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;

use super::{
    Chain, JournalEntry, OpenRows, OutcomeRecord, ReadError, Reader, Record, RowIdentity, RunFinished,
    RunPace, RunStarted, RunTimeline,
};
use crate::outcome::{OutcomeKind, is_in_doubt};

/// What the reports need of a journal.
#[derive(Debug)]
pub struct RunIndex {
    /// The run's first record.
    pub started: RunStarted,
    /// When it began.
    pub started_at: Timestamp,
    /// The record of its last continuation, if there was one.
    pub continued: Option<RunStarted>,
    /// Its last record, if the run ended after it was last continued.
    pub finished: Option<RunFinished>,
    /// When the last record was written.
    pub last_at: Timestamp,
    /// Requests that were sent.
    pub calls: u64,
    /// Requests refused for their rate, as far as ended processes counted them.
    pub throttled_calls: u64,
    /// Time in pauses, in milliseconds, as far as ended processes counted it.
    pub paused_ms: u64,
    /// How the rate changed, as far as ended processes recorded it.
    pub pace: RunPace,
    /// Rows by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Rows by code, of those that have one.
    pub codes: BTreeMap<String, u64>,
    /// Rows by outcome and code, an empty one included.
    pub outcome_codes: BTreeMap<(OutcomeKind, String), u64>,
    /// Requests, refusals, pauses and rate over time.
    pub timeline: RunTimeline,
    /// `withdrawn` rows that were asked for without an answer.
    pub withdrawn_in_doubt: u64,
    /// Where the journal ends.
    pub chain: Chain,
    /// The rows in input order.
    pub rows: Vec<RowPlace>,
}

/// Where a row was in the lists, where its outcome is in the journal, and what the outcome is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowPlace {
    source: u32,
    line: u64,
    pub offset: u64,
    pub outcome: OutcomeKind,
}

/// What an open row's next outcome takes back: the row's place in [`RunIndex::rows`], and the code that was counted.
struct OpenRow {
    index: usize,
    kind: OutcomeKind,
    is_withdrawn_in_doubt: bool,
    code: String,
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
            withdrawn_in_doubt: 0,
            chain: reader.chain().clone(),
            rows: vec![],
            started,
        };
        let mut sources = Sources::default();
        sources.learn(&index.started);
        let mut open = OpenRows::default();
        while let Some(entry) = next_whole(reader)? {
            index.last_at = entry.at;
            match entry.record {
                Record::RunStarted(more) => sources.learn(&more),
                Record::RunContinued(more) => {
                    sources.learn(&more);
                    index.timeline.continued(entry.at);
                    index.continued = Some(*more);
                    // The earlier end does not count any more.
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
                    let place = RowPlace {
                        source: sources.rank(&outcome.source),
                        line: outcome.line,
                        offset: entry.offset,
                        outcome: outcome.outcome,
                    };
                    index.learn_outcome(*outcome, place, &mut open);
                }
            }
        }
        index.chain = reader.chain().clone();
        index.rows.sort_unstable();
        Ok(index)
    }

    fn learn_outcome(&mut self, outcome: OutcomeRecord, place: RowPlace, open: &mut OpenRows<OpenRow>) {
        let row = RowIdentity::of_run(&self.started).of_outcome(&outcome);
        open.learn(row, outcome.outcome, |replaced| {
            let index = if let Some(OpenRow { index, kind, is_withdrawn_in_doubt, code }) = replaced {
                self.rows[index] = place;
                self.uncount(kind, code);
                self.withdrawn_in_doubt -= u64::from(is_withdrawn_in_doubt);
                index
            } else {
                self.rows.push(place);
                self.rows.len() - 1
            };
            let kind = outcome.outcome;
            self.count(kind, &outcome.code);
            let is_withdrawn_in_doubt =
                kind == OutcomeKind::Withdrawn && is_in_doubt(outcome.attempts, outcome.http_status);
            self.withdrawn_in_doubt += u64::from(is_withdrawn_in_doubt);
            OpenRow { index, kind, is_withdrawn_in_doubt, code: outcome.code }
        });
    }

    fn count(&mut self, kind: OutcomeKind, code: &str) {
        *self.outcomes.entry(kind.name()).or_default() += 1;
        *self.outcome_codes.entry((kind, code.to_owned())).or_default() += 1;
        if !code.is_empty() {
            *self.codes.entry(code.to_owned()).or_default() += 1;
        }
    }

    fn uncount(&mut self, kind: OutcomeKind, code: String) {
        decrement(self.outcomes.get_mut(kind.name()));
        decrement(self.codes.get_mut(&code));
        self.codes.retain(|_, count| *count > 0);
        decrement(self.outcome_codes.get_mut(&(kind, code)));
        self.outcome_codes.retain(|_, count| *count > 0);
    }

    /// How many rows have that outcome.
    pub fn count_of(&self, kind: OutcomeKind) -> u64 {
        self.outcomes.get(kind.name()).copied().unwrap_or(0)
    }

    /// Rows with an outcome.
    pub fn rows_in(&self) -> u64 {
        self.rows.len() as u64
    }
}

/// The next record, or none at the journal's end. A torn end counts as the end: a killed run has reports too.
pub(super) fn next_whole(reader: &mut Reader) -> Result<Option<JournalEntry>, ReadError> {
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

/// The lists' names, in the order in which the journal first names them.
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
    use crate::fixtures::run_started;
    use crate::journal::{FileStorage, Hasher, Journal};
    use crate::meeting::{Cells, Origin};
    use crate::outcome::Outcome;

    /// Rows by outcome, where the same meeting is not attempted first and closed then.
    fn counted(queue: Option<&str>, sources: [&str; 2]) -> (u64, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal =
            Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
        let started = RunStarted { queue: queue.map(str::to_owned), ..run_started() };
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
    fn a_later_outcome_replaces_not_attempted_and_every_queue_entry_counts_for_itself() {
        assert_eq!(counted(None, ["a.csv", "b.csv"]), (0, 1));
        assert_eq!(counted(Some("s"), ["s/7-1", "s/7-1"]), (0, 1));
        // Two entries for the same meeting: another worker took over the first one.
        assert_eq!(counted(Some("s"), ["s/7-1", "s/7-2"]), (1, 1));
    }
}
