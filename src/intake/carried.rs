//! Rows that an earlier run left over, as a list.
//!
//! Invariant: a row keeps the place at which it stood in the list that first named it.

use std::io::{self, Seek as _};
use std::sync::Arc;

use super::IntakeError;
use super::header::{Column, Header};
use super::lists::{List, Lists};
use super::spool::Spool;
use crate::meeting::{Cells, Origin};

const COLUMNS: [&str; 4] = ["source", "line", "conference_id", "union_id"];

impl Lists {
    /// One list, called `name`, of these rows. The same rows in the same order have the same digest.
    pub fn carried_over<E>(
        name: &str,
        rows: impl Iterator<Item = Result<(Origin, Cells), E>>,
    ) -> Result<Self, E>
    where
        E: From<IntakeError>,
    {
        let source: Arc<str> = name.into();
        let no_room = |error: &dyn std::fmt::Display| Spool::no_room(&source, error);
        let mut csv = csv::Writer::from_writer(tempfile::tempfile().map_err(|error| no_room(&error))?);
        csv.write_record(COLUMNS).map_err(|error| no_room(&error))?;
        for row in rows {
            let (Origin { source, line }, Cells { conference_id, union_id }) = row?;
            csv.write_record([&*source, &line.to_string(), &conference_id, &union_id])
                .map_err(|error| no_room(&error))?;
        }
        let written = csv.into_inner().map_err(csv::IntoInnerError::into_error);
        let rewound = written.and_then(|mut file: std::fs::File| file.rewind().map(|()| file));
        let file = rewound.map_err(|error: io::Error| no_room(&error))?;
        let column = |index: usize| Column { index, name: COLUMNS[index].to_owned() };
        let header = Header {
            line: 1,
            delimiter: b',',
            conference_id: column(2),
            union_id: Some(column(3)),
            origin: Some([0, 1]),
        };
        let spool = Spool::copy(Arc::clone(&source), file)?;
        Ok(Self::from(List { spool, header }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_carried_over_is_the_row_that_it_was() {
        let rows =
            [("a.csv", 7, "id, with \"all\"", "u"), ("b.csv", 2, "''id", "主持人"), ("b.csv", 9, "c", "u")];
        let row = |(source, line, conference_id, union_id): (&str, u64, &str, &str)| {
            let cells = Cells { conference_id: conference_id.into(), union_id: union_id.into() };
            Ok::<_, IntakeError>((Origin { source: source.into(), line }, cells))
        };
        let lists = Lists::carried_over("run r", rows.into_iter().map(row)).unwrap();
        let read: Vec<_> = lists.rows().map(Result::unwrap).map(|row| (row.origin, row.cells)).collect();
        assert_eq!(read, rows.map(|written| row(written).unwrap()));
        assert!(lists.rows().all(|row| row.unwrap().request.is_ok()));
        assert_eq!(&*lists.facts()[0].source, "run r");
    }

    #[test]
    fn no_row_is_no_error() {
        let lists = Lists::carried_over("run r", std::iter::empty::<Result<_, IntakeError>>()).unwrap();
        assert_eq!(lists.rows().count(), 0);
    }
}
