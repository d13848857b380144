//! Proving a journal: that nothing was altered, left out or added, and that what it sums up is what it says.

use std::collections::HashSet;
use std::path::Path;

use thiserror::Error;

use crate::journal::{Hasher, ReadError, Reader, Record, Totals};
use crate::meeting::Fingerprint;
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

/// Reads a journal to its end.
pub fn verify(path: &Path, hasher: Hasher) -> Result<Verified, VerifyError> {
    let mut reader = Reader::open(path, hasher)?;
    let (mut ended, mut counted, mut rows) = (HashSet::new(), Totals::default(), 0);
    while let Some(entry) = reader.next_entry()? {
        let wrong = |problem: String| Err(VerifyError::Contradiction { seq: entry.seq, problem });
        match entry.record {
            Record::RunStarted(_) if entry.seq > 1 => return wrong("a run starts within another".into()),
            Record::RunStarted(_) => {}
            _ if entry.seq == 1 => return wrong("the journal does not begin with a run".into()),
            Record::RunContinued(_) => counted = Totals::default(),
            Record::Attempt(_) => counted.calls += 1,
            Record::Outcome(outcome) => {
                *counted.outcomes.entry(outcome.outcome.name().to_owned()).or_default() += 1;
                let row = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
                if is_asked_for(outcome.outcome) && !ended.insert(row) {
                    return wrong(format!("a second outcome of the row {}:{}", outcome.source, outcome.line));
                }
                rows += u64::from(outcome.outcome != OutcomeKind::NotAttempted);
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
    Ok(Verified { records: chain.seq, rows, head_hash: chain.head.to_string() })
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
