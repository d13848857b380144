//! A rewritten list: a temporary copy, in our own CSV form, of rows that were read elsewhere.
//!
//! A workbook's sheet and the rows of an earlier run are rewritten, so that they are then read like any other list.
//! Invariant: a row keeps its origin, and each of its cells keeps its text and its kind.

use std::fs::File;
use std::io::Seek as _;
use std::sync::Arc;

use csv::StringRecord;

use super::cell_kind::CellKind;
use super::error::ListError;
use super::header::{Column, Header, Shape};
use crate::meeting::{Cells, Origin};
use crate::settings::InputSettings;

const COLUMNS: [&str; 6] =
    ["source", "line", "conference_id", "union_id", "conference_id_kind", "union_id_kind"];

/// The places of the two id columns in [`COLUMNS`].
const CONFERENCE_ID: usize = 2;
const UNION_ID: usize = 3;

/// A cell of a row, before it is taken as an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) kind: CellKind,
    pub(super) text: String,
}

/// A row of a rewritten list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RewrittenRow {
    pub(super) origin: Origin,
    pub(super) conference_id: Cell,
    pub(super) union_id: Cell,
}

impl RewrittenRow {
    /// Reads a row that [`RewrittenWriter`] wrote. `None`: the record is not such a row.
    pub(super) fn parse(record: &StringRecord) -> Option<Self> {
        let fields: Vec<&str> = record.iter().collect();
        let &[source, line, conference_id, union_id, conference_id_kind, union_id_kind] = fields.as_slice()
        else {
            return None;
        };
        let cell = |text: &str, kind| Some(Cell { kind: CellKind::named(kind)?, text: text.to_owned() });
        Some(Self {
            origin: Origin { source: source.into(), line: line.parse().ok()? },
            conference_id: cell(conference_id, conference_id_kind)?,
            union_id: cell(union_id, union_id_kind)?,
        })
    }
}

pub(super) struct RewrittenWriter {
    /// The list, as errors name it.
    source: Arc<str>,
    csv: csv::Writer<File>,
}

impl RewrittenWriter {
    pub(super) fn new(source: &Arc<str>) -> Result<Self, ListError> {
        let no_copy = |error| ListError::no_copy(source, &error);
        let mut csv = csv::Writer::from_writer(tempfile::tempfile().map_err(no_copy)?);
        csv.write_record(COLUMNS).map_err(|error| no_copy(error.into()))?;
        Ok(Self { source: Arc::clone(source), csv })
    }

    /// Writes a row whose cells are text.
    pub(super) fn write_text(&mut self, origin: &Origin, cells: &Cells) -> Result<(), ListError> {
        let Cells { conference_id, union_id } = cells;
        self.write(origin, (CellKind::Text, conference_id), (CellKind::Text, union_id))
    }

    pub(super) fn write(
        &mut self,
        origin: &Origin,
        (conference_id_kind, conference_id): (CellKind, &str),
        (union_id_kind, union_id): (CellKind, &str),
    ) -> Result<(), ListError> {
        let line = origin.line.to_string();
        let row = [
            &*origin.source,
            &line,
            conference_id,
            union_id,
            conference_id_kind.name(),
            union_id_kind.name(),
        ];
        self.csv.write_record(row).map_err(|error| ListError::no_copy(&self.source, &error.into()))
    }

    /// The list, to be read from its beginning.
    pub(super) fn finish(self) -> Result<File, ListError> {
        let written = self.csv.into_inner().map_err(csv::IntoInnerError::into_error);
        let rewound = written.and_then(|mut file| file.rewind().map(|()| file));
        rewound.map_err(|error| ListError::no_copy(&self.source, &error))
    }
}

/// The header of a rewritten list. Its two columns keep the names that they have in the original, for errors.
pub(super) fn header(conference_id: &str, union_id: Option<&str>) -> Header {
    let column = |index, name: &str| Column { index, name: name.to_owned() };
    Header {
        line: 1,
        delimiter: b',',
        shape: Shape::default(),
        names: InputSettings::default(),
        conference_id: column(CONFERENCE_ID, conference_id),
        union_id: union_id.map(|name| column(UNION_ID, name)),
        is_rewritten: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &[&str]) -> Option<RewrittenRow> {
        RewrittenRow::parse(&fields.iter().collect())
    }

    #[test]
    fn a_row_keeps_its_origin_and_its_cells() {
        let row = parse(&["a.csv", "7", "id", "2026-11-23", "text", "date"]).unwrap();
        assert_eq!(row.origin, Origin { source: "a.csv".into(), line: 7 });
        assert_eq!(row.conference_id, Cell { kind: CellKind::Text, text: "id".into() });
        assert_eq!(row.union_id, Cell { kind: CellKind::Date, text: "2026-11-23".into() });
    }

    #[test]
    fn a_damaged_row_is_no_row() {
        for fields in [
            &["a.csv", "seven", "id", "u", "text", "text"][..],
            &["a.csv", "7", "id", "u", "text", "tex"],
            &["a.csv", "7", "id", "u", "text"],
            &["a.csv", "7", "id", "u", "text", "text", ""],
            &[],
        ] {
            assert_eq!(parse(fields), None, "{fields:?}");
        }
    }
}
