//! A list made of the rows that an earlier run left over.
//!
//! Invariant: each row keeps the origin and the cells that it has in the earlier run.

use std::sync::Arc;

use super::error::ListError;
use super::list::List;
use super::list_set::Lists;
use super::rewritten::{self, RewrittenWriter};
use super::spool::{CopyFile, Spool};
use crate::meeting::{Cells, Origin};

impl Lists {
    /// One list of these rows, called `name`. The same rows in the same order give the same digest.
    pub(crate) fn carried_over<E>(
        name: &str,
        rows: impl Iterator<Item = Result<(Origin, Cells), E>>,
    ) -> Result<Self, E>
    where
        E: From<ListError>,
    {
        let source: Arc<str> = name.into();
        let mut list = RewrittenWriter::new(&source)?;
        for row in rows {
            let (origin, cells) = row?;
            list.write_text(&origin, &cells)?;
        }
        let spool = Spool::copy(source, list.finish()?, &CopyFile::default())?;
        Ok(Self::from(List {
            spool,
            header: rewritten::header("conference_id", Some("union_id")),
            first_line: 1,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carried_over_row_keeps_its_origin_and_its_cells() {
        let rows =
            [("a.csv", 7, "id, with \"all\"", "u"), ("b.csv", 2, "''id", "主持人"), ("b.csv", 9, "c", "u")];
        let row = |(source, line, conference_id, union_id): (&str, u64, &str, &str)| {
            let cells = Cells { conference_id: conference_id.into(), union_id: union_id.into() };
            Ok::<_, ListError>((Origin { source: source.into(), line }, cells))
        };
        let lists = Lists::carried_over("run r", rows.into_iter().map(row)).unwrap();
        let read: Vec<_> = lists.rows().map(Result::unwrap).map(|row| (row.origin, row.cells)).collect();
        assert_eq!(read, rows.map(|written| row(written).unwrap()));
        // What an earlier version took for ids is a row still, and is not asked for.
        let valid: Vec<bool> = lists.rows().map(|row| row.unwrap().request.is_ok()).collect();
        assert_eq!(valid, [false, false, true]);
        assert_eq!(&*lists.facts()[0].source, "run r");
    }

    #[test]
    fn a_list_without_rows_is_no_error() {
        let lists = Lists::carried_over("run r", std::iter::empty::<Result<_, ListError>>()).unwrap();
        assert_eq!(lists.rows().count(), 0);
    }
}
