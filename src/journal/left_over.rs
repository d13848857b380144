//! The rows that a run left over, for a new run with `--retry-failed`.
//!
//! Invariant: rows come in input order, each with its last outcome.

use std::path::Path;

use super::{Hasher, OutcomeRecord, ReadError, Reader, RunIndex};
use crate::meeting::{Cells, Origin};
use crate::outcome::OutcomeKind;

/// The rows that ended `failed` or `not_attempted`, in input order.
pub(crate) fn left_over(
    journal: &Path,
    hasher: Hasher,
) -> Result<impl Iterator<Item = Result<(Origin, Cells), ReadError>> + use<>, ReadError> {
    let mut reader = Reader::open(journal, hasher)?;
    let index = RunIndex::read(&mut reader, journal)?;
    Ok(index.rows.into_iter().filter_map(move |place| match reader.outcome_at(place.offset) {
        Ok(outcome) => is_left_over(outcome.outcome).then(|| Ok(row(outcome))),
        Err(error) => Some(Err(error)),
    }))
}

fn is_left_over(kind: OutcomeKind) -> bool {
    match kind {
        OutcomeKind::Failed | OutcomeKind::NotAttempted => true,
        OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Invalid
        | OutcomeKind::Duplicate
        | OutcomeKind::Excluded
        | OutcomeKind::Withdrawn => false,
    }
}

fn row(outcome: OutcomeRecord) -> (Origin, Cells) {
    let OutcomeRecord { source, line, conference_id, union_id, .. } = outcome;
    (Origin { source, line }, Cells { conference_id, union_id })
}
