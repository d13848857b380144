//! Proves a journal: no record was altered, left out or added, the totals match the records, and every row of the lists has
//! its outcome.
//!
//! A chain of hashes cannot show that its end was cut off: what is left is a whole chain, with a key or without. Only what is
//! kept outside of the journal shows it, so [`verify`] takes a [`KnownHead`], such as that of the summary.
//!
//! Invariant: a journal counts as whole only if every record was read and fits the records before it, and if it has every
//! record that the known head stands for. Memory: one fingerprint a row.

use std::collections::hash_map::Entry;
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

use super::{
    EndedRows, Hasher, OpenRows, OutcomeRecord, ReadError, Reader, Record, RowEffect, RowIdentity, Totals,
};
use crate::meeting::{Fingerprint, FingerprintMap, FingerprintSet, Origin, Row};
use crate::outcome::OutcomeKind;
use crate::wording::count;

/// What is known of a journal from elsewhere: how many records it had at some time, and the hash of the last of them. The
/// summary of a run holds both.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KnownHead {
    /// The records at that time.
    pub records: u64,
    /// The hash of the last of them.
    pub head_hash: String,
}

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
    /// The journal had more records once.
    #[error(
        "the end was cut off: the summary counts {}, and {} of them {} missing",
        count(*known, "record"), known - whole, if known - whole == 1 { "is" } else { "are" }
    )]
    CutOff {
        /// The whole records that are left.
        whole: u64,
        /// The records that it had.
        known: u64,
    },
    /// Only the beginning of the last record is there, and nothing says that the journal ever had more of it.
    #[error("record {0} is incomplete: its line has no end, as after a crash")]
    Torn(u64),
}

/// How many outcomes there are for the rows that say the same. A replaced outcome does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OutcomeCounts {
    of_row: FingerprintMap<u32>,
    open: OpenRows<()>,
    /// Rows whose last outcome is `withdrawn`.
    withdrawn: FingerprintSet,
}

impl OutcomeCounts {
    fn count(&mut self, row: Fingerprint, kind: OutcomeKind) {
        if kind == OutcomeKind::Withdrawn {
            self.withdrawn.insert(row);
        } else {
            self.withdrawn.remove(&row);
        }
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
    /// Rows that were taken off the lists while the run was unfinished.
    pub withdrawn: u64,
    /// Other outcomes of rows that the lists do not hold.
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
            let is_withdrawn = left > 0 && self.outcomes.withdrawn.contains(&row);
            if listed.contains(&row) {
                accounts.surplus += u64::from(left);
            } else {
                accounts.withdrawn += u64::from(is_withdrawn);
                accounts.of_other_rows += u64::from(left) - u64::from(is_withdrawn);
            }
        }
        Ok(accounts)
    }
}

/// Reads a journal to its end, and compares it with the head that is known of it from elsewhere, if there is one.
pub fn verify(path: &Path, hasher: Hasher, known: Option<&KnownHead>) -> Result<Verified, VerifyError> {
    let mut reader = Reader::open(path, hasher)?;
    let read = read_to_end(&mut reader, known);
    let whole = reader.chain().seq;
    let is_torn =
        matches!(read, Err(VerifyError::Read(ReadError::Broken { .. }))) && reader.is_at_torn_tail()?;
    match known {
        Some(known) if known.records > whole && (read.is_ok() || is_torn) => {
            Err(VerifyError::CutOff { whole, known: known.records })
        }
        Some(_) | None if is_torn => Err(VerifyError::Torn(whole + 1)),
        Some(_) | None if read.is_ok() && whole == 0 => Err(contradiction(1, "the journal is empty")),
        Some(_) | None => read,
    }
}

fn contradiction(seq: u64, problem: impl Into<String>) -> VerifyError {
    VerifyError::Contradiction { seq, problem: problem.into() }
}

fn read_to_end(reader: &mut Reader, known: Option<&KnownHead>) -> Result<Verified, VerifyError> {
    let (mut ended, mut outcomes) = (EndedRows::default(), OutcomeCounts::default());
    let (mut counted, mut rows, mut is_finished) = (Totals::default(), 0, false);
    let mut identity = RowIdentity::Cells;
    while let Some(entry) = reader.next_entry()? {
        let wrong = |problem: String| Err(contradiction(entry.seq, problem));
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
        if let Some(known) = known
            && known.records == entry.seq
            && known.head_hash != reader.chain().head.to_string()
        {
            return wrong("its hash is not the head hash in the summary".into());
        }
    }
    let chain = reader.chain();
    Ok(Verified { records: chain.seq, rows, head_hash: chain.head.to_string(), is_finished, outcomes })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use jiff::Timestamp;

    use super::*;
    use crate::fixtures::{attempt, close_request, origin, run_started};
    use crate::journal::{Chain, EndReason, FileStorage, Journal, RunFinished};

    fn finished(calls: u64) -> Record {
        let totals = Totals { calls, ..Totals::default() };
        let reason = EndReason::Interrupted;
        Record::RunFinished(Box::new(RunFinished { exit_code: 4, reason, detail: String::new(), totals }))
    }

    /// A journal of a run that was stopped after one call, and was continued for one more. Returns the head after each record.
    fn continued(folder: &Path, hasher: &Hasher) -> (PathBuf, Vec<KnownHead>) {
        let path = folder.join("journal.jsonl");
        let storage = FileStorage::create(&path).unwrap();
        let journal = Journal::new(path.clone(), storage, Chain::new(hasher.clone()));
        let asked = || Record::Attempt(attempt(&origin(2), &close_request("c", "u"), 1));
        let started = run_started();
        for record in [
            Record::RunStarted(Box::new(started.clone())),
            asked(),
            finished(1),
            Record::RunContinued(Box::new(started)),
            asked(),
            finished(1),
        ] {
            journal.append(&record, Timestamp::UNIX_EPOCH).unwrap();
        }
        journal.sync().unwrap();
        let mut reader = Reader::open(&path, hasher.clone()).unwrap();
        let heads = std::iter::from_fn(|| {
            let records = reader.next_entry().unwrap()?.seq;
            Some(KnownHead { records, head_hash: reader.chain().head.to_string() })
        });
        let heads = heads.collect();
        (path, heads)
    }

    #[test]
    fn an_end_that_was_cut_off_shows_under_any_key_and_names_how_much_is_missing() {
        for hasher in [Hasher::PLAIN, Hasher::keyed(b"key")] {
            let folder = tempfile::tempdir().unwrap();
            let (path, heads) = continued(folder.path(), &hasher);
            let bytes = std::fs::read(&path).unwrap();
            let last = heads.last().unwrap();
            let is_tried = |length: &usize| length.is_multiple_of(7) || bytes[length - 1] == b'\n';
            for length in (0..bytes.len()).filter(is_tried) {
                std::fs::write(&path, &bytes[..length]).unwrap();
                let left = bytes[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
                let error = verify(&path, hasher.clone(), Some(last)).unwrap_err();
                assert!(
                    matches!(error, VerifyError::CutOff { whole, known: 6 } if whole == left),
                    "{length}: {error}"
                );
                // Without a known head, only the missing end of the run shows it.
                let alone = verify(&path, hasher.clone(), None);
                let looks_finished = alone.is_ok_and(|verified| verified.is_finished);
                assert_eq!(looks_finished, bytes[..length].ends_with(b"\n") && left == 3, "{length}");
            }
            std::fs::write(&path, &bytes).unwrap();
            assert!(verify(&path, hasher, Some(last)).unwrap().is_finished);
        }
        let text = |whole| VerifyError::CutOff { whole, known: 6 }.to_string();
        assert_eq!(text(4), "the end was cut off: the summary counts 6 records, and 2 of them are missing");
        assert_eq!(text(5), "the end was cut off: the summary counts 6 records, and 1 of them is missing");
    }

    #[test]
    fn a_head_of_any_earlier_time_is_no_break_and_any_other_hash_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, heads) = continued(folder.path(), &Hasher::PLAIN);
        for (known, other) in heads.iter().zip(heads.iter().cycle().skip(1)) {
            assert_eq!(verify(&path, Hasher::PLAIN, Some(known)).unwrap().records, 6);
            let forged = KnownHead { head_hash: other.head_hash.clone(), ..known.clone() };
            let error = verify(&path, Hasher::PLAIN, Some(&forged)).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("record {}: its hash is not the head hash in the summary", known.records)
            );
        }
    }

    #[test]
    fn an_altered_record_is_named_even_where_the_end_was_cut_off_too() {
        let folder = tempfile::tempdir().unwrap();
        let (path, heads) = continued(folder.path(), &Hasher::PLAIN);
        let text = std::fs::read_to_string(&path).unwrap().replacen("\"attempt\":1", "\"attempt\":2", 1);
        let cut: String = text.split_inclusive('\n').take(4).collect();
        std::fs::write(&path, cut).unwrap();
        let error = verify(&path, Hasher::PLAIN, heads.last()).unwrap_err().to_string();
        assert!(error.contains("record 2 is broken: its hash does not match"), "{error}");
    }

    #[test]
    fn a_torn_end_that_nothing_knows_of_is_as_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let (path, heads) = continued(folder.path(), &Hasher::PLAIN);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        for known in [None, Some(&heads[2])] {
            assert!(matches!(verify(&path, Hasher::PLAIN, known), Err(VerifyError::Torn(6))));
        }
    }
}
