//! What a run's journal says about its rows, so that a continued run sends no request for a row that has its outcome.
//!
//! Invariant: a row with a final outcome gets no second one, by the rules of `journal::fold`. A continued run has its rows
//! from lists, and lists are edited between runs, so a row is what it says. Memory: one fingerprint a row; ids and line of the
//! rows that the journal knows and that have not ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Lease;
use crate::journal::{AttemptStarted, EndedRows, OutcomeRecord, Record, RowEffect, RowIdentity};
use crate::lists::TriagedRow;
use crate::meeting::{Cells, Fingerprint, FingerprintMap, FingerprintSet, Origin};
use crate::outcome::{OutcomeKind, is_in_doubt};

/// What earlier processes of the run did for a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriorAttempts {
    /// Attempts that were sent.
    pub attempts: u32,
    /// When the first was sent.
    pub first_attempt_at: Option<Timestamp>,
    /// Whether an unanswered or unknown request may have ended the meeting.
    pub in_doubt: bool,
    /// The HTTP status of the last answer, if no request is in doubt.
    pub last_status: Option<u16>,
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
    /// Rows that have not ended: asked for without an outcome since, `not_attempted` or `withdrawn`.
    open: FingerprintMap<UnendedRow>,
    unasked: FingerprintMap<UnaskedOutcomes>,
    /// Meetings that were excluded, under any host.
    excluded: FingerprintSet,
    /// How many rows the run excluded when it began.
    excluded_at_start: u64,
    outcomes: BTreeMap<OutcomeKind, u64>,
}

/// A row that has not ended.
#[derive(Debug, Clone)]
struct UnendedRow {
    origin: Origin,
    cells: Cells,
    /// A request was sent, and the journal has no outcome since.
    awaits_outcome: bool,
    /// An earlier request may have ended the meeting.
    in_doubt: bool,
    /// The HTTP status of the last answer, if there was a request.
    last_status: Option<u16>,
}

impl UnendedRow {
    fn new(origin: Origin, cells: Cells) -> Self {
        Self { origin, cells, awaits_outcome: false, in_doubt: false, last_status: None }
    }

    /// Whether a request may have ended the meeting, although no answer says so.
    fn is_in_doubt(&self) -> bool {
        self.in_doubt || self.awaits_outcome
    }

    /// The attempts of a row that is withdrawn. The outcome is in doubt by [`is_in_doubt`] if and only if the row is.
    fn prior(&self, prior: Option<&PriorAttempts>) -> PriorAttempts {
        let in_doubt = self.is_in_doubt();
        let last_status = self.last_status.filter(|_| !in_doubt);
        PriorAttempts { in_doubt, last_status, ..prior.cloned().unwrap_or_default() }
    }

    fn removal(&self) -> String {
        let removed = "the row was removed from the lists";
        if self.is_in_doubt() { in_doubt_because(&format!("{removed} later")) } else { removed.to_owned() }
    }
}

fn in_doubt_because(since: &str) -> String {
    format!("a request was sent and not answered; {since}")
}

/// Why a row that is in the lists is not asked for, whatever an earlier process did for it.
fn refused_because(kind: OutcomeKind, reason: &str) -> Option<String> {
    match kind {
        OutcomeKind::Excluded => Some("the row was excluded later".to_owned()),
        OutcomeKind::Invalid => Some(format!("the row is invalid now: {reason}")),
        OutcomeKind::Duplicate
        | OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Failed
        | OutcomeKind::Withdrawn
        | OutcomeKind::NotAttempted => None,
    }
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
            // The process before this record did not live to see the answers that are missing.
            Record::RunContinued(_) => {
                self.open.values_mut().for_each(|row| row.in_doubt |= row.awaits_outcome);
            }
            Record::RunStarted(started) => self.excluded_at_start = started.rows.excluded,
            Record::RunFinished(_) => {}
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
        let open = self.open.entry(row);
        open.or_insert_with(|| UnendedRow::new(origin, Cells { conference_id, union_id })).awaits_outcome =
            true;
    }

    fn learn_outcome(&mut self, outcome: &OutcomeRecord) {
        let (row, kind) = (RowIdentity::Cells.of_outcome(outcome), outcome.outcome);
        // A second end of a row is for `verify` to report.
        let _ = self.ended.learn(row, kind);
        match RowEffect::of(kind) {
            // The continued run asks for the row, and the number of its attempts continues.
            RowEffect::LeavesOpen => return self.learn_open(row, outcome),
            RowEffect::Ends => {
                self.open.remove(&row);
                self.attempts.remove(&row);
            }
            RowEffect::Excludes => {
                self.open.remove(&row);
                self.excluded.insert(Fingerprint::of(&outcome.conference_id, ""));
                self.unasked.entry(row).or_default().add(kind);
            }
            RowEffect::StandsBeside => self.unasked.entry(row).or_default().add(kind),
        }
        *self.outcomes.entry(kind).or_default() += 1;
    }

    fn learn_open(&mut self, row: Fingerprint, outcome: &OutcomeRecord) {
        let OutcomeRecord { source, line, conference_id, union_id, attempts, http_status, .. } = outcome;
        let origin = Origin { source: Arc::clone(source), line: *line };
        let cells = Cells { conference_id: conference_id.clone(), union_id: union_id.clone() };
        let open = self.open.entry(row).or_insert_with(|| UnendedRow::new(origin, cells));
        open.awaits_outcome = false;
        open.in_doubt |= is_in_doubt(*attempts, *http_status);
        open.last_status = http_status.filter(|_| *attempts > 0);
    }

    /// Rows that have their final outcome.
    pub fn rows_done(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// How many rows the run excluded when it began, and has not reported yet. The journal does not name them.
    pub fn unnamed_exclusions(&self) -> u64 {
        let reported = self.outcomes.get(&OutcomeKind::Excluded).copied().unwrap_or_default();
        self.excluded_at_start.saturating_sub(reported)
    }

    /// How many rows have each outcome.
    pub fn outcomes(&self) -> BTreeMap<OutcomeKind, u64> {
        self.outcomes.clone()
    }

    /// Returns the row for the run, or none if the journal has its outcome. A meeting that was excluded once stays excluded for
    /// the rest of the run, under any host. A row that was asked for before it was excluded does not become `excluded`: its meeting may have
    /// ended. The same holds for a row whose ids this version does not accept.
    pub fn admit(&mut self, mut entry: TriagedRow) -> Option<IncomingRow> {
        if let TriagedRow::ToClose { origin, request } = &entry
            && self.excluded.contains(&request.meeting())
        {
            let (conference_id, union_id) = (request.conference_id.as_str(), request.union_id.as_str());
            entry = TriagedRow::Unasked {
                origin: origin.clone(),
                cells: Cells { conference_id: conference_id.into(), union_id: union_id.into() },
                kind: OutcomeKind::Excluded,
                reason: "the run excluded this meeting earlier".to_owned(),
            };
        }
        let (row, done) = match &mut entry {
            TriagedRow::ToClose { request, .. } => {
                let row = request.fingerprint();
                let was_excluded =
                    self.unasked.get_mut(&row).is_some_and(|unasked| take_one(&mut unasked.other));
                (row, was_excluded || self.ended.contains(&row))
            }
            TriagedRow::Unasked { cells, kind, reason, .. } => {
                let row = RowIdentity::of_cells(cells);
                let mut has_its_outcome =
                    || self.unasked.get_mut(&row).is_some_and(|it| take_one(&mut it.other));
                if *kind == OutcomeKind::Invalid && has_its_outcome() {
                    return None;
                }
                let refused_because = refused_because(*kind, reason);
                let is_refused = refused_because.is_some();
                if let Some(because) = refused_because
                    && let Some(open) = self.open.get(&row).filter(|open| open.is_in_doubt())
                {
                    let prior = open.prior(self.attempts.get(&row));
                    (*kind, *reason) = (OutcomeKind::Withdrawn, in_doubt_because(&because));
                    self.open.remove(&row);
                    return Some(IncomingRow { entry, prior });
                }
                let ended = is_refused && self.ended.contains(&row) && self.unasked_since.insert(row);
                (row, ended || self.unasked.get_mut(&row).is_some_and(|unasked| unasked.take(*kind)))
            }
        };
        if done {
            return None;
        }
        match &entry {
            TriagedRow::ToClose { .. }
            | TriagedRow::Unasked { kind: OutcomeKind::Excluded | OutcomeKind::Invalid, .. } => {
                self.open.remove(&row);
            }
            // Such a row stands beside the open row that says the same.
            TriagedRow::Unasked { .. } => {
                return Some(IncomingRow { entry, prior: PriorAttempts::default() });
            }
        }
        let mut prior = self.attempts.get(&row).cloned().unwrap_or_default();
        if let TriagedRow::ToClose { request, .. } = &entry {
            prior.in_doubt |= self.asked.contains(&request.meeting());
        }
        Some(IncomingRow { entry, prior })
    }

    /// How many rows [`History::withdrawn`] yields.
    pub fn withdrawn_rows(&self) -> u64 {
        self.open.len() as u64
    }

    /// The rows that have not ended, and which the lists do not have any more. They are reported, and no further request is
    /// sent for them.
    pub fn withdrawn(self) -> impl Iterator<Item = IncomingRow> {
        let Self { open, attempts, .. } = self;
        open.into_iter().map(move |(row, open)| IncomingRow {
            prior: open.prior(attempts.get(&row)),
            entry: TriagedRow::Unasked {
                kind: OutcomeKind::Withdrawn,
                reason: open.removal(),
                origin: open.origin,
                cells: open.cells,
            },
        })
    }
}

#[cfg(test)]
mod tests;
