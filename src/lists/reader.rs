//! The rows of a list, one by one.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::StringRecord;

use super::ListError;
use super::cell::clean;
use super::header::{Column, Header};
use super::rewritten;
use super::spool::Spool;
use super::strict_quotes::StrictQuotes;
use super::workbook::Kind;
use crate::meeting::{Cells, CloseRequest, ConferenceId, IdProblem, InvalidRow, Origin, Row, UnionId};

/// What a decoder puts where bytes are no text.
const REPLACEMENT: char = '\u{fffd}';

/// The rows of one list, in order. Blank lines, and rows of delimiters alone, are no rows.
pub(super) struct ListReader {
    source: Arc<str>,
    header: Header,
    reader: csv::Reader<Box<dyn Read + Send>>,
    record: StringRecord,
    fault: Arc<AtomicU64>,
    failed: bool,
}

impl ListReader {
    pub(super) fn of(spool: &Spool, header: &Header) -> Self {
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

    fn row(&self) -> Row {
        let conference_id = self.cell(&self.header.conference_id);
        let union_id = self.header.union_id.as_ref().map_or(Ok(""), |column| self.cell(column));
        let text = |cell: &Result<&str, InvalidRow>| {
            cell.as_ref().map(|cell| (*cell).to_owned()).unwrap_or_default()
        };
        let cells = Cells { conference_id: text(&conference_id), union_id: text(&union_id) };
        let request = conference_id.and_then(|conference_id| {
            let conference_id = self.id(&self.header.conference_id, conference_id, ConferenceId::parse)?;
            let union_id = match &self.header.union_id {
                Some(column) => self.id(column, union_id?, UnionId::parse)?,
                None => UnionId::parse("-").expect("a valid id"),
            };
            Ok(CloseRequest { conference_id, union_id })
        });
        Row { origin: self.origin(), cells, request }
    }

    fn origin(&self) -> Origin {
        if !self.header.is_rewritten {
            return Origin { source: Arc::clone(&self.source), line: self.line() };
        }
        let line = self.record[rewritten::LINE].parse().expect("we wrote the number");
        Origin { source: self.record[rewritten::SOURCE].into(), line }
    }

    /// The id in a cell, where the cell is text and the text is an id.
    fn id<Id>(
        &self,
        column: &Column,
        cell: &str,
        parse: fn(&str) -> Result<Id, IdProblem>,
    ) -> Result<Id, InvalidRow> {
        let kind = if self.header.is_rewritten {
            Kind::named(&self.record[rewritten::kind_of(column.index)]).expect("we wrote the name")
        } else {
            Kind::Text
        };
        kind.problem(cell).map_or_else(|| parse(cell), Err).map_err(|problem| self.invalid(column, &problem))
    }

    fn cell(&self, column: &Column) -> Result<&str, InvalidRow> {
        let invalid = |reason: String, hint| InvalidRow { reason, hint };
        let Some(cell) = self.record.get(column.index) else {
            let fields = self.record.len();
            let reason =
                format!("column {:?} is number {}, and the row has {fields}", column.name, column.index + 1);
            return Err(invalid(reason, Some("look for a missing delimiter on this line")));
        };
        let cell = if self.header.is_rewritten { cell } else { clean(cell) };
        if cell.contains(REPLACEMENT) {
            let reason = format!("column {:?} is text neither in UTF-8 nor in GB18030", column.name);
            return Err(invalid(reason, Some("save the list once more as \"CSV UTF-8\"")));
        }
        Ok(cell)
    }

    fn invalid(&self, column: &Column, problem: &IdProblem) -> InvalidRow {
        let lines = self.record.iter().map(|field| field.matches('\n').count()).sum::<usize>();
        let span = if lines > 0 && !self.header.is_rewritten {
            format!(" (the row has {} lines)", lines + 1)
        } else {
            String::new()
        };
        InvalidRow { reason: format!("column {:?} {problem}{span}", column.name), hint: problem.hint() }
    }

    /// The line on which the row begins. The reader stands behind the row's line break, and the breaks within its cells
    /// are known; its own record position counts from before the blank lines that it skipped.
    fn line(&self) -> u64 {
        let within: usize =
            self.record.iter().map(|field| field.bytes().filter(|byte| *byte == b'\n').count()).sum();
        self.reader.position().line() - 1 - within as u64
    }

    fn is_blank(&self) -> bool {
        self.record.iter().all(|cell| clean(cell).is_empty())
    }

    fn error(&self, error: &csv::Error) -> ListError {
        match self.fault.load(Ordering::Relaxed) {
            0 => ListError::new(&self.source, format!("it cannot be read: {error}")),
            line => ListError::new(&self.source, "a quote that is opened in this row is not closed in it")
                .at(line)
                .hint("close the quote, or double it where it belongs to the text"),
        }
    }
}

impl Iterator for ListReader {
    type Item = Result<Row, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.reader.read_record(&mut self.record) {
                Ok(false) => return None,
                Ok(true) if self.line() <= self.header.line || self.is_blank() => {}
                Ok(true) => return Some(Ok(self.row())),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(self.error(&error)));
                }
            }
        }
        None
    }
}
