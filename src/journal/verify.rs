//! Proving a journal: that nothing was altered, left out or added, that what it sums up is what it says, and that every
//! row of the lists has its outcome.
//!
//! Memory: one fingerprint a row.

use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::path::Path;

use thiserror::Error;

use super::{Hasher, OutcomeRecord, ReadError, Reader, Record, Totals};
use crate::meeting::{Fingerprint, FingerprintMap, FingerprintSet, Origin, Row};
use crate::outcome::OutcomeKind;

/// A whole journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its records.
    pub records: u64,
    /// The rows that have their final outcome.
    pub rows: u64,
    /// The last record's hash.
    pub head_hash: String,
    /// Whether its last record is the end of a run.
    pub is_finished: bool,
    outcomes: Outcomes,
}

/// Why a journal is not whole.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// It cannot be read, or a record is not what was written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its records are as written and do not fit together.
    #[error("record {seq}: {problem}")]
    Contradiction {
        /// The record's number.
        seq: u64,
        /// What does not fit.
        problem: String,
    },
}

/// How many outcomes the rows have that say the same. `not_attempted` counts until another outcome takes its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Outcomes {
    of_row: FingerprintMap<u32>,
    open: FingerprintSet,
}

impl Outcomes {
    fn count(&mut self, row: Fingerprint, kind: OutcomeKind) {
        let in_place_of_another = match kind {
            OutcomeKind::Duplicate | OutcomeKind::Invalid => false,
            OutcomeKind::Closed
            | OutcomeKind::AlreadyClosed
            | OutcomeKind::Failed
            | OutcomeKind::Excluded
            | OutcomeKind::NotAttempted => self.open.remove(&row),
        };
        if !in_place_of_another {
            *self.of_row.entry(row).or_default() += 1;
        }
        if kind == OutcomeKind::NotAttempted {
            self.open.insert(row);
        }
    }
}

/// How lists and outcomes compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Rows of the lists.
    pub rows: u64,
    /// Those without an outcome, and the first of them.
    pub without: u64,
    /// The first row without an outcome.
    pub first_without: Option<Origin>,
    /// Outcomes beyond one a row, of rows that the lists hold.
    pub surplus: u64,
    /// Outcomes of rows that the lists do not hold.
    pub of_other_rows: u64,
}

impl Reconciliation {
    /// Whether every row of the lists has exactly one outcome.
    pub fn balances(&self) -> bool {
        self.without == 0 && self.surplus == 0
    }
}

impl Verified {
    /// Holds the outcomes against the rows of lists, which are known by what they say.
    pub fn reconcile<E>(mut self, rows: impl Iterator<Item = Result<Row, E>>) -> Result<Reconciliation, E> {
        let (mut accounts, mut named) = (Reconciliation::default(), HashSet::new());
        for row in rows {
            let row = row?;
            let fingerprint = Fingerprint::of(&row.cells.conference_id, &row.cells.union_id);
            accounts.rows += 1;
            named.insert(fingerprint);
            match self.outcomes.of_row.entry(fingerprint) {
                Entry::Occupied(mut outcomes) if *outcomes.get() > 0 => *outcomes.get_mut() -= 1,
                Entry::Occupied(_) | Entry::Vacant(_) => {
                    accounts.without += 1;
                    accounts.first_without.get_or_insert(row.origin);
                }
            }
        }
        for (row, left) in self.outcomes.of_row {
            let count =
                if named.contains(&row) { &mut accounts.surplus } else { &mut accounts.of_other_rows };
            *count += u64::from(left);
        }
        Ok(accounts)
    }
}

/// Reads a journal to its end.
pub fn verify(path: &Path, hasher: Hasher) -> Result<Verified, VerifyError> {
    let mut reader = Reader::open(path, hasher)?;
    let (mut ended, mut counted, mut rows) = (HashSet::new(), Totals::default(), 0);
    let (mut outcomes, mut is_finished) = (Outcomes::default(), false);
    let mut is_of_a_queue = false;
    while let Some(entry) = reader.next_entry()? {
        let wrong = |problem: String| Err(VerifyError::Contradiction { seq: entry.seq, problem });
        is_finished = matches!(entry.record, Record::RunFinished(_));
        match entry.record {
            Record::RunStarted(_) if entry.seq > 1 => return wrong("a run starts within another".into()),
            Record::RunStarted(started) => is_of_a_queue = started.queue.is_some(),
            _ if entry.seq == 1 => return wrong("the journal does not begin with a run".into()),
            Record::RunContinued(_) => counted = Totals::default(),
            Record::Attempt(_) => counted.calls += 1,
            Record::Outcome(outcome) => {
                let OutcomeRecord { outcome: kind, source, line, .. } = *outcome;
                let row = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
                *counted.outcomes.entry(kind.name().to_owned()).or_default() += 1;
                outcomes.count(row, kind);
                // A meeting that failed may be put on the queue again, and every entry is a row of its own.
                let asked = if is_of_a_queue { Fingerprint::of(&source, "") } else { row };
                if is_asked_for(kind) && !ended.insert(asked) {
                    return wrong(format!("a second outcome of the row {source}:{line}"));
                }
                rows += u64::from(kind != OutcomeKind::NotAttempted);
            }
            Record::RunFinished(finished) => {
                let Totals { calls, outcomes, .. } = &finished.totals;
                if (calls, outcomes) != (&counted.calls, &counted.outcomes) {
                    return wrong("its totals are not those of the records before it".into());
                }
            }
        }
    }
    let chain = reader.chain();
    if chain.seq == 0 {
        return Err(VerifyError::Contradiction { seq: 1, problem: "the journal is empty".into() });
    }
    Ok(Verified { records: chain.seq, rows, head_hash: chain.head.to_string(), is_finished, outcomes })
}

/// Whether an outcome is final and of a row that DingTalk was asked about: there is one for each such row.
fn is_asked_for(kind: OutcomeKind) -> bool {
    match kind {
        OutcomeKind::Closed | OutcomeKind::AlreadyClosed | OutcomeKind::Failed => true,
        OutcomeKind::Invalid | OutcomeKind::Duplicate | OutcomeKind::Excluded | OutcomeKind::NotAttempted => {
            false
        }
    }
}
