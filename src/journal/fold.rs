//! What the journal's outcomes mean for the rows: the rules that a continued run, the reports and `verify` share.
//!
//! Invariants:
//!
//! - A row of a list is what it says (conference id and union id), never its line. An entry of a queue is a row of its own,
//!   whatever it says.
//! - `not_attempted` and `withdrawn` leave a row open. The next outcome of the same row replaces them.
//! - `duplicate` and `invalid` replace nothing: each is the outcome of one more row that says the same.
//! - DingTalk's final answer (`closed`, `already_closed`, `failed`) ends a row, once.
//!
//! Memory: one fingerprint a row.

use std::collections::hash_map::Entry;

use super::{AttemptStarted, OutcomeRecord, RunStarted};
use crate::meeting::{Cells, Fingerprint, FingerprintMap, FingerprintSet};
use crate::outcome::OutcomeKind;

/// What makes two records be about the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowIdentity {
    /// The same conference id and union id: rows of lists.
    Cells,
    /// The same entry of a queue. A meeting that failed may be put on the queue again.
    QueueEntry,
}

impl RowIdentity {
    pub(crate) fn of_run(run: &RunStarted) -> Self {
        if run.queue.is_some() { Self::QueueEntry } else { Self::Cells }
    }

    pub(crate) fn of_outcome(self, outcome: &OutcomeRecord) -> Fingerprint {
        self.identify(&outcome.source, &outcome.conference_id, &outcome.union_id)
    }

    pub(crate) fn of_attempt(self, attempt: &AttemptStarted) -> Fingerprint {
        self.identify(&attempt.source, &attempt.conference_id, &attempt.union_id)
    }

    /// The identity of a list's row.
    pub(crate) fn of_cells(cells: &Cells) -> Fingerprint {
        Fingerprint::of(&cells.conference_id, &cells.union_id)
    }

    fn identify(self, source: &str, conference_id: &str, union_id: &str) -> Fingerprint {
        match self {
            Self::Cells => Fingerprint::of(conference_id, union_id),
            Self::QueueEntry => Fingerprint::of(source, ""),
        }
    }
}

/// What an outcome does to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowEffect {
    /// The row stays open: its next outcome replaces this one.
    LeavesOpen,
    /// DingTalk answered for good. The row ends, and can end only once.
    Ends,
    /// The row ends without a request.
    Excludes,
    /// It is the outcome of one more row that says the same.
    StandsBeside,
}

impl RowEffect {
    pub(crate) const fn of(kind: OutcomeKind) -> Self {
        match kind {
            OutcomeKind::NotAttempted | OutcomeKind::Withdrawn => Self::LeavesOpen,
            OutcomeKind::Closed | OutcomeKind::AlreadyClosed | OutcomeKind::Failed => Self::Ends,
            OutcomeKind::Excluded => Self::Excludes,
            OutcomeKind::Duplicate | OutcomeKind::Invalid => Self::StandsBeside,
        }
    }
}

/// The rows whose last outcome leaves them open, with what the reader of the journal keeps about each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenRows<T>(FingerprintMap<T>);

impl<T> Default for OpenRows<T> {
    fn default() -> Self {
        Self(FingerprintMap::default())
    }
}

impl<T> OpenRows<T> {
    /// Takes in the row's next outcome. `record` receives what was kept about the outcome that this one replaces,
    /// if it replaces one. What `record` returns is kept while the row is open.
    pub(crate) fn learn(&mut self, row: Fingerprint, kind: OutcomeKind, record: impl FnOnce(Option<T>) -> T) {
        match RowEffect::of(kind) {
            RowEffect::LeavesOpen => match self.0.entry(row) {
                Entry::Occupied(open) => {
                    let (row, replaced) = open.remove_entry();
                    self.0.insert(row, record(Some(replaced)));
                }
                Entry::Vacant(new) => {
                    new.insert(record(None));
                }
            },
            RowEffect::Ends | RowEffect::Excludes => {
                record(self.0.remove(&row));
            }
            RowEffect::StandsBeside => {
                record(None);
            }
        }
    }
}

/// The rows that DingTalk gave a final answer for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EndedRows(FingerprintSet);

impl EndedRows {
    /// Takes in the row's next outcome, and returns whether it ends a row that had ended before.
    #[must_use]
    pub(crate) fn learn(&mut self, row: Fingerprint, kind: OutcomeKind) -> bool {
        match RowEffect::of(kind) {
            RowEffect::Ends => !self.0.insert(row),
            RowEffect::LeavesOpen | RowEffect::Excludes | RowEffect::StandsBeside => false,
        }
    }

    pub(crate) fn contains(&self, row: &Fingerprint) -> bool {
        self.0.contains(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Fingerprint {
        Fingerprint::of("c", "u")
    }

    /// What each of these outcomes of one row replaces, by its place among them.
    fn replaced(kinds: &[OutcomeKind]) -> Vec<Option<usize>> {
        let mut open = OpenRows::default();
        let mut all = vec![];
        for (place, kind) in kinds.iter().enumerate() {
            open.learn(row(), *kind, |replaced| {
                all.push(replaced);
                place
            });
        }
        all
    }

    #[test]
    fn the_next_outcome_of_a_row_replaces_an_open_one_and_nothing_else() {
        use OutcomeKind::{AlreadyClosed, Closed, Excluded, Failed, NotAttempted, Withdrawn};
        for kind in [Closed, AlreadyClosed, Failed, Excluded] {
            assert_eq!(replaced(&[NotAttempted, kind]), [None, Some(0)], "{kind:?}");
            assert_eq!(replaced(&[kind, kind]), [None, None], "{kind:?}");
            assert_eq!(replaced(&[kind, NotAttempted, NotAttempted, kind]), [None, None, Some(1), Some(2)]);
        }
        assert_eq!(
            replaced(&[NotAttempted, Withdrawn, Withdrawn, Closed]),
            [None, Some(0), Some(1), Some(2)]
        );
    }

    #[test]
    fn a_duplicate_or_invalid_row_replaces_nothing_and_leaves_the_open_row_open() {
        use OutcomeKind::{Closed, Duplicate, Invalid, NotAttempted};
        for kind in [Duplicate, Invalid] {
            assert_eq!(replaced(&[NotAttempted, kind, Closed]), [None, None, Some(0)], "{kind:?}");
        }
    }

    #[test]
    fn a_row_ends_once_and_only_by_an_answer_of_dingtalk() {
        for kind in OutcomeKind::ALL {
            let mut ended = EndedRows::default();
            let is_end = RowEffect::of(kind) == RowEffect::Ends;
            assert_eq!([(); 2].map(|()| ended.learn(row(), kind)), [false, is_end], "{kind:?}");
            assert_eq!(ended.contains(&row()), is_end, "{kind:?}");
        }
    }

    #[test]
    fn a_row_of_a_list_is_what_it_says_and_a_row_of_a_queue_is_its_entry() {
        let attempt = |source: &str, conference_id: &str| AttemptStarted {
            source: source.into(),
            line: 1,
            conference_id: conference_id.into(),
            union_id: "u".into(),
            attempt: 1,
        };
        let is_same = |identity: RowIdentity, first, second| {
            identity.of_attempt(&first) == identity.of_attempt(&second)
        };
        for (first, second, of_lists) in
            [(("s/7-1", "c"), ("s/7-2", "c"), true), (("s/7-1", "c"), ("s/7-1", "d"), false)]
        {
            let pair = || (attempt(first.0, first.1), attempt(second.0, second.1));
            let (a, b) = pair();
            assert_eq!(is_same(RowIdentity::Cells, a, b), of_lists);
            let (a, b) = pair();
            assert_eq!(is_same(RowIdentity::QueueEntry, a, b), !of_lists);
        }
        let cells = Cells { conference_id: "c".into(), union_id: "u".into() };
        assert_eq!(RowIdentity::Cells.of_attempt(&attempt("a", "c")), RowIdentity::of_cells(&cells));
    }
}
