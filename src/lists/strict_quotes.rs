//! A reader between the text and the csv crate. It finds broken quotes, skips the lines above the header, and makes every
//! line break a `\n`.
//!
//! The csv crate accepts broken quotes. If a cell `"title` has no closing quote, the cell takes in all rows up to the
//! next quote: such a list is refused. If text follows a closing quote, or a blank or a backslash comes before a quote,
//! programs disagree on where the cell ends: such a row is invalid. Invariant: the last line, too, ends with a line
//! break.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use parking_lot::Mutex;

/// The longest row, in bytes. An id has at most 256; the rest is for titles and remarks.
const MAX_ROW_BYTES: u64 = 1 << 20;

/// Why a list's rows cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListFault {
    /// A quote that is never closed, or closed on a later line in the middle of a cell.
    OpenQuote,
    /// A row of several lines with a backslash before a quote.
    EscapedQuote,
    /// A row of more than [`MAX_ROW_BYTES`].
    TooLong,
}

/// Why a row's cells cannot be told apart: what stands after or before a quote. Cells are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFault {
    TextAfter { cell: u64 },
    BlankBefore { cell: u64 },
    BackslashBefore { cell: u64 },
}

/// What was found, for the reader of the rows. A row's fault is here before the row is read.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The line of each faulty row, in order.
    rows: VecDeque<(u64, RowFault)>,
    list: Option<(u64, ListFault)>,
}

impl Faults {
    /// The fault of the row that begins on this line. Faults of earlier rows are dropped.
    pub(super) fn of_row(&mut self, line: u64) -> Option<RowFault> {
        while self.rows.front().is_some_and(|(faulty, _)| *faulty < line) {
            self.rows.pop_front();
        }
        self.rows.pop_front_if(|(faulty, _)| *faulty == line).map(|(_, fault)| fault)
    }

    /// The list's fault, with the line of its row.
    pub(super) fn of_list(&self) -> Option<(u64, ListFault)> {
        self.list
    }
}

pub(super) struct StrictQuotes<R> {
    inner: R,
    delimiter: u8,
    /// The first line that is not skipped.
    first_line: u64,
    state: State,
    after_carriage_return: bool,
    after_backslash: bool,
    ended: bool,
    line: u64,
    row_line: u64,
    row_bytes: u64,
    cell: u64,
    /// The first fault of the row.
    row_fault: Option<RowFault>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    LeadingBlank,
    Bare,
    Quoted { opened_on: u64 },
    QuoteInQuoted { opened_on: u64 },
    AfterQuoted,
}

impl<R: Read> StrictQuotes<R> {
    pub(super) fn new(inner: R, delimiter: u8, first_line: u64, faults: Arc<Mutex<Faults>>) -> Self {
        Self {
            inner,
            delimiter,
            first_line,
            state: State::CellStart,
            after_carriage_return: false,
            after_backslash: false,
            ended: false,
            line: 1,
            row_line: 1,
            row_bytes: 0,
            cell: 1,
            row_fault: None,
            faults,
        }
    }

    /// Takes one more byte. The error is why the list is refused.
    fn step(&mut self, byte: u8) -> Result<(), ListFault> {
        self.row_bytes += 1;
        if self.row_bytes > MAX_ROW_BYTES {
            return Err(ListFault::TooLong);
        }
        let is_blank = byte == b' ' || byte == b'\t';
        if byte == b'"' && self.after_backslash {
            self.row_is_faulty(RowFault::BackslashBefore { cell: self.cell });
        }
        self.after_backslash = byte == b'\\';
        self.state = match (self.state, byte) {
            (State::CellStart, b'"') => State::Quoted { opened_on: self.line },
            (State::Quoted { opened_on }, b'"') => State::QuoteInQuoted { opened_on },
            (State::Quoted { opened_on }, _) | (State::QuoteInQuoted { opened_on }, b'"') => {
                State::Quoted { opened_on }
            }
            (_, b'\n') => return self.end_row(),
            (_, byte) if byte == self.delimiter => {
                self.cell += 1;
                State::CellStart
            }
            (State::QuoteInQuoted { opened_on }, _) if opened_on < self.line => {
                return Err(ListFault::OpenQuote);
            }
            (State::QuoteInQuoted { .. } | State::AfterQuoted, _) if is_blank => State::AfterQuoted,
            (State::QuoteInQuoted { .. } | State::AfterQuoted, _) => {
                self.row_is_faulty(RowFault::TextAfter { cell: self.cell });
                State::Bare
            }
            (State::CellStart | State::LeadingBlank, _) if is_blank => State::LeadingBlank,
            (State::LeadingBlank, b'"') => {
                self.row_is_faulty(RowFault::BlankBefore { cell: self.cell });
                State::Bare
            }
            (State::CellStart | State::LeadingBlank | State::Bare, _) => State::Bare,
        };
        if byte == b'\n' {
            self.line += 1;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), ListFault> {
        if let Some(RowFault::BackslashBefore { .. }) = self.row_fault
            && self.row_line < self.line
        {
            return Err(ListFault::EscapedQuote);
        }
        self.line += 1;
        self.begin_row();
        Ok(())
    }

    fn begin_row(&mut self) {
        self.state = State::CellStart;
        (self.row_line, self.row_bytes, self.cell, self.row_fault) = (self.line, 0, 1, None);
    }

    fn row_is_faulty(&mut self, fault: RowFault) {
        if self.row_fault.is_none() {
            self.row_fault = Some(fault);
            self.faults.lock().rows.push_back((self.row_line, fault));
        }
    }

    fn refuse(&self, fault: ListFault) -> io::Error {
        self.faults.lock().list = Some((self.row_line, fault));
        io::ErrorKind::InvalidData.into()
    }
}

impl<R: Read> Read for StrictQuotes<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.inner.read(out)?;
            if length == 0 {
                if self.ended || out.is_empty() {
                    return Ok(0);
                }
                self.ended = true;
                if matches!(self.state, State::Quoted { .. }) {
                    return Err(self.refuse(ListFault::OpenQuote));
                }
                if let Err(fault) = self.step(b'\n') {
                    return Err(self.refuse(fault));
                }
                out[0] = b'\n';
                return Ok(1);
            }
            let mut kept = 0;
            for at in 0..length {
                let (byte, skipped) = match out[at] {
                    b'\n' if self.after_carriage_return => (b'\n', true),
                    b'\r' => (b'\n', false),
                    byte => (byte, false),
                };
                self.after_carriage_return = out[at] == b'\r';
                if skipped {
                    continue;
                }
                if self.line < self.first_line {
                    if byte == b'\n' {
                        self.line += 1;
                        self.begin_row();
                    }
                    continue;
                }
                if let Err(fault) = self.step(byte) {
                    return Err(self.refuse(fault));
                }
                out[kept] = byte;
                kept += 1;
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that comes out, or the line of the faulty row with the fault. Asserts that the size of the reads makes no
    /// difference.
    fn pass(text: &str) -> Result<String, (u64, ListFault)> {
        read(text, 1).map(|(text, _)| text)
    }

    type Passed = (String, Vec<(u64, RowFault)>);

    /// The same, with the faults of rows.
    fn read(text: &str, first_line: u64) -> Result<Passed, (u64, ListFault)> {
        let results = [1, 2, 7, 4096].map(|size| {
            let faults = Arc::new(Mutex::new(Faults::default()));
            let mut reader = StrictQuotes::new(text.as_bytes(), b',', first_line, Arc::clone(&faults));
            let (mut out, mut buffer) = (vec![], vec![0; size]);
            loop {
                match reader.read(&mut buffer) {
                    Ok(0) => {
                        let rows = faults.lock().rows.iter().copied().collect();
                        return Ok((String::from_utf8(out).unwrap(), rows));
                    }
                    Ok(length) => out.extend_from_slice(&buffer[..length]),
                    Err(_) => return Err(faults.lock().of_list().unwrap()),
                }
            }
        });
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results[0].clone()
    }

    #[test]
    fn every_line_break_becomes_a_newline_and_the_last_line_ends_with_one() {
        assert_eq!(pass("a\r\nb\rc\nd").unwrap(), "a\nb\nc\nd\n");
        assert_eq!(pass("a\r\n\r\nb\r\r").unwrap(), "a\n\nb\n\n\n");
        assert_eq!(pass("").unwrap(), "\n");
    }

    #[test]
    fn the_lines_above_the_first_are_skipped_with_their_quotes() {
        assert_eq!(read("5\" pipes, \"x\r\n\r\na,b\nc,d", 3).unwrap(), ("a,b\nc,d\n".into(), vec![]));
        assert_eq!(read("t\ra,b\nc,\"d\n", 2), Err((3, ListFault::OpenQuote)));
    }

    #[test]
    fn correct_quotes_pass() {
        for text in [
            "\"a\",b\n",
            "\"a\nb\",c\n",
            "\"say \"\"hi\"\"\",b\n",
            "\"\",\"\"\n",
            "5\" pipe,b\n",
            "\"a\" ,b\n",
            "=\"a\",b\n",
            "\\a,\"b\\c\"\n",
        ] {
            let (read, faults) = read(text, 1).unwrap();
            assert_eq!((read.trim_end(), faults), (text.trim_end(), vec![]));
        }
    }

    #[test]
    fn a_row_whose_cells_cannot_be_told_apart_is_named_and_the_others_are_not() {
        use RowFault::{BackslashBefore, BlankBefore, TextAfter};
        for (row, fault) in [
            ("\"a\"x,b", TextAfter { cell: 1 }),
            ("a,\"b\" x", TextAfter { cell: 2 }),
            ("a,\"b\" \"c\"", TextAfter { cell: 2 }),
            ("a, \"b\"", BlankBefore { cell: 2 }),
            ("\t\"b\",c", BlankBefore { cell: 1 }),
            ("a,\"b \\\"c\\\" d\"", BackslashBefore { cell: 2 }),
            ("a,b\\\"c", BackslashBefore { cell: 2 }),
            ("a,\"C:\\\"", BackslashBefore { cell: 2 }),
        ] {
            let text = format!("a,\"x\ny\"\n{row}\nc,d\n");
            assert_eq!(read(&text, 1).unwrap().1, [(3, fault)], "{row}");
        }
    }

    #[test]
    fn the_fault_of_a_row_is_found_by_its_line() {
        let fault = RowFault::TextAfter { cell: 1 };
        let mut faults = Faults { rows: [(2, fault), (5, fault)].into(), list: None };
        assert_eq!([3, 4, 5, 6].map(|line| faults.of_row(line)), [None, None, Some(fault), None]);
    }

    #[test]
    fn a_quote_that_takes_in_other_rows_is_refused_with_the_line_of_its_row() {
        assert_eq!(pass("id,t\na,\"title\nb,\"x\"\nc,d\n"), Err((2, ListFault::OpenQuote)));
        assert_eq!(pass("id,t\na,b\nc,\"never closed\nd,e\n"), Err((3, ListFault::OpenQuote)));
        assert_eq!(pass("id,t\na,\"x \\\"\"\nb,\",c\n"), Err((2, ListFault::EscapedQuote)));
    }

    #[test]
    fn a_row_that_is_too_long_is_refused_as_such() {
        for quote in ["", "\""] {
            let text = format!("a,b\n{quote}{}{quote},c\n", "x".repeat(1 << 20));
            assert_eq!(pass(&text), Err((2, ListFault::TooLong)));
        }
    }
}
