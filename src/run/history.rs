//! What a journal knows of a run's rows, so that a continued run asks none twice that has its outcome.
//!
//! Rows are known by what they say, never by their line: lists are edited between runs. Memory: one fingerprint a row.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::intake::Entry;
use crate::journal::{OutcomeRecord, Record};
use crate::meeting::Fingerprint;
use crate::outcome::OutcomeKind;

/// What a row has been through in earlier processes of its run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prior {
    /// Attempts that left.
    pub attempts: u32,
    /// When the first left.
    pub first_attempt_at: Option<Timestamp>,
}

/// A row on its way into a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The row, sorted.
    pub entry: Entry,
    /// What it has been through.
    pub prior: Prior,
}

/// What a journal knows.
#[derive(Debug, Default)]
pub struct History {
    ended: HashSet<Fingerprint>,
    open: HashMap<Fingerprint, Prior>,
    unasked: HashMap<(Fingerprint, OutcomeKind), u32>,
    outcomes: BTreeMap<OutcomeKind, u64>,
}

impl History {
    /// Takes in the journal's next record.
    pub fn learn(&mut self, record: &Record, at: Timestamp) {
        match record {
            Record::Attempt(attempt) => {
                let row = Fingerprint::of(&attempt.conference_id, &attempt.union_id);
                let prior = self.open.entry(row).or_default();
                prior.attempts = prior.attempts.max(attempt.attempt);
                prior.first_attempt_at.get_or_insert(at);
            }
            Record::Outcome(outcome) => self.learn_outcome(outcome),
            Record::RunStarted(_) | Record::RunContinued(_) | Record::RunFinished(_) => {}
        }
    }

    fn learn_outcome(&mut self, outcome: &OutcomeRecord) {
        let row = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
        match outcome.outcome {
            // No end: the row is asked when the run goes on, and what it has been through stays known.
            OutcomeKind::NotAttempted => return,
            OutcomeKind::Closed | OutcomeKind::AlreadyClosed | OutcomeKind::Failed => {
                self.open.remove(&row);
                self.ended.insert(row);
            }
            OutcomeKind::Invalid | OutcomeKind::Duplicate | OutcomeKind::Excluded => {
                *self.unasked.entry((row, outcome.outcome)).or_default() += 1;
            }
        }
        *self.outcomes.entry(outcome.outcome).or_default() += 1;
    }

    /// Rows that have their final outcome.
    pub fn rows_done(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// How many rows have that outcome.
    pub fn count(&self, kind: OutcomeKind) -> u64 {
        self.outcomes.get(&kind).copied().unwrap_or(0)
    }

    /// A row of the lists, unless the journal has its outcome.
    pub fn admit(&mut self, entry: Entry) -> Option<Arrival> {
        let prior = match &entry {
            Entry::ToClose { request, .. } => {
                let row = request.fingerprint();
                if self.ended.contains(&row) {
                    return None;
                }
                self.open.get(&row).copied().unwrap_or_default()
            }
            Entry::Unasked { cells, kind, .. } => {
                let row = Fingerprint::of(&cells.conference_id, &cells.union_id);
                if let Some(left @ 1..) = self.unasked.get_mut(&(row, *kind)) {
                    *left -= 1;
                    return None;
                }
                Prior::default()
            }
        };
        Some(Arrival { entry, prior })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::AttemptStarted;
    use crate::meeting::{Cells, CloseRequest, ConferenceId, Origin, UnionId};
    use crate::outcome::Outcome;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn origin(line: u64) -> Origin {
        Origin { source: "a.csv".into(), line }
    }

    fn cells(name: &str) -> Cells {
        Cells { conference_id: name.into(), union_id: "host".into() }
    }

    fn to_close(name: &str, line: u64) -> Entry {
        let request = CloseRequest {
            conference_id: ConferenceId::parse(name).unwrap(),
            union_id: UnionId::parse("host").unwrap(),
        };
        Entry::ToClose { origin: origin(line), request }
    }

    fn unasked(name: &str, kind: OutcomeKind) -> Entry {
        Entry::Unasked { origin: origin(9), cells: cells(name), kind, reason: String::new() }
    }

    fn history(records: &[(&str, Option<OutcomeKind>)]) -> History {
        let mut history = History::default();
        for (name, kind) in records {
            let record = match kind {
                None => Record::Attempt(AttemptStarted {
                    conference_id: (*name).into(),
                    union_id: "host".into(),
                    attempt: 1,
                }),
                Some(kind) => {
                    let outcome = Outcome::unasked(origin(2), cells(name), *kind, String::new(), AT);
                    Record::Outcome(Box::new(OutcomeRecord::from(&outcome)))
                }
            };
            history.learn(&record, AT);
        }
        history
    }

    #[test]
    fn a_row_with_its_outcome_is_not_asked_again_whatever_its_line_is_now() {
        for kind in [OutcomeKind::Closed, OutcomeKind::AlreadyClosed, OutcomeKind::Failed] {
            let mut history = history(&[("a", None), ("a", Some(kind))]);
            assert_eq!(history.admit(to_close("a", 77)), None);
            assert!(history.admit(to_close("b", 2)).is_some());
            assert_eq!(history.rows_done(), 1);
        }
    }

    #[test]
    fn a_row_that_was_asked_without_an_outcome_is_asked_again_and_knows_it() {
        let asked = Prior { attempts: 1, first_attempt_at: Some(AT) };
        for records in [&[("a", None)][..], &[("a", None), ("a", Some(OutcomeKind::NotAttempted))]] {
            let arrival = history(records).admit(to_close("a", 2)).unwrap();
            assert_eq!(arrival.prior, asked);
        }
    }

    #[test]
    fn a_row_of_which_nothing_was_asked_is_recorded_as_often_as_it_stands_there() {
        let duplicate = OutcomeKind::Duplicate;
        let mut history = history(&[("a", Some(duplicate)), ("a", Some(duplicate))]);
        assert_eq!(history.admit(unasked("a", duplicate)), None);
        assert_eq!(history.admit(unasked("a", duplicate)), None);
        assert!(history.admit(unasked("a", duplicate)).is_some());
        assert!(history.admit(unasked("a", OutcomeKind::Invalid)).is_some());
    }
}
