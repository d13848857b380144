//! Counts what the lists hold, before a request is sent.
//!
//! Invariant: every row is counted in `total`, and in exactly one of the other counts by outcome.

use super::error::ListError;
use super::list_set::Lists;
use super::triage::{Exclusions, Triage, TriagedRow};
use crate::meeting::Origin;
use crate::outcome::OutcomeKind;

/// How many invalid rows are shown before a run.
const SHOWN: usize = 5;

/// What the lists hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// All rows.
    pub total: u64,
    /// Rows whose meeting is to be closed.
    pub to_close: u64,
    /// Invalid rows.
    pub invalid: u64,
    /// Rows that repeat an earlier row.
    pub duplicate: u64,
    /// Rows that the exclusion list names.
    pub excluded: u64,
    /// The first invalid rows, with their reasons.
    pub first_invalid: Vec<(Origin, String)>,
    /// Rows whose conference id looks like a room code.
    pub room_codes: u64,
    /// The first of them.
    pub first_room_code: Option<Origin>,
}

impl Survey {
    /// Reads all rows once.
    pub(crate) fn of(lists: &Lists, exclusions: Exclusions) -> Result<Self, ListError> {
        let (mut survey, mut triage) = (Self::default(), Triage::new(exclusions));
        for row in lists.rows() {
            survey.count(triage.sort(row?));
        }
        Ok(survey)
    }

    fn count(&mut self, row: TriagedRow) {
        self.total += 1;
        match row {
            TriagedRow::ToClose { origin, request } => {
                self.to_close += 1;
                if request.conference_id.looks_like_room_code() {
                    self.room_codes += 1;
                    self.first_room_code.get_or_insert(origin);
                }
            }
            TriagedRow::Unasked { origin, kind, reason, .. } => match kind {
                OutcomeKind::Duplicate => self.duplicate += 1,
                OutcomeKind::Excluded => self.excluded += 1,
                OutcomeKind::Invalid
                | OutcomeKind::Closed
                | OutcomeKind::AlreadyClosed
                | OutcomeKind::Failed
                | OutcomeKind::NotAttempted => {
                    self.invalid += 1;
                    if self.first_invalid.len() < SHOWN {
                        self.first_invalid.push((origin, reason));
                    }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::InputSettings;

    #[test]
    fn every_row_is_counted_once_and_the_first_problems_are_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "conf_id,host\na,u\na,u\n,u\n42261597832,u\nb\n").unwrap();
        let lists = Lists::open(&[file.path().to_owned()], &InputSettings::default()).unwrap();
        let survey = Survey::of(&lists, Exclusions::default()).unwrap();
        assert_eq!((survey.total, survey.to_close, survey.invalid, survey.duplicate), (5, 2, 2, 1));
        assert_eq!(survey.first_room_code.unwrap().line, 5);
        let lines: Vec<u64> = survey.first_invalid.iter().map(|(origin, _)| origin.line).collect();
        assert_eq!(lines, [4, 6]);
        assert_eq!(survey.first_invalid[0].1, "column \"conf_id\" is empty");
        assert_eq!(
            survey.first_invalid[1].1,
            "column \"host\" is missing: it is column 2, and the row has 1 column; look for a missing delimiter on this line"
        );
    }
}
