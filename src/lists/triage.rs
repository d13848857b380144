//! Decides for which rows a request is sent. The other rows get their outcome and its reason here.
//!
//! Invariant: of the rows with the same two ids, at most the first is to close, and no row of an excluded meeting is.
//! Memory: one fingerprint of 16 bytes for each row.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::error::ListError;
use super::list_set;
use super::reader::ExclusionRow;
use crate::meeting::{Cells, CloseRequest, ConferenceId, FingerprintSet, InvalidRow, Origin, Row};
use crate::outcome::OutcomeKind;
use crate::settings::InputSettings;

/// A row after triage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriagedRow {
    /// A meeting to be closed.
    ToClose {
        /// The row's place in its list.
        origin: Origin,
        /// The request to send.
        request: CloseRequest,
    },
    /// A row for which no request is sent: it has its outcome already.
    Unasked {
        /// The row's place in its list.
        origin: Origin,
        /// The row's two cells.
        cells: Cells,
        /// `invalid`, `duplicate` or `excluded`.
        kind: OutcomeKind,
        /// Why no request is sent.
        reason: String,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Triage {
    exclusions: Exclusions,
    seen: FingerprintSet,
}

impl Triage {
    pub(crate) fn new(exclusions: Exclusions) -> Self {
        Self { exclusions, seen: FingerprintSet::default() }
    }

    /// Sorts the next row. If an excluded meeting is repeated, each of its rows is `excluded`, not `duplicate`: people
    /// look for that reason.
    pub(crate) fn sort(&mut self, row: Row) -> TriagedRow {
        let Row { origin, cells, request } = row;
        let (kind, reason) = match request {
            Err(InvalidRow { reason, hint: Some(hint) }) => {
                (OutcomeKind::Invalid, format!("{reason}; {hint}"))
            }
            Err(InvalidRow { reason, hint: None }) => (OutcomeKind::Invalid, reason),
            Ok(request) if self.exclusions.contains(request.conference_id.as_str()) => {
                (OutcomeKind::Excluded, "the exclusion list names this conference id".to_owned())
            }
            Ok(request) if self.seen.insert(request.fingerprint()) => {
                return TriagedRow::ToClose { origin, request };
            }
            Ok(_) => {
                (OutcomeKind::Duplicate, "an earlier row has the same conference id and union id".to_owned())
            }
        };
        TriagedRow::Unasked { origin, cells, kind, reason }
    }
}

/// Conference ids that must not be closed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exclusions {
    /// Each id, and where it stood first.
    ids: Arc<HashMap<ConferenceId, Origin>>,
    /// Whether there is a list of exclusions.
    is_given: bool,
}

impl Exclusions {
    /// Reads an exclusion list. An invalid row is an error, because otherwise its meeting could be closed.
    pub(crate) fn read(path: &Path, columns: &InputSettings) -> Result<Self, ListError> {
        let rows = list_set::exclusion_rows(path, columns)?;
        let mut ids = HashMap::new();
        for row in rows {
            let ExclusionRow { origin, conference_id } = row?;
            let id = conference_id.map_err(|invalid| unreadable_exclusion(&origin, &invalid))?;
            ids.entry(id).or_insert(origin);
        }
        Ok(Self { ids: Arc::new(ids), is_given: true })
    }

    /// The ids and where each stood first. `None`: there is no list of exclusions.
    pub(super) fn given(&self) -> Option<&HashMap<ConferenceId, Origin>> {
        self.is_given.then_some(&self.ids)
    }

    pub(super) fn contains(&self, conference_id: &str) -> bool {
        self.ids.contains_key(conference_id)
    }
}

fn unreadable_exclusion(origin: &Origin, invalid: &InvalidRow) -> ListError {
    let problem = format!("{invalid}; every exclusion must be readable");
    ListError::new(&origin.source, problem).at(origin.line).maybe_hint(invalid.hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::Lists;
    use std::io::Write as _;

    fn lists(texts: &[&str]) -> (Vec<tempfile::NamedTempFile>, Lists) {
        let files: Vec<_> = texts
            .iter()
            .map(|text| {
                let mut file = tempfile::NamedTempFile::new().unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file
            })
            .collect();
        let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
        let lists = Lists::open(&paths, &InputSettings::default()).unwrap();
        (files, lists)
    }

    fn kinds(lists: &Lists, exclusions: Exclusions) -> Vec<Option<OutcomeKind>> {
        let mut triage = Triage::new(exclusions);
        let kind = |row| match row {
            TriagedRow::ToClose { .. } => None,
            TriagedRow::Unasked { kind, .. } => Some(kind),
        };
        lists.rows().map(|row| kind(triage.sort(row.unwrap()))).collect()
    }

    #[test]
    fn the_same_two_ids_are_to_close_once_across_all_lists() {
        let (_files, lists) = lists(&["conf_id,host\na,u\na,U\na,u\n", "host;conf_id\nu;a\nu;b\n"]);
        let duplicate = Some(OutcomeKind::Duplicate);
        assert_eq!(kinds(&lists, Exclusions::default()), [None, None, duplicate, duplicate, None]);
    }

    #[test]
    fn an_excluded_meeting_is_excluded_for_every_host_and_every_repetition() {
        let (files, _) = lists(&["conf_id,host\nvip,-\n"]);
        let exclusions = Exclusions::read(files[0].path(), &InputSettings::default()).unwrap();
        let (_files, lists) = lists(&["conf_id,host\nvip,u\nvip,w\nvip,u\nother,u\n"]);
        let excluded = Some(OutcomeKind::Excluded);
        assert_eq!(kinds(&lists, exclusions), [excluded, excluded, excluded, None]);
    }

    #[test]
    fn an_exclusion_needs_no_union_id_but_must_be_readable() {
        let read = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            Exclusions::read(file.path(), &InputSettings::default())
                .map(|exclusions| exclusions.given().unwrap().len())
        };
        assert_eq!(read("meeting id\na\nb\n").unwrap(), 2);
        assert_eq!(read("meeting id,host\na,\nb,u\n").unwrap(), 2);
        let (one, two) = ("607452e01401526ee39609e1", "61a0bb3c9d2e4f5a6b7c8d9e");
        assert_eq!(read(&format!("meeting id,title,copy\n{one},Board,{one}\n")).unwrap(), 1);
        let error = read(&format!("meeting id,title\n{one},Board\n{two},{one}\n")).unwrap_err();
        assert!(error.to_string().contains(":3: the line names more than one conference id: "), "{error}");
        let error = read("meeting id\na\n6.07E+23\n").unwrap_err();
        assert!(
            error
                .to_string()
                .contains(":3: column \"meeting id\" is 6.07E+23, a number that a spreadsheet rounded; every exclusion must be readable")
        );
        assert!(error.hint.unwrap().contains("format the column as text"));
    }
}
