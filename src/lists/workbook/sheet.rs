//! Reads the rows of a sheet, and finds the header among them.
//!
//! Invariant: every row below the header is a row of the list, unless all its cells are blank.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::iter::Peekable;
use std::sync::Arc;

use calamine::{DataRef, XlsxCellReader, XlsxError};

use super::sheet_cell::SheetCell;
use crate::lists::error::ListError;
use crate::lists::header::{self, Columns, Header, HeaderProblem, Repetition};
use crate::lists::list::Purpose;
use crate::lists::reader::{header_elsewhere, tell};
use crate::lists::rewritten::{self, RewrittenWriter};
use crate::lists::second_id::second_id;
use crate::lists::skipped::{RecordKind, Skipper, is_total};
use crate::meeting::Origin;
use crate::settings::InputSettings;

/// The header must be in the first rows, but not in the very first: people put titles and remarks above it.
const HEADER_ROWS: u64 = 20;

/// The rows that are not blank, from the top.
pub(super) struct SheetRows<'a, R: Read + Seek> {
    cells: XlsxCellReader<'a, R>,
    /// Formulas without a value, by row and column from 0.
    without_value: HashSet<(u32, u32)>,
    /// The first cell of the next row, with that row's number.
    next: Option<(u64, usize, SheetCell)>,
    /// Whether the last cell was read, or reading failed.
    ended: bool,
}

/// A row: its number as the spreadsheet shows it, and each cell that is not blank with its column, from 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SheetRow {
    number: u64,
    cells: Vec<(usize, SheetCell)>,
}

impl SheetRow {
    fn cell(&self, column: usize) -> SheetCell {
        let cell = self.cells.iter().find(|(index, _)| *index == column);
        cell.map_or(SheetCell::BLANK, |(_, cell)| cell.clone())
    }

    fn kind(&self, source: &Arc<str>, header: &Header) -> Result<RecordKind, ListError> {
        let texts = || self.cells.iter().map(|(_, cell)| cell.text.as_str());
        // A row of formulas without values has no text, and may be anything.
        if texts().all(str::is_empty) {
            return Ok(RecordKind::Row);
        }
        let row = self.texts();
        match header.repetition(row.iter().map(String::as_str)) {
            Repetition::None if is_total(texts()) => Ok(RecordKind::Total),
            Repetition::None => Ok(RecordKind::Row),
            Repetition::Same(_) => Ok(RecordKind::RepeatedHeader),
            Repetition::Elsewhere => Err(header_elsewhere(source, self.number)),
        }
    }

    /// The row's texts, up to the last cell that is not blank.
    fn texts(&self) -> Vec<String> {
        let width = self.cells.iter().map(|(column, _)| column + 1).max().unwrap_or(0);
        let mut texts = vec![String::new(); width];
        for (column, cell) in &self.cells {
            texts[*column].clone_from(&cell.text);
        }
        texts
    }
}

impl<'a, R: Read + Seek> SheetRows<'a, R> {
    pub(super) fn of(cells: XlsxCellReader<'a, R>, without_value: HashSet<(u32, u32)>) -> Self {
        Self { cells, without_value, next: None, ended: false }
    }

    /// The next cell that is not blank, with its row's number and its column.
    fn cell(&mut self) -> Result<Option<(u64, usize, SheetCell)>, XlsxError> {
        while !self.ended {
            let cell = self.cells.next_cell_with_style_id();
            self.ended = !matches!(cell, Ok(Some(_)));
            let Some((cell, style)) = cell? else { break };
            let format = self.cells.styles().get(style).and_then(|style| style.number_format.as_ref());
            let format = format.map_or("General", |format| format.format_code.as_str());
            let (row, column) = cell.get_position();
            let cell = if self.without_value.contains(&(row, column)) {
                SheetCell::NO_VALUE
            } else {
                SheetCell::of(cell.get_value(), format)
            };
            if !cell.is_blank() {
                return Ok(Some((u64::from(row) + 1, column as usize, cell)));
            }
        }
        Ok(None)
    }

    fn row(&mut self) -> Result<Option<SheetRow>, XlsxError> {
        let first = match self.next.take() {
            Some(first) => Some(first),
            None => self.cell()?,
        };
        let Some((number, column, cell)) = first else { return Ok(None) };
        let mut cells = vec![(column, cell)];
        while let Some((row, column, cell)) = self.cell()? {
            if row != number {
                self.next = Some((row, column, cell));
                break;
            }
            cells.push((column, cell));
        }
        Ok(Some(SheetRow { number, cells }))
    }
}

impl<R: Read + Seek> Iterator for SheetRows<'_, R> {
    type Item = Result<SheetRow, XlsxError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}

/// The formulas that were saved without a value, as programs save them that write workbooks and do not calculate. A cell of
/// such a formula reads as an empty one otherwise.
pub(super) fn formulas_without_value<R: Read + Seek>(
    mut cells: XlsxCellReader<'_, R>,
) -> Result<HashSet<(u32, u32)>, XlsxError> {
    let mut found = HashSet::new();
    while let Some(cell) = cells.next_cell_with_formula_metadata()? {
        if cell.formula.is_some() && cell.value == DataRef::Empty {
            found.insert(cell.pos);
        }
    }
    Ok(found)
}

/// Finds the header among a sheet's first rows, and rewrites the rows below it.
pub(super) fn rewrite<R: Read + Seek>(
    source: &Arc<str>,
    sheet: &str,
    rows: SheetRows<'_, R>,
    names: &InputSettings,
    purpose: Purpose,
) -> Result<(Header, File), ListError> {
    let unreadable = |error| ListError::damaged_workbook(source, &error);
    let mut rows = rows.peekable();
    let mut first = first_rows(&mut rows).map_err(unreadable)?;
    let (index, columns) = find_header(&first, names, purpose).map_err(|problem| match problem {
        Some((line, HeaderProblem { problem, hint, .. })) => {
            ListError::new(source, format!("{problem} (sheet {sheet:?})")).at(line).hint(hint)
        }
        None => ListError::new(source, format!("sheet {sheet:?} has no header row")).hint(format!(
            "the header must be in the first {HEADER_ROWS} rows; choose another sheet with --sheet"
        )),
    })?;
    refuse_row_above(source, &first[index], &first[..index], &columns)?;
    if index > 0 {
        tracing::info!(list = %source, "the header is row {}; the rows above it are ignored", first[index].number);
    }
    let Columns { conference_id, union_id } = columns.clone();
    let header = Header {
        conference_id: conference_id.clone(),
        union_id: union_id.clone(),
        names: names.clone(),
        ..rewritten::header(&conference_id.name, union_id.as_ref().map(|column| column.name.as_str()))
    };
    let header_end = first[index].cells.last().map_or(0, |(column, _)| column + 1);
    let (mut list, mut skipper) = (RewrittenWriter::new(source)?, Skipper::default());
    for row in first.drain(index + 1..).map(Ok).chain(rows) {
        let row = row.map_err(unreadable)?;
        if purpose == Purpose::Exclusions {
            refuse_second_id(source, &row, conference_id.index)?;
            refuse_cell_beyond(source, &row, header_end)?;
        }
        skipper.take(row.number, row.kind(source, &header)?, row);
        write_ready(&mut list, source, &mut skipper, &columns)?;
    }
    tell(source, &skipper.finish());
    write_ready(&mut list, source, &mut skipper, &columns)?;
    let header = rewritten::header(&conference_id.name, union_id.as_ref().map(|column| column.name.as_str()));
    Ok((header, list.finish()?))
}

/// Refuses a line of an exclusion list that names two conference ids.
fn refuse_second_id(source: &Arc<str>, row: &SheetRow, index: usize) -> Result<(), ListError> {
    let id = row.cell(index);
    let Some(second) = second_id(&id.text, row.cells.iter().map(|(_, cell)| &*cell.text)) else {
        return Ok(());
    };
    let problem = format!("{second}; every exclusion must be readable");
    Err(ListError::new(source, problem).at(row.number).maybe_hint(second.hint))
}

/// Refuses a line of an exclusion list with a cell that has no column: it may be a shifted id.
fn refuse_cell_beyond(source: &Arc<str>, row: &SheetRow, header_end: usize) -> Result<(), ListError> {
    let beyond = row.cells.iter().find(|(column, cell)| *column >= header_end && !cell.text.is_empty());
    let Some((_, cell)) = beyond else { return Ok(()) };
    let problem =
        format!("the cell {:?} has no column in the header; every exclusion must be readable", cell.text);
    Err(ListError::new(source, problem).at(row.number).hint("remove the cell, or name its column"))
}

fn write_ready(
    list: &mut RewrittenWriter,
    source: &Arc<str>,
    skipper: &mut Skipper<SheetRow>,
    Columns { conference_id, union_id }: &Columns,
) -> Result<(), ListError> {
    while let Some(row) = skipper.next() {
        let id = row.cell(conference_id.index);
        let host = union_id.as_ref().map_or(SheetCell::BLANK, |column| row.cell(column.index));
        let origin = Origin { source: Arc::clone(source), line: row.number };
        list.write(&origin, (id.kind, &id.text), (host.kind, &host.text))?;
    }
    Ok(())
}

/// Refuses a sheet with a row above its header, because the columns of that row are unknown.
fn refuse_row_above(
    source: &Arc<str>,
    header: &SheetRow,
    above: &[SheetRow],
    Columns { conference_id, union_id }: &Columns,
) -> Result<(), ListError> {
    let is_row = |row: &&SheetRow| {
        header::is_row_above(|index| row.cell(index).text, conference_id, union_id.as_ref())
    };
    let Some(row) = above.iter().find(is_row) else { return Ok(()) };
    let problem =
        format!("this row looks like a meeting, and the header is below it, in row {}", header.number);
    Err(ListError::new(source, problem).at(row.number).hint("move the header above the first row"))
}

/// The rows that may be the header.
fn first_rows(
    rows: &mut Peekable<impl Iterator<Item = Result<SheetRow, XlsxError>>>,
) -> Result<Vec<SheetRow>, XlsxError> {
    let is_near = |row: &Result<SheetRow, XlsxError>| {
        row.as_ref().map_or(true, |SheetRow { number, .. }| *number <= HEADER_ROWS)
    };
    std::iter::from_fn(|| rows.next_if(is_near)).collect()
}

/// The first row that names all needed columns. The error is the row that names most of them, with its problem; `None`:
/// there is no row.
fn find_header(
    rows: &[SheetRow],
    names: &InputSettings,
    purpose: Purpose,
) -> Result<(usize, Columns), Option<(u64, HeaderProblem)>> {
    let mut nearest: Option<(usize, u64, HeaderProblem)> = None;
    for (index, row) in rows.iter().enumerate() {
        let fields = row.texts();
        let known = header::known(&fields, names);
        match header::columns(&fields, names, purpose.needs_union_id()) {
            Ok(columns) => return Ok((index, columns)),
            Err(problem) if nearest.as_ref().is_none_or(|(best, ..)| known > *best) => {
                nearest = Some((known, row.number, problem));
            }
            Err(_) => {}
        }
    }
    Err(nearest.map(|(_, line, problem)| (line, problem)))
}
