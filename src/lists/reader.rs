//! The rows of a list, one by one.
//!
//! Invariant: every row that is not blank is yielded, valid or not, with the line on which it begins.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::StringRecord;

use super::cell::clean;
use super::cell_kind::CellKind;
use super::error::ListError;
use super::header::{Column, Header};
use super::rewritten::{Cell, RewrittenRow};
use super::spool::Spool;
use super::strict_quotes::StrictQuotes;
use crate::meeting::{Cells, CloseRequest, ConferenceId, IdProblem, InvalidRow, Origin, Row, UnionId};
use crate::wording::count;

/// The character that a decoder writes in place of bytes that are not text.
const REPLACEMENT: char = '\u{fffd}';

/// The rows of a list of meetings to close.
pub(super) struct ListRows(Records);

/// The rows of an exclusion list.
pub(super) struct ExclusionRows(Records);

/// A row of an exclusion list: only its conference id counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExclusionRow {
    pub(super) origin: Origin,
    pub(super) conference_id: Result<ConferenceId, InvalidRow>,
}

impl ListRows {
    pub(super) fn of(spool: &Spool, header: &Header) -> Self {
        Self(Records::of(spool, header))
    }

    fn row(&self, fields: Fields) -> Row {
        let Fields { origin, conference_id, union_id } = fields;
        let text =
            |cell: &Result<Cell, InvalidRow>| cell.as_ref().map(|cell| cell.text.clone()).unwrap_or_default();
        let cells = Cells { conference_id: text(&conference_id), union_id: text(&union_id) };
        let request = self.0.conference_id(conference_id).and_then(|conference_id| {
            Ok(CloseRequest { conference_id, union_id: self.0.union_id(union_id)? })
        });
        Row { origin, cells, request }
    }
}

impl Iterator for ListRows {
    type Item = Result<Row, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        let fields = self.0.next()?;
        Some(fields.map(|fields| self.row(fields)))
    }
}

impl ExclusionRows {
    pub(super) fn of(spool: &Spool, header: &Header) -> Self {
        Self(Records::of(spool, header))
    }
}

impl Iterator for ExclusionRows {
    type Item = Result<ExclusionRow, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        let fields = self.0.next()?;
        Some(fields.map(|Fields { origin, conference_id, .. }| ExclusionRow {
            origin,
            conference_id: self.0.conference_id(conference_id),
        }))
    }
}

/// A row's origin and its two cells, before the cells are taken as ids.
struct Fields {
    origin: Origin,
    conference_id: Result<Cell, InvalidRow>,
    union_id: Result<Cell, InvalidRow>,
}

/// The records of one list, in order, without blank lines and without rows that hold delimiters only.
struct Records {
    source: Arc<str>,
    header: Header,
    reader: csv::Reader<Box<dyn Read + Send>>,
    record: StringRecord,
    /// The line of the row whose quotes are broken; 0: none.
    fault: Arc<AtomicU64>,
    failed: bool,
}

impl Records {
    fn of(spool: &Spool, header: &Header) -> Self {
        let fault = Arc::new(AtomicU64::new(0));
        let text: Box<dyn Read + Send> =
            Box::new(StrictQuotes::new(spool.text(), header.delimiter, Arc::clone(&fault)));
        let reader = csv::ReaderBuilder::new()
            .delimiter(header.delimiter)
            .flexible(true)
            .has_headers(false)
            .buffer_capacity(1 << 16)
            .from_reader(text);
        Self {
            source: Arc::clone(&spool.source),
            header: header.clone(),
            reader,
            record: StringRecord::new(),
            fault,
            failed: false,
        }
    }

    fn fields(&self) -> Result<Fields, ListError> {
        if !self.header.is_rewritten {
            return Ok(Fields {
                origin: Origin { source: Arc::clone(&self.source), line: self.line() },
                conference_id: self.cell(&self.header.conference_id),
                union_id: self.union_id_column().and_then(|column| self.cell(column)),
            });
        }
        let row = RewrittenRow::parse(&self.record).ok_or_else(|| {
            ListError::damaged_copy(&self.source, &format!("its line {} is damaged", self.line()))
        })?;
        Ok(Fields {
            origin: row.origin,
            conference_id: checked_text(&self.header.conference_id, row.conference_id),
            union_id: self.union_id_column().and_then(|column| checked_text(column, row.union_id)),
        })
    }

    fn conference_id(&self, cell: Result<Cell, InvalidRow>) -> Result<ConferenceId, InvalidRow> {
        self.id(&self.header.conference_id, &cell?, ConferenceId::parse)
    }

    fn union_id(&self, cell: Result<Cell, InvalidRow>) -> Result<UnionId, InvalidRow> {
        self.id(self.union_id_column()?, &cell?, UnionId::parse)
    }

    /// The union id column. A list of meetings to close is refused without one when it is opened.
    fn union_id_column(&self) -> Result<&Column, InvalidRow> {
        let missing = || InvalidRow { reason: "the list has no union id column".to_owned(), hint: None };
        self.header.union_id.as_ref().ok_or_else(missing)
    }

    /// The id in a cell, if the cell is text and the text is an id.
    fn id<Id>(
        &self,
        column: &Column,
        Cell { kind, text }: &Cell,
        parse: fn(&str) -> Result<Id, IdProblem>,
    ) -> Result<Id, InvalidRow> {
        kind.problem(text).map_or_else(|| parse(text), Err).map_err(|problem| self.invalid(column, &problem))
    }

    /// The cell of a CSV list.
    fn cell(&self, column: &Column) -> Result<Cell, InvalidRow> {
        let Some(cell) = self.record.get(column.index) else {
            let columns = count(self.record.len() as u64, "column");
            let reason = format!(
                "column {:?} is missing: it is column {}, and the row has {columns}",
                column.name,
                column.index + 1
            );
            return Err(InvalidRow { reason, hint: Some("look for a missing delimiter on this line") });
        };
        checked_text(column, Cell { kind: CellKind::Text, text: clean(cell).to_owned() })
    }

    fn invalid(&self, column: &Column, problem: &IdProblem) -> InvalidRow {
        let breaks = self.breaks_within();
        let span = if breaks > 0 && !self.header.is_rewritten {
            format!(" (the row spans {} lines)", breaks + 1)
        } else {
            String::new()
        };
        InvalidRow { reason: format!("column {:?} {problem}{span}", column.name), hint: problem.hint() }
    }

    /// The line on which the row begins. The reader has read the row and its line break, so the line breaks within its
    /// cells are subtracted. The csv crate's own record position does not help: it counts from before the blank lines
    /// that it skipped.
    fn line(&self) -> u64 {
        self.reader.position().line() - 1 - self.breaks_within()
    }

    fn breaks_within(&self) -> u64 {
        let breaks = |field: &str| field.bytes().filter(|byte| *byte == b'\n').count();
        self.record.iter().map(breaks).sum::<usize>() as u64
    }

    fn is_blank(&self) -> bool {
        self.record.iter().all(|cell| clean(cell).is_empty())
    }

    fn error(&self, error: &csv::Error) -> ListError {
        if self.header.is_rewritten {
            return ListError::damaged_copy(&self.source, error);
        }
        match self.fault.load(Ordering::Relaxed) {
            0 => ListError::new(&self.source, format!("cannot read the list: {error}")),
            line => ListError::new(&self.source, "this row opens a quote and does not close it")
                .at(line)
                .hint("close the quote; if it belongs to the text, double it"),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Fields, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.reader.read_record(&mut self.record) {
                Ok(false) => return None,
                Ok(true) if self.line() <= self.header.line || self.is_blank() => {}
                Ok(true) => {
                    let fields = self.fields();
                    self.failed = fields.is_err();
                    return Some(fields);
                }
                Err(error) => {
                    self.failed = true;
                    return Some(Err(self.error(&error)));
                }
            }
        }
        None
    }
}

/// A cell whose bytes were text in the list's encoding.
fn checked_text(column: &Column, cell: Cell) -> Result<Cell, InvalidRow> {
    if cell.text.contains(REPLACEMENT) {
        let reason = format!("column {:?} is neither UTF-8 nor GB18030 text", column.name);
        return Err(InvalidRow { reason, hint: Some("save the list again as \"CSV UTF-8\"") });
    }
    Ok(cell)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::lists::rewritten;

    /// The first thing that is read from a rewritten copy with this text below its header.
    fn first(text: &str) -> Result<Row, ListError> {
        let mut file = tempfile::tempfile().unwrap();
        writeln!(file, "source,line,conference_id,union_id,conference_id_kind,union_id_kind\n{text}")
            .unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let spool = Spool::copy("list.xlsx".into(), file).unwrap();
        let mut rows = ListRows::of(&spool, &rewritten::header("conf_id", Some("host")));
        let first = rows.next().unwrap();
        assert!(first.is_ok() || rows.next().is_none());
        first
    }

    #[test]
    fn a_damaged_temporary_copy_is_an_error_and_yields_no_row() {
        assert_eq!(first("list.xlsx,9,a,u,text,text").unwrap().origin.line, 9);
        for text in
            ["list.xlsx,9,a,u,text,txt", "list.xlsx,x,a,u,text,text", "list.xlsx,9,a", "list.xlsx,9,\"a"]
        {
            let error = first(text).unwrap_err().to_string();
            assert!(error.starts_with("list.xlsx: the temporary copy cannot be read back: "), "{error}");
        }
    }
}
