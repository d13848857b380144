//! Which rows are asked of DingTalk, and which are not, and why not.
//!
//! Memory: one [`Fingerprint`] a row, whatever the lists' size.

use std::collections::HashSet;
use std::path::Path;

use super::{ListError, Lists};
use crate::meeting::{Cells, CloseRequest, ConferenceId, FingerprintSet, InvalidRow, Origin, Row};
use crate::outcome::OutcomeKind;
use crate::settings::InputSettings;

/// A row, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriagedRow {
    /// A meeting to be closed.
    ToClose {
        /// Where the row stood.
        origin: Origin,
        /// What it asks for.
        request: CloseRequest,
    },
    /// A row of which nothing is asked: it has its outcome already.
    Unasked {
        /// Where the row stood.
        origin: Origin,
        /// What it said.
        cells: Cells,
        /// `invalid`, `duplicate` or `excluded`.
        kind: OutcomeKind,
        /// Why.
        reason: String,
    },
}

/// Sorts rows, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Triage {
    exclusions: Exclusions,
    seen: FingerprintSet,
}

impl Triage {
    /// Nothing was seen yet.
    pub(crate) fn new(exclusions: Exclusions) -> Self {
        Self { exclusions, seen: FingerprintSet::default() }
    }

    /// Sorts the next row. A meeting that must not be closed is `excluded` each time it is named: that is the stronger
    /// reason, and the one that somebody will look for.
    pub(crate) fn sort(&mut self, row: Row) -> TriagedRow {
        let Row { origin, cells, request } = row;
        let (kind, reason) = match request {
            Err(InvalidRow { reason, hint: Some(hint) }) => {
                (OutcomeKind::Invalid, format!("{reason}; {hint}"))
            }
            Err(InvalidRow { reason, hint: None }) => (OutcomeKind::Invalid, reason),
            Ok(request) if self.exclusions.0.contains(&request.conference_id) => {
                (OutcomeKind::Excluded, "named by the exclusion list".to_owned())
            }
            Ok(request) if self.seen.insert(request.fingerprint()) => {
                return TriagedRow::ToClose { origin, request };
            }
            Ok(_) => (OutcomeKind::Duplicate, "the same conference id and union id stood earlier".to_owned()),
        };
        TriagedRow::Unasked { origin, cells, kind, reason }
    }
}

/// Conference ids that must not be closed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exclusions(HashSet<ConferenceId>);

impl Exclusions {
    /// Reads a list of exclusions. A row of it that is unusable is an error: the meeting that it means could be closed.
    pub(crate) fn read(path: &Path, columns: &InputSettings) -> Result<Self, ListError> {
        let list = Lists::open_exclusions(path, columns)?;
        let mut ids = HashSet::new();
        for row in list.rows() {
            let row = row?;
            match row.request {
                Ok(request) => ids.insert(request.conference_id),
                Err(invalid) => {
                    let problem = format!("{invalid}, and every exclusion must be readable");
                    let error = ListError::new(&row.origin.source, problem).at(row.origin.line);
                    return Err(match invalid.hint {
                        Some(hint) => error.hint(hint),
                        None => error,
                    });
                }
            };
        }
        Ok(Self(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let kind = |entry| match entry {
            TriagedRow::ToClose { .. } => None,
            TriagedRow::Unasked { kind, .. } => Some(kind),
        };
        lists.rows().map(|row| kind(triage.sort(row.unwrap()))).collect()
    }

    #[test]
    fn the_same_two_ids_are_asked_once_across_all_lists() {
        let (_files, lists) = lists(&["conf_id,host\na,u\na,U\na,u\n", "host;conf_id\nu;a\nu;b\n"]);
        let duplicate = Some(OutcomeKind::Duplicate);
        assert_eq!(kinds(&lists, Exclusions::default()), [None, None, duplicate, duplicate, None]);
    }

    #[test]
    fn an_excluded_meeting_is_excluded_whoever_hosts_it_and_however_often_it_is_named() {
        let (files, _) = lists(&["conf_id,host\nvip,-\n"]);
        let exclusions = Exclusions::read(files[0].path(), &InputSettings::default()).unwrap();
        let (_files, lists) = lists(&["conf_id,host\nvip,u\nvip,w\nvip,u\nother,u\n"]);
        let excluded = Some(OutcomeKind::Excluded);
        assert_eq!(kinds(&lists, exclusions), [excluded, excluded, excluded, None]);
    }

    #[test]
    fn an_exclusion_needs_no_union_id_and_must_be_readable() {
        let read = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            Exclusions::read(file.path(), &InputSettings::default()).map(|exclusions| exclusions.0.len())
        };
        assert_eq!(read("meeting id\na\nb\n").unwrap(), 2);
        let error = read("meeting id\na\n6.07E+23\n").unwrap_err();
        assert!(
            error
                .to_string()
                .contains(":3: column \"meeting id\" is a number that a spreadsheet has rounded")
        );
        assert!(error.hint.unwrap().contains("format the column as text"));
    }
}
