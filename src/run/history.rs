//! What a journal knows of a run's rows, so that a continued run asks none twice that has its outcome.
//!
//! Rows are known by what they say, never by their line: lists are edited between runs. Memory: one fingerprint a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Lease;
use crate::journal::{OutcomeRecord, Record};
use crate::lists::TriagedRow;
use crate::meeting::{Cells, Fingerprint, FingerprintMap, FingerprintSet, Origin};
use crate::outcome::OutcomeKind;

/// What a row has been through in earlier processes of its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriorAttempts {
    /// Attempts that left.
    pub attempts: u32,
    /// When the first left.
    pub first_attempt_at: Option<Timestamp>,
    /// Whether a request that this journal does not know may have ended the meeting.
    pub in_doubt: bool,
    /// For how long nobody else can have asked for the row, where somebody else could at all.
    pub lease: Option<Arc<Lease>>,
}

/// A row on its way into a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRow {
    /// The row, sorted.
    pub entry: TriagedRow,
    /// What it has been through.
    pub prior: PriorAttempts,
}

/// What a journal knows.
#[derive(Debug, Clone, Default)]
pub struct History {
    ended: FingerprintSet,
    /// Rows that ended and that an exclusion list named since.
    excluded_since: FingerprintSet,
    open: FingerprintMap<PriorAttempts>,
    /// Meetings that were asked for, whoever was named as their host.
    asked: FingerprintSet,
    in_doubt: FingerprintMap<(Origin, Cells)>,
    unasked: FingerprintMap<Unasked>,
    outcomes: BTreeMap<OutcomeKind, u64>,
}

/// Outcomes of rows that say the same and of which nothing was asked.
#[derive(Debug, Clone, Copy, Default)]
struct Unasked {
    /// Those that stood behind a row that was to be closed.
    duplicate: u32,
    /// Those that were not to be closed at all.
    other: u32,
}

impl Unasked {
    /// Takes one of these outcomes for a row that is of `kind` now: one of the same kind, else any. So a row that was a
    /// duplicate, and is excluded now, does not get a second outcome.
    fn take(&mut self, kind: OutcomeKind) -> bool {
        let (first, second) = match kind {
            OutcomeKind::Duplicate => (&mut self.duplicate, &mut self.other),
            _ => (&mut self.other, &mut self.duplicate),
        };
        take_one(first) || take_one(second)
    }
}

fn take_one(count: &mut u32) -> bool {
    let some = *count > 0;
    *count -= u32::from(some);
    some
}

impl History {
    /// Takes in the journal's next record.
    pub fn learn(&mut self, record: &Record, at: Timestamp) {
        match record {
            Record::Attempt(attempt) => {
                let row = Fingerprint::of(&attempt.conference_id, &attempt.union_id);
                self.asked.insert(Fingerprint::of(&attempt.conference_id, ""));
                let prior = self.open.entry(row).or_default();
                prior.attempts = prior.attempts.max(attempt.attempt);
                prior.first_attempt_at.get_or_insert(at);
                let origin = Origin { source: Arc::clone(&attempt.source), line: attempt.line };
                let (conference_id, union_id) = (attempt.conference_id.clone(), attempt.union_id.clone());
                self.in_doubt.insert(row, (origin, Cells { conference_id, union_id }));
            }
            Record::Outcome(outcome) => self.learn_outcome(outcome),
            Record::RunStarted(_) | Record::RunContinued(_) | Record::RunFinished(_) => {}
        }
    }

    fn learn_outcome(&mut self, outcome: &OutcomeRecord) {
        let row = Fingerprint::of(&outcome.conference_id, &outcome.union_id);
        self.in_doubt.remove(&row);
        match outcome.outcome {
            // No end: the row is asked when the run goes on, and what it has been through stays known.
            OutcomeKind::NotAttempted => return,
            OutcomeKind::Closed | OutcomeKind::AlreadyClosed | OutcomeKind::Failed => {
                self.open.remove(&row);
                self.ended.insert(row);
            }
            OutcomeKind::Duplicate => self.unasked.entry(row).or_default().duplicate += 1,
            OutcomeKind::Invalid | OutcomeKind::Excluded => self.unasked.entry(row).or_default().other += 1,
        }
        *self.outcomes.entry(outcome.outcome).or_default() += 1;
    }

    /// Rows that have their final outcome.
    pub fn rows_done(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// How many rows have each outcome.
    pub fn outcomes(&self) -> BTreeMap<OutcomeKind, u64> {
        self.outcomes.clone()
    }

    /// A row of the lists, unless the journal has its outcome. What was excluded once stays so for the rest of the run, and
    /// what was asked before it was excluded does not become `excluded`: it may have ended.
    pub fn admit(&mut self, mut entry: TriagedRow) -> Option<IncomingRow> {
        let (row, done) = match &mut entry {
            TriagedRow::ToClose { request, .. } => {
                let row = request.fingerprint();
                let excluded = self.unasked.get_mut(&row).is_some_and(|unasked| take_one(&mut unasked.other));
                (row, excluded || self.ended.contains(&row))
            }
            TriagedRow::Unasked { cells, kind, reason, .. } => {
                let row = Fingerprint::of(&cells.conference_id, &cells.union_id);
                let excluded = *kind == OutcomeKind::Excluded;
                if excluded && self.in_doubt.contains_key(&row) {
                    *kind = OutcomeKind::NotAttempted;
                    "asked without an answer, and excluded since".clone_into(reason);
                }
                let ended = excluded && self.ended.contains(&row) && self.excluded_since.insert(row);
                (row, ended || self.unasked.get_mut(&row).is_some_and(|unasked| unasked.take(*kind)))
            }
        };
        if done {
            return None;
        }
        self.in_doubt.remove(&row);
        let mut prior = self.open.get(&row).cloned().unwrap_or_default();
        if let TriagedRow::ToClose { request, .. } = &entry {
            prior.in_doubt |= self.asked.contains(&request.meeting());
        }
        Some(IncomingRow { entry, prior })
    }

    /// The rows that were asked without an answer and have not come again: somebody took them off the lists meanwhile.
    /// They are not asked any more, and they are not lost.
    pub fn left_in_doubt(self) -> impl Iterator<Item = IncomingRow> {
        let Self { in_doubt, open, .. } = self;
        in_doubt.into_iter().map(move |(row, (origin, cells))| IncomingRow {
            entry: TriagedRow::Unasked {
                origin,
                cells,
                kind: OutcomeKind::NotAttempted,
                reason: "asked without an answer, and taken off the lists since".to_owned(),
            },
            prior: open.get(&row).cloned().unwrap_or_default(),
        })
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

    fn to_close(name: &str, line: u64) -> TriagedRow {
        let request = CloseRequest {
            conference_id: ConferenceId::parse(name).unwrap(),
            union_id: UnionId::parse("host").unwrap(),
        };
        TriagedRow::ToClose { origin: origin(line), request }
    }

    fn unasked(name: &str, kind: OutcomeKind) -> TriagedRow {
        TriagedRow::Unasked { origin: origin(9), cells: cells(name), kind, reason: String::new() }
    }

    fn history(records: &[(&str, Option<OutcomeKind>)]) -> History {
        let mut history = History::default();
        for (name, kind) in records {
            let record = match kind {
                None => Record::Attempt(AttemptStarted {
                    source: "a.csv".into(),
                    line: 2,
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
        let asked = PriorAttempts { attempts: 1, first_attempt_at: Some(AT), in_doubt: true, lease: None };
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
        assert!(history.admit(unasked("b", OutcomeKind::Invalid)).is_some());
    }

    #[test]
    fn exclusions_that_changed_between_processes_give_no_row_a_second_outcome() {
        let (duplicate, excluded) = (OutcomeKind::Duplicate, OutcomeKind::Excluded);
        // Two rows, one left over and one a duplicate of it; then both are excluded.
        let mut tightened = history(&[("a", Some(OutcomeKind::NotAttempted)), ("a", Some(duplicate))]);
        assert_eq!(tightened.admit(unasked("a", excluded)), None);
        assert!(tightened.admit(unasked("a", excluded)).is_some());
        // Two rows, both excluded; then the exclusion is taken back.
        let mut loosened = history(&[("a", Some(excluded)), ("a", Some(excluded))]);
        assert_eq!(loosened.admit(to_close("a", 2)), None);
        assert_eq!(loosened.admit(unasked("a", duplicate)), None);
        // A duplicate's outcome says nothing about the row that it stood behind.
        assert!(history(&[("a", Some(duplicate))]).admit(to_close("a", 2)).is_some());
    }

    #[test]
    fn an_exclusion_that_comes_late_gives_no_row_that_was_asked_another_outcome() {
        let mut ended = history(&[("a", None), ("a", Some(OutcomeKind::Closed))]);
        assert_eq!(ended.admit(unasked("a", OutcomeKind::Excluded)), None);
        // A second row that says the same is a row of its own.
        assert!(ended.admit(unasked("a", OutcomeKind::Excluded)).is_some());
        let arrival = history(&[("a", None)]).admit(unasked("a", OutcomeKind::Excluded)).unwrap();
        let TriagedRow::Unasked { kind, reason, .. } = arrival.entry else { panic!("not asked") };
        assert_eq!((kind, arrival.prior.attempts), (OutcomeKind::NotAttempted, 1));
        assert_eq!(reason, "asked without an answer, and excluded since");
    }

    #[test]
    fn a_meeting_that_was_asked_for_under_another_host_is_in_doubt() {
        let mut history = history(&[("a", None), ("a", Some(OutcomeKind::Failed))]);
        let request = CloseRequest {
            conference_id: ConferenceId::parse("a").unwrap(),
            union_id: UnionId::parse("another host").unwrap(),
        };
        let arrival = history.admit(TriagedRow::ToClose { origin: origin(2), request }).unwrap();
        assert_eq!((arrival.prior.attempts, arrival.prior.in_doubt), (0, true));
        assert!(!history.admit(to_close("b", 3)).unwrap().prior.in_doubt);
    }

    #[test]
    fn a_row_in_doubt_that_was_taken_off_the_lists_is_left_over_and_no_other_is() {
        let not_attempted = Some(OutcomeKind::NotAttempted);
        let mut history =
            history(&[("gone", None), ("there", None), ("told", None), ("told", not_attempted)]);
        history.admit(to_close("there", 2));
        let left: Vec<IncomingRow> = history.left_in_doubt().collect();
        let TriagedRow::Unasked { cells, kind, .. } = &left[0].entry else { panic!("{left:?}") };
        assert_eq!((left.len(), cells.conference_id.as_str(), left[0].prior.attempts), (1, "gone", 1));
        assert_eq!(*kind, OutcomeKind::NotAttempted);
    }
}
