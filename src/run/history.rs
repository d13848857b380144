//! What a run's journal says about its rows, so that a continued run sends no request for a row that has its outcome.
//!
//! Invariant: a row with a final outcome gets no second one, by the rules of `journal::fold`. A continued run has its rows
//! from lists, and lists are edited between runs, so a row is what it says. Memory: one fingerprint a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Lease;
use crate::journal::{AttemptStarted, EndedRows, OutcomeRecord, Record, RowEffect, RowIdentity};
use crate::lists::TriagedRow;
use crate::meeting::{Cells, Fingerprint, FingerprintMap, FingerprintSet, Origin};
use crate::outcome::OutcomeKind;

/// What earlier processes of the run did for a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriorAttempts {
    /// Attempts that were sent.
    pub attempts: u32,
    /// When the first was sent.
    pub first_attempt_at: Option<Timestamp>,
    /// Whether an unanswered or unknown request may have ended the meeting.
    pub in_doubt: bool,
    /// The lease on the row, if other workers can take it over.
    pub lease: Option<Arc<Lease>>,
}

/// A row on its way into a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRow {
    /// The row.
    pub entry: TriagedRow,
    /// Its earlier attempts.
    pub prior: PriorAttempts,
}

/// What a run's journal says about its rows.
#[derive(Debug, Clone, Default)]
pub struct History {
    ended: EndedRows,
    /// Rows that ended and that are not asked for any more: an exclusion list names them, or this version does not accept
    /// their ids.
    unasked_since: FingerprintSet,
    /// Earlier attempts of rows that have not ended.
    attempts: FingerprintMap<PriorAttempts>,
    /// Meetings that were asked for, under any host.
    asked: FingerprintSet,
    /// Rows that were asked for and have no outcome since.
    in_doubt: FingerprintMap<(Origin, Cells)>,
    unasked: FingerprintMap<UnaskedOutcomes>,
    outcomes: BTreeMap<OutcomeKind, u64>,
}

/// The outcomes without a request of rows that say the same.
#[derive(Debug, Clone, Copy, Default)]
struct UnaskedOutcomes {
    duplicate: u32,
    /// `invalid` and `excluded`.
    other: u32,
}

impl UnaskedOutcomes {
    fn add(&mut self, kind: OutcomeKind) {
        *self.matching_first(kind)[0] += 1;
    }

    /// Takes one of these outcomes for a row that is of `kind` now: one of the same kind, else any. So a row that was a
    /// duplicate, and is excluded now, does not get a second outcome.
    fn take(&mut self, kind: OutcomeKind) -> bool {
        self.matching_first(kind).into_iter().any(take_one)
    }

    fn matching_first(&mut self, kind: OutcomeKind) -> [&mut u32; 2] {
        let Self { duplicate, other } = self;
        if kind == OutcomeKind::Duplicate { [duplicate, other] } else { [other, duplicate] }
    }
}

fn take_one(count: &mut u32) -> bool {
    let has_one = *count > 0;
    *count -= u32::from(has_one);
    has_one
}

impl History {
    /// Takes in the journal's next record, which was written `at` that time.
    pub fn learn(&mut self, record: &Record, at: Timestamp) {
        match record {
            Record::Attempt(attempt) => self.learn_attempt(attempt, at),
            Record::Outcome(outcome) => self.learn_outcome(outcome),
            Record::RunStarted(_) | Record::RunContinued(_) | Record::RunFinished(_) => {}
        }
    }

    fn learn_attempt(&mut self, attempt: &AttemptStarted, at: Timestamp) {
        let row = RowIdentity::Cells.of_attempt(attempt);
        self.asked.insert(Fingerprint::of(&attempt.conference_id, ""));
        let prior = self.attempts.entry(row).or_default();
        prior.attempts = prior.attempts.max(attempt.attempt);
        prior.first_attempt_at.get_or_insert(at);
        let origin = Origin { source: Arc::clone(&attempt.source), line: attempt.line };
        let (conference_id, union_id) = (attempt.conference_id.clone(), attempt.union_id.clone());
        self.in_doubt.insert(row, (origin, Cells { conference_id, union_id }));
    }

    fn learn_outcome(&mut self, outcome: &OutcomeRecord) {
        let (row, kind) = (RowIdentity::Cells.of_outcome(outcome), outcome.outcome);
        self.in_doubt.remove(&row);
        // A second end of a row is for `verify` to report.
        let _ = self.ended.learn(row, kind);
        match RowEffect::of(kind) {
            // The continued run asks for the row, and the number of its attempts continues.
            RowEffect::LeavesOpen => return,
            RowEffect::Ends => {
                self.attempts.remove(&row);
            }
            RowEffect::Excludes | RowEffect::StandsBeside => self.unasked.entry(row).or_default().add(kind),
        }
        *self.outcomes.entry(kind).or_default() += 1;
    }

    /// Rows that have their final outcome.
    pub fn rows_done(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// How many rows have each outcome.
    pub fn outcomes(&self) -> BTreeMap<OutcomeKind, u64> {
        self.outcomes.clone()
    }

    /// Returns the row for the run, or none if the journal has its outcome. A row that was excluded once stays excluded for
    /// the rest of the run. A row that was asked for before it was excluded does not become `excluded`: its meeting may have
    /// ended. The same holds for a row whose ids this version does not accept.
    pub fn admit(&mut self, mut entry: TriagedRow) -> Option<IncomingRow> {
        let (row, done) = match &mut entry {
            TriagedRow::ToClose { request, .. } => {
                let row = request.fingerprint();
                let was_excluded =
                    self.unasked.get_mut(&row).is_some_and(|unasked| take_one(&mut unasked.other));
                (row, was_excluded || self.ended.contains(&row))
            }
            TriagedRow::Unasked { cells, kind, reason, .. } => {
                let row = RowIdentity::of_cells(cells);
                let refused_since = match kind {
                    OutcomeKind::Excluded => {
                        Some("a request was sent and not answered; the row was excluded later".to_owned())
                    }
                    OutcomeKind::Invalid => {
                        Some(format!("a request was sent and not answered; the row is invalid now: {reason}"))
                    }
                    OutcomeKind::Duplicate
                    | OutcomeKind::Closed
                    | OutcomeKind::AlreadyClosed
                    | OutcomeKind::Failed
                    | OutcomeKind::NotAttempted => None,
                };
                let is_refused = refused_since.is_some();
                if let Some(in_doubt) = refused_since
                    && self.in_doubt.contains_key(&row)
                {
                    (*kind, *reason) = (OutcomeKind::NotAttempted, in_doubt);
                }
                let ended = is_refused && self.ended.contains(&row) && self.unasked_since.insert(row);
                (row, ended || self.unasked.get_mut(&row).is_some_and(|unasked| unasked.take(*kind)))
            }
        };
        if done {
            return None;
        }
        self.in_doubt.remove(&row);
        let mut prior = self.attempts.get(&row).cloned().unwrap_or_default();
        if let TriagedRow::ToClose { request, .. } = &entry {
            prior.in_doubt |= self.asked.contains(&request.meeting());
        }
        Some(IncomingRow { entry, prior })
    }

    /// The rows for which a request was sent and not answered, and which the lists do not have any more. They are reported,
    /// and no further request is sent for them.
    pub fn left_in_doubt(self) -> impl Iterator<Item = IncomingRow> {
        let Self { in_doubt, attempts, .. } = self;
        in_doubt.into_iter().map(move |(row, (origin, cells))| IncomingRow {
            entry: TriagedRow::Unasked {
                origin,
                cells,
                kind: OutcomeKind::NotAttempted,
                reason: "a request was sent and not answered; the row was removed from the lists later"
                    .to_owned(),
            },
            prior: attempts.get(&row).cloned().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::close_request;
    use crate::journal::AttemptStarted;
    use crate::meeting::{Cells, Origin};
    use crate::outcome::Outcome;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn origin(line: u64) -> Origin {
        Origin { source: "a.csv".into(), line }
    }

    fn cells(name: &str) -> Cells {
        Cells { conference_id: name.into(), union_id: "host".into() }
    }

    fn to_close(name: &str, line: u64) -> TriagedRow {
        let request = close_request(name, "host");
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
    fn a_row_with_its_outcome_is_not_asked_for_again_on_whichever_line_it_is_now() {
        for kind in [OutcomeKind::Closed, OutcomeKind::AlreadyClosed, OutcomeKind::Failed] {
            let mut history = history(&[("a", None), ("a", Some(kind))]);
            assert_eq!(history.admit(to_close("a", 77)), None);
            assert!(history.admit(to_close("b", 2)).is_some());
            assert_eq!(history.rows_done(), 1);
        }
    }

    #[test]
    fn a_row_without_an_outcome_is_asked_for_again_and_keeps_its_earlier_attempts() {
        let asked = PriorAttempts { attempts: 1, first_attempt_at: Some(AT), in_doubt: true, lease: None };
        for records in [&[("a", None)][..], &[("a", None), ("a", Some(OutcomeKind::NotAttempted))]] {
            let incoming = history(records).admit(to_close("a", 2)).unwrap();
            assert_eq!(incoming.prior, asked);
        }
    }

    #[test]
    fn each_of_several_unasked_rows_that_say_the_same_gets_one_outcome() {
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
        // Two rows: one is not attempted, one is its duplicate. Then both are excluded.
        let mut tightened = history(&[("a", Some(OutcomeKind::NotAttempted)), ("a", Some(duplicate))]);
        assert_eq!(tightened.admit(unasked("a", excluded)), None);
        assert!(tightened.admit(unasked("a", excluded)).is_some());
        // Two rows, both excluded. Then the exclusion is removed.
        let mut loosened = history(&[("a", Some(excluded)), ("a", Some(excluded))]);
        assert_eq!(loosened.admit(to_close("a", 2)), None);
        assert_eq!(loosened.admit(unasked("a", duplicate)), None);
        // A duplicate's outcome says nothing about the row that it repeats.
        assert!(history(&[("a", Some(duplicate))]).admit(to_close("a", 2)).is_some());
    }

    #[test]
    fn a_late_exclusion_gives_no_second_outcome_to_a_row_that_was_asked_for() {
        let mut ended = history(&[("a", None), ("a", Some(OutcomeKind::Closed))]);
        assert_eq!(ended.admit(unasked("a", OutcomeKind::Excluded)), None);
        // A second row that says the same gets an outcome of its own.
        assert!(ended.admit(unasked("a", OutcomeKind::Excluded)).is_some());
        let incoming = history(&[("a", None)]).admit(unasked("a", OutcomeKind::Excluded)).unwrap();
        let TriagedRow::Unasked { kind, reason, .. } = incoming.entry else { panic!("not asked") };
        assert_eq!((kind, incoming.prior.attempts), (OutcomeKind::NotAttempted, 1));
        assert_eq!(reason, "a request was sent and not answered; the row was excluded later");
    }

    #[test]
    fn a_row_whose_ids_are_refused_now_keeps_the_outcome_that_it_has() {
        let invalid = OutcomeKind::Invalid;
        let mut ended =
            history(&[("a", None), ("a", Some(OutcomeKind::Closed)), ("a", Some(OutcomeKind::Duplicate))]);
        assert_eq!(ended.admit(unasked("a", invalid)), None);
        assert_eq!(ended.admit(unasked("a", invalid)), None);
        assert!(ended.admit(unasked("a", invalid)).is_some());
        let incoming = history(&[("a", None)]).admit(unasked("a", invalid)).unwrap();
        let TriagedRow::Unasked { kind, reason, .. } = incoming.entry else { panic!("not asked") };
        assert_eq!(kind, OutcomeKind::NotAttempted);
        assert!(
            reason.starts_with("a request was sent and not answered; the row is invalid now"),
            "{reason}"
        );
    }

    #[test]
    fn a_meeting_that_was_asked_for_under_another_host_is_in_doubt() {
        let mut history = history(&[("a", None), ("a", Some(OutcomeKind::Failed))]);
        let request = close_request("a", "another-host");
        let incoming = history.admit(TriagedRow::ToClose { origin: origin(2), request }).unwrap();
        assert_eq!((incoming.prior.attempts, incoming.prior.in_doubt), (0, true));
        assert!(!history.admit(to_close("b", 3)).unwrap().prior.in_doubt);
    }

    #[test]
    fn only_rows_in_doubt_that_the_lists_lack_now_are_left_in_doubt() {
        let not_attempted = Some(OutcomeKind::NotAttempted);
        let mut history =
            history(&[("gone", None), ("listed", None), ("ended", None), ("ended", not_attempted)]);
        history.admit(to_close("listed", 2));
        let left: Vec<IncomingRow> = history.left_in_doubt().collect();
        let TriagedRow::Unasked { cells, kind, .. } = &left[0].entry else { panic!("{left:?}") };
        assert_eq!((left.len(), cells.conference_id.as_str(), left[0].prior.attempts), (1, "gone", 1));
        assert_eq!(*kind, OutcomeKind::NotAttempted);
    }
}
