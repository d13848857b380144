//! Proves a journal: no record was altered, left out or added, the totals match the records, and every row of the lists has
//! its outcome.
//!
//! Invariant: a journal counts as whole only if every record was read and fits the records before it. Memory: one
//! fingerprint a row.

use std::collections::hash_map::Entry;
use std::path::Path;

use thiserror::Error;

use super::{
    EndedRows, Hasher, OpenRows, OutcomeRecord, ReadError, Reader, Record, RowEffect, RowIdentity, Totals,
};
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
    /// Whether its last record is `run_finished`.
    pub is_finished: bool,
    outcomes: OutcomeCounts,
}

/// Why a journal is not whole.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// It cannot be read, or a record is broken.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its records are as they were written, but they contradict each other.
    #[error("record {seq}: {problem}")]
    Contradiction {
        /// The record's number.
        seq: u64,
        /// The contradiction.
        problem: String,
    },
}

/// How many outcomes there are for the rows that say the same. A replaced `not_attempted` does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OutcomeCounts {
    of_row: FingerprintMap<u32>,
    open: OpenRows<()>,
}

impl OutcomeCounts {
    fn count(&mut self, row: Fingerprint, kind: OutcomeKind) {
        self.open.learn(row, kind, |replaced| {
            if replaced.is_none() {
                *self.of_row.entry(row).or_default() += 1;
            }
        });
    }
}

/// How lists and outcomes compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Rows of the lists.
    pub rows: u64,
    /// Rows without an outcome.
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
    /// Compares the outcomes with the rows of lists. A row is known by what it says.
    pub fn reconcile<E>(mut self, rows: impl Iterator<Item = Result<Row, E>>) -> Result<Reconciliation, E> {
        let (mut accounts, mut listed) = (Reconciliation::default(), FingerprintSet::default());
        for row in rows {
            let row = row?;
            let fingerprint = RowIdentity::of_cells(&row.cells);
            accounts.rows += 1;
            listed.insert(fingerprint);
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
                if listed.contains(&row) { &mut accounts.surplus } else { &mut accounts.of_other_rows };
            *count += u64::from(left);
        }
        Ok(accounts)
    }
}

/// Reads a journal to its end.
pub fn verify(path: &Path, hasher: Hasher) -> Result<Verified, VerifyError> {
    let mut reader = Reader::open(path, hasher)?;
    let (mut ended, mut outcomes) = (EndedRows::default(), OutcomeCounts::default());
    let (mut counted, mut rows, mut is_finished) = (Totals::default(), 0, false);
    let mut identity = RowIdentity::Cells;
    while let Some(entry) = reader.next_entry()? {
        let wrong = |problem: String| Err(VerifyError::Contradiction { seq: entry.seq, problem });
        is_finished = matches!(entry.record, Record::RunFinished(_));
        match entry.record {
            Record::RunStarted(_) if entry.seq > 1 => return wrong("a second run starts here".into()),
            Record::RunStarted(started) => identity = RowIdentity::of_run(&started),
            Record::Attempt(_) | Record::Outcome(_) | Record::RunContinued(_) | Record::RunFinished(_)
                if entry.seq == 1 =>
            {
                return wrong("the journal does not begin with a run".into());
            }
            Record::RunContinued(_) => counted = Totals::default(),
            Record::Attempt(_) => counted.calls += 1,
            Record::Outcome(outcome) => {
                let kind = outcome.outcome;
                *counted.outcomes.entry(kind.name().to_owned()).or_default() += 1;
                // Lists know a row by what it says, also where the run had its rows from a queue.
                outcomes.count(RowIdentity::Cells.of_outcome(&outcome), kind);
                if ended.learn(identity.of_outcome(&outcome), kind) {
                    let OutcomeRecord { source, line, .. } = *outcome;
                    return wrong(format!("the row {source}:{line} has a second outcome"));
                }
                rows += u64::from(RowEffect::of(kind) != RowEffect::LeavesOpen);
            }
            Record::RunFinished(finished) => {
                let Totals { calls, outcomes, .. } = &finished.totals;
                if (calls, outcomes) != (&counted.calls, &counted.outcomes) {
                    return wrong("its totals differ from the records before it".into());
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
