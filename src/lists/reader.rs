//! The rows of a list, one by one.
//!
//! Invariant: every row that is not blank is yielded, valid or not, with the line on which it begins. A row of which it is
//! not certain which cell is which yields no cells.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use csv::StringRecord;
use parking_lot::Mutex;

use super::cell::clean;
use super::cell_kind::CellKind;
use super::error::ListError;
use super::header::{Column, Header, Repetition};
use super::rewritten::{Cell, RewrittenRow};
use super::second_id::second_id;
use super::skipped::{RecordKind, Skipper, is_total};
use super::spool::Spool;
use super::strict_quotes::{Faults, ListFault, RowFault, StrictQuotes};
use crate::meeting::{Cells, CloseRequest, ConferenceId, IdProblem, InvalidRow, Origin, Row, UnionId};
use crate::wording::count;

/// The character that a decoder writes in place of bytes that are not text.
const REPLACEMENT: char = '\u{fffd}';

/// How much of a row a reason shows.
const CELLS_SHOWN: usize = 6;
const CHARACTERS_SHOWN: usize = 40;

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
        let Fields { origin, conference_id, union_id, lines } = fields;
        let text =
            |cell: &Result<Cell, InvalidRow>| cell.as_ref().map(|cell| cell.text.clone()).unwrap_or_default();
        let cells = Cells { conference_id: text(&conference_id), union_id: text(&union_id) };
        let request = self.0.conference_id(conference_id, lines).and_then(|conference_id| {
            Ok(CloseRequest { conference_id, union_id: self.0.union_id(union_id, lines)? })
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
        Some(fields.map(|Fields { origin, conference_id, lines, .. }| {
            let conference_id = conference_id.and_then(|cell| match self.0.second_id(&cell) {
                Some(second) => Err(second),
                None if lines > 1 && !self.0.header.is_rewritten => Err(several_lines(lines)),
                None => self.0.conference_id(Ok(cell), lines),
            });
            ExclusionRow { origin, conference_id }
        }))
    }
}

/// A stray quote takes in the lines up to the next quote, and the exclusions in them would protect nothing.
fn several_lines(lines: u64) -> InvalidRow {
    InvalidRow {
        reason: format!("the row spans {lines} lines: a quote may be missing or too many"),
        hint: Some("give each exclusion one line"),
    }
}

/// A row's origin and its two cells, before the cells are taken as ids.
struct Fields {
    origin: Origin,
    conference_id: Result<Cell, InvalidRow>,
    union_id: Result<Cell, InvalidRow>,
    /// How many lines the row spans.
    lines: u64,
}

/// The records of one list, in order, without blank lines and without rows that hold delimiters only.
struct Records {
    source: Arc<str>,
    header: Header,
    reader: csv::Reader<Box<dyn Read + Send>>,
    record: StringRecord,
    faults: Arc<Mutex<Faults>>,
    skipper: Skipper<Fields>,
    is_told: Arc<AtomicBool>,
    failed: bool,
}

impl Records {
    fn of(spool: &Spool, header: &Header) -> Self {
        let faults = Arc::default();
        let text = StrictQuotes::new(spool.text(), header.delimiter, header.line, Arc::clone(&faults));
        let text: Box<dyn Read + Send> = Box::new(text);
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
            faults,
            skipper: Skipper::default(),
            is_told: Arc::clone(&spool.is_told),
            failed: false,
        }
    }

    fn fields(&self) -> Result<Fields, ListError> {
        let lines = self.breaks_within() + 1;
        if !self.header.is_rewritten {
            let origin = Origin { source: Arc::clone(&self.source), line: self.line() };
            if let Err(invalid) = self.well_formed() {
                return Ok(Fields {
                    origin,
                    conference_id: Err(invalid.clone()),
                    union_id: Err(invalid),
                    lines,
                });
            }
            let union_id = self.union_id_column().and_then(|column| self.cell(column));
            return Ok(Fields {
                origin,
                conference_id: self.cell(&self.header.conference_id),
                union_id,
                lines,
            });
        }
        let row = RewrittenRow::parse(&self.record).ok_or_else(|| {
            ListError::damaged_copy(&self.source, &format!("its line {} is damaged", self.line()))
        })?;
        Ok(Fields {
            origin: row.origin,
            conference_id: checked_text(&self.header.conference_id, row.conference_id),
            union_id: self.union_id_column().and_then(|column| checked_text(column, row.union_id)),
            lines: 1,
        })
    }

    /// Whether it is certain which cell is which. If not, no cell of the row is used: none is repaired or shifted.
    fn well_formed(&self) -> Result<(), InvalidRow> {
        if let Some(fault) = self.faults.lock().of_row(self.line()) {
            let (cell, problem) = match fault {
                RowFault::TextAfter { cell } => (cell, "has text after its closing quote"),
                RowFault::BlankBefore { cell } => (cell, "has a blank before its quote"),
                RowFault::BackslashBefore { cell } => (cell, "has a backslash before a quote"),
            };
            return Err(InvalidRow {
                reason: format!("cell {cell} {problem}: the cells read {}", self.shown()),
                hint: Some(
                    "put quotes directly around the whole cell, and double a quote that belongs to its text",
                ),
            });
        }
        let is_filled = |cell: usize| self.record.get(cell).is_some_and(|cell| !clean(cell).is_empty());
        if self.header.shape.fits(self.record.len(), is_filled) {
            return Ok(());
        }
        let cells = count(self.record.len() as u64, "cell");
        let reason = format!("the row has {cells}, the header {}: {}", self.header.shape.named, self.shown());
        Err(InvalidRow { reason, hint: Some("put quotes around a cell that contains the delimiter") })
    }

    /// The record's first cells, for a reason.
    fn shown(&self) -> String {
        let shorten = |cell: &str| {
            let start: String = cell.chars().take(CHARACTERS_SHOWN).collect();
            if start.len() < cell.len() { format!("{start:?}…") } else { format!("{start:?}") }
        };
        let mut cells: Vec<String> = self.record.iter().take(CELLS_SHOWN).map(shorten).collect();
        if self.record.len() > CELLS_SHOWN {
            cells.push("…".to_owned());
        }
        cells.join(", ")
    }

    fn conference_id(&self, cell: Result<Cell, InvalidRow>, lines: u64) -> Result<ConferenceId, InvalidRow> {
        self.id(&self.header.conference_id, &cell?, lines, ConferenceId::parse)
    }

    fn union_id(&self, cell: Result<Cell, InvalidRow>, lines: u64) -> Result<UnionId, InvalidRow> {
        self.id(self.union_id_column()?, &cell?, lines, UnionId::parse)
    }

    /// The error about a second conference id on the line. A rewritten list has been checked when it was read.
    fn second_id(&self, id: &Cell) -> Option<InvalidRow> {
        let cells = self.record.iter().map(clean);
        if self.header.is_rewritten { None } else { second_id(&id.text, cells) }
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
        lines: u64,
        parse: fn(&str) -> Result<Id, IdProblem>,
    ) -> Result<Id, InvalidRow> {
        let id = kind.problem(text).map_or_else(|| parse(text), Err);
        id.map_err(|problem| self.invalid(column, &problem, lines))
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

    fn invalid(&self, column: &Column, problem: &IdProblem, lines: u64) -> InvalidRow {
        let span = if lines > 1 && !self.header.is_rewritten {
            format!(" (the row spans {lines} lines)")
        } else {
            String::new()
        };
        InvalidRow { reason: format!("column {:?} {problem}{span}", column.name), hint: problem.hint() }
    }

    /// The line on which the row begins. The reader has read the row and its line break, so the line breaks within its
    /// cells are subtracted. It has not read the lines above the header. The csv crate's own record position does not
    /// help: it counts from before the blank lines that it skipped.
    fn line(&self) -> u64 {
        let above = if self.header.is_rewritten { 0 } else { self.header.line - 1 };
        above + self.reader.position().line() - 1 - self.breaks_within()
    }

    fn breaks_within(&self) -> u64 {
        let breaks = |field: &str| field.bytes().filter(|byte| *byte == b'\n').count();
        self.record.iter().map(breaks).sum::<usize>() as u64
    }

    fn is_blank(&self) -> bool {
        self.record.iter().all(|cell| clean(cell).is_empty())
    }

    /// Takes the record that was read: as a row, or as something that is none.
    fn take(&mut self) -> Result<(), ListError> {
        let line = self.line();
        if line <= self.header.line || self.is_blank() {
            return Ok(());
        }
        let mut kind = RecordKind::Row;
        if !self.header.is_rewritten {
            match self.header.repetition(self.record.iter()) {
                Repetition::None if is_total(self.record.iter()) => kind = RecordKind::Total,
                Repetition::None => {}
                Repetition::Same(shape) => {
                    self.header.shape = shape;
                    kind = RecordKind::RepeatedHeader;
                }
                Repetition::Elsewhere => return Err(header_elsewhere(&self.source, line)),
            }
        }
        let fields = self.fields()?;
        self.skipper.take(line, kind, fields);
        Ok(())
    }

    fn finish(&mut self) {
        let remarks = self.skipper.finish();
        if !self.header.is_rewritten && !self.is_told.swap(true, Ordering::Relaxed) {
            tell(&self.source, &remarks);
        }
    }

    fn error(&self, error: &csv::Error) -> ListError {
        if self.header.is_rewritten {
            return ListError::damaged_copy(&self.source, error);
        }
        let Some((line, fault)) = self.faults.lock().of_list() else {
            return ListError::new(&self.source, format!("cannot read the list: {error}"));
        };
        let (problem, hint) = match fault {
            ListFault::OpenQuote => (
                "this row opens a quote and does not close it",
                "close the quote; if it belongs to the text, double it",
            ),
            ListFault::EscapedQuote => (
                "this row has a backslash before a quote, and its cells span several lines",
                "double a quote that belongs to the text, without a backslash",
            ),
            ListFault::TooLong => (
                "this row is longer than 1 MiB",
                "shorten its cells; if it opens a quote, look for where the quote must be closed",
            ),
        };
        ListError::new(&self.source, problem).at(line).hint(hint)
    }
}

/// Says what of a list is no row.
pub(super) fn tell(source: &Arc<str>, remarks: &[String]) {
    for remark in remarks {
        tracing::warn!(list = %source, "{remark}");
    }
}

/// Another header below the first, with other places for the ids: two lists in one, and the rows below are another list's.
pub(super) fn header_elsewhere(source: &Arc<str>, line: u64) -> ListError {
    ListError::new(source, "this line is another header, and its id columns stand elsewhere")
        .at(line)
        .hint("make two lists of it, and name both")
}

impl Iterator for Records {
    type Item = Result<Fields, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(fields) = self.skipper.next() {
                return Some(Ok(fields));
            }
            let read = match self.reader.read_record(&mut self.record) {
                Ok(true) => self.take(),
                Ok(false) => {
                    self.finish();
                    return None;
                }
                Err(error) => Err(self.error(&error)),
            };
            if let Err(error) = read {
                self.failed = true;
                return Some(Err(error));
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
    use crate::lists::spool::CopyFile;

    /// The first thing that is read from a rewritten copy with this text below its header.
    fn first(text: &str) -> Result<Row, ListError> {
        let mut file = tempfile::tempfile().unwrap();
        writeln!(file, "source,line,conference_id,union_id,conference_id_kind,union_id_kind\n{text}")
            .unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let spool = Spool::copy("list.xlsx".into(), file, &CopyFile::default()).unwrap();
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
