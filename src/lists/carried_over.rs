//! Rows that an earlier run left over, as a list.

use std::sync::Arc;

use super::ListError;
use super::list::List;
use super::list_set::Lists;
use super::rewritten::{self, Rewritten};
use super::spool::Spool;
use super::workbook::Kind;
use crate::meeting::{Cells, Origin};

impl Lists {
    /// One list, called `name`, of these rows. The same rows in the same order have the same digest.
    pub(crate) fn carried_over<E>(
        name: &str,
        rows: impl Iterator<Item = Result<(Origin, Cells), E>>,
    ) -> Result<Self, E>
    where
        E: From<ListError>,
    {
        let source: Arc<str> = name.into();
        let mut list = Rewritten::new(&source)?;
        for row in rows {
            let (origin, cells) = row?;
            list.row(&origin, &cells, [Kind::Text; 2])?;
        }
        let spool = Spool::copy(source, list.finish()?)?;
        Ok(Self::from(List { spool, header: rewritten::header("conference_id", Some("union_id")) }))
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
            Ok::<_, ListError>((Origin { source: source.into(), line }, cells))
        };
        let lists = Lists::carried_over("run r", rows.into_iter().map(row)).unwrap();
        let read: Vec<_> = lists.rows().map(Result::unwrap).map(|row| (row.origin, row.cells)).collect();
        assert_eq!(read, rows.map(|written| row(written).unwrap()));
        assert!(lists.rows().all(|row| row.unwrap().request.is_ok()));
        assert_eq!(&*lists.facts()[0].source, "run r");
    }

    #[test]
    fn no_row_is_no_error() {
        let lists = Lists::carried_over("run r", std::iter::empty::<Result<_, ListError>>()).unwrap();
        assert_eq!(lists.rows().count(), 0);
    }
}
