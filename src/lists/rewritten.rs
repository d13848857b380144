//! A list in our own hand: rows that were read elsewhere, written down so that they are read like any other list.
//!
//! Invariant: a row keeps the place at which it stood in the list that first named it, and what each of its cells was.

use std::fmt::Display;
use std::fs::File;
use std::io::Seek as _;
use std::sync::Arc;

use super::ListError;
use super::header::{Column, Header};
use super::spool::Spool;
use super::workbook::Kind;
use crate::meeting::{Cells, Origin};

const COLUMNS: [&str; 6] =
    ["source", "line", "conference_id", "union_id", "conference_id_kind", "union_id_kind"];

/// Where each thing stands in a row.
pub(super) const SOURCE: usize = 0;
pub(super) const LINE: usize = 1;
const CONFERENCE_ID: usize = 2;
const UNION_ID: usize = 3;

/// Where the kind of the cell in this column stands.
pub(super) const fn kind_of(column: usize) -> usize {
    column + 2
}

/// Writes such a list.
pub(super) struct Rewritten {
    /// The list, as errors name it.
    source: Arc<str>,
    csv: csv::Writer<File>,
}

impl Rewritten {
    pub(super) fn new(source: &Arc<str>) -> Result<Self, ListError> {
        let no_room = |error: &dyn Display| Spool::no_room(source, error);
        let mut csv = csv::Writer::from_writer(tempfile::tempfile().map_err(|error| no_room(&error))?);
        csv.write_record(COLUMNS).map_err(|error| no_room(&error))?;
        Ok(Self { source: Arc::clone(source), csv })
    }

    /// One more row; the kinds are those of its two cells.
    pub(super) fn row(
        &mut self,
        origin: &Origin,
        cells: &Cells,
        [conference_id_kind, union_id_kind]: [Kind; 2],
    ) -> Result<(), ListError> {
        let Cells { conference_id, union_id } = cells;
        let line = origin.line.to_string();
        let row = [
            &*origin.source,
            &line,
            conference_id,
            union_id,
            conference_id_kind.name(),
            union_id_kind.name(),
        ];
        self.csv.write_record(row).map_err(|error| Spool::no_room(&self.source, &error))
    }

    /// The list, to be read from its beginning.
    pub(super) fn finish(self) -> Result<File, ListError> {
        let written = self.csv.into_inner().map_err(csv::IntoInnerError::into_error);
        let rewound = written.and_then(|mut file| file.rewind().map(|()| file));
        rewound.map_err(|error| Spool::no_room(&self.source, &error))
    }
}

/// The header of such a list, with the names that its two columns had before.
pub(super) fn header(conference_id: &str, union_id: Option<&str>) -> Header {
    let column = |index, name: &str| Column { index, name: name.to_owned() };
    Header {
        line: 1,
        delimiter: b',',
        conference_id: column(CONFERENCE_ID, conference_id),
        union_id: union_id.map(|name| column(UNION_ID, name)),
        is_rewritten: true,
    }
}
