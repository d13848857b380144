//! Counts what the lists hold, before a request is sent.
//!
//! Invariant: every row is counted in `total`, and in exactly one of the other counts by outcome.

use std::collections::{HashMap, HashSet};

use super::error::ListError;
use super::list_set::Lists;
use super::triage::{Exclusions, Triage, TriagedRow};
use crate::meeting::{ConferenceId, Origin};
use crate::outcome::OutcomeKind;

/// How many exclusions are named that are in no list.
const NAMED: usize = 20;

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
    /// Rows whose conference id looks like a room code.
    pub room_codes: u64,
    /// The first of them.
    pub first_room_code: Option<Origin>,
    /// What became of the exclusions, if there is a list of them.
    pub exclusions: Option<ExclusionUse>,
}

/// Which exclusions are in the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ExclusionUse {
    /// Exclusions, each counted once.
    pub read: u64,
    /// Those of them that are in the lists.
    pub in_lists: u64,
    /// The first of the others, in the order of their list.
    pub first_unused: Vec<(Origin, ConferenceId)>,
}

impl Survey {
    /// Reads all rows once. Calls `on_invalid` with the origin of each invalid row, and with the reason.
    pub(crate) fn of(
        lists: &Lists,
        exclusions: &Exclusions,
        mut on_invalid: impl FnMut(&Origin, &str),
    ) -> Result<Self, ListError> {
        let (mut survey, mut triage) = (Self::default(), Triage::new(exclusions.clone()));
        let mut used = HashSet::new();
        for row in lists.rows() {
            let row = row?;
            let id = &row.cells.conference_id;
            if exclusions.contains(id) && !used.contains(id) {
                used.insert(id.clone());
            }
            survey.count(triage.sort(row), &mut on_invalid);
        }
        survey.exclusions = exclusions.given().map(|ids| ExclusionUse::of(ids, &used));
        Ok(survey)
    }

    fn count(&mut self, row: TriagedRow, on_invalid: &mut impl FnMut(&Origin, &str)) {
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
                | OutcomeKind::Withdrawn
                | OutcomeKind::NotAttempted => {
                    self.invalid += 1;
                    on_invalid(&origin, &reason);
                }
            },
        }
    }
}

impl ExclusionUse {
    fn of(ids: &HashMap<ConferenceId, Origin>, used: &HashSet<String>) -> Self {
        let unused = ids.iter().filter(|(id, _)| !used.contains(id.as_str()));
        let mut unused: Vec<_> = unused.map(|(id, origin)| (origin.clone(), id.clone())).collect();
        unused.sort_by(|(a, _), (b, _)| (&a.source, a.line).cmp(&(&b.source, b.line)));
        let in_lists = used.len() as u64;
        unused.truncate(NAMED);
        Self { read: ids.len() as u64, in_lists, first_unused: unused }
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
        let mut invalid = vec![];
        let survey = Survey::of(&lists, &Exclusions::default(), |origin, reason| {
            invalid.push((origin.line, reason.to_owned()));
        });
        let survey = survey.unwrap();
        assert_eq!((survey.total, survey.to_close, survey.invalid, survey.duplicate), (5, 2, 2, 1));
        assert_eq!(survey.first_room_code.unwrap().line, 5);
        assert_eq!(survey.exclusions, None);
        assert_eq!(invalid[0], (4, "column \"conf_id\" is empty".into()));
        assert_eq!(
            invalid[1],
            (6, "column \"host\" is missing: it is column 2, and the row has 1 column; look for a missing delimiter on this line".into())
        );
    }

    #[test]
    fn an_exclusion_is_used_if_any_row_of_the_lists_has_its_id() {
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            file
        };
        let unused: Vec<String> = (0..30).map(|n| format!("unused{n}")).collect();
        let keep = file(&format!("conf_id\nvip\nvip\ninvalid\n{}\n", unused.join("\n")));
        let list = file("conf_id,host\nvip,u\nvip,w\nother,u\ninvalid,\n");
        let input = InputSettings::default();
        let exclusions = Exclusions::read(keep.path(), &input).unwrap();
        let lists = Lists::open(&[list.path().to_owned()], &input).unwrap();
        let found = Survey::of(&lists, &exclusions, |_, _| {}).unwrap().exclusions.unwrap();
        assert_eq!((found.read, found.in_lists, found.first_unused.len()), (32, 2, NAMED));
        let (origin, id) = &found.first_unused[0];
        assert_eq!((origin.line, id.as_str()), (5, "unused0"));
    }
}
