//! A reader between the text and the csv crate. It refuses broken quotes, and makes every line break a `\n`.
//!
//! The csv crate accepts broken quotes: if a cell `"title` has no closing quote, the cell takes in all rows up to the
//! next quote. So it is an error if a quote is never closed, or if it is closed on a later line in the middle of a
//! cell. Invariant: the last line, too, ends with a line break.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest row, in bytes. An id has at most 256; the rest is for titles and remarks.
const MAX_ROW_BYTES: u64 = 1 << 20;

pub(super) struct StrictQuotes<R> {
    inner: R,
    delimiter: u8,
    state: State,
    after_carriage_return: bool,
    ended: bool,
    line: u64,
    row_line: u64,
    row_bytes: u64,
    /// The line on which the faulty row begins; 0: no fault. Shared with the reader, which makes the error.
    fault: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Bare,
    Quoted { opened_on: u64 },
    QuoteInQuoted { opened_on: u64 },
}

impl<R: Read> StrictQuotes<R> {
    pub(super) fn new(inner: R, delimiter: u8, fault: Arc<AtomicU64>) -> Self {
        Self {
            inner,
            delimiter,
            state: State::CellStart,
            after_carriage_return: false,
            ended: false,
            line: 1,
            row_line: 1,
            row_bytes: 0,
            fault,
        }
    }

    /// Takes one more byte. False: the row's quotes are broken, or the row is too long.
    fn step(&mut self, byte: u8) -> bool {
        self.row_bytes += 1;
        let next = match (self.state, byte) {
            (State::CellStart, b'"') => State::Quoted { opened_on: self.line },
            (State::Quoted { opened_on }, b'"') => State::QuoteInQuoted { opened_on },
            (State::Quoted { opened_on }, _) | (State::QuoteInQuoted { opened_on }, b'"') => {
                State::Quoted { opened_on }
            }
            (State::CellStart | State::Bare | State::QuoteInQuoted { .. }, b'\n') => {
                self.row_line = self.line + 1;
                self.row_bytes = 0;
                State::CellStart
            }
            (State::CellStart | State::Bare | State::QuoteInQuoted { .. }, byte)
                if byte == self.delimiter =>
            {
                State::CellStart
            }
            (State::QuoteInQuoted { opened_on }, _) if opened_on < self.line => return false,
            (State::CellStart | State::Bare | State::QuoteInQuoted { .. }, _) => State::Bare,
        };
        if byte == b'\n' {
            self.line += 1;
        }
        self.state = next;
        self.row_bytes <= MAX_ROW_BYTES
    }

    fn refuse(&self) -> io::Error {
        self.fault.store(self.row_line, Ordering::Relaxed);
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
                    return Err(self.refuse());
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
                if !self.step(byte) {
                    return Err(self.refuse());
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

    /// The text that comes out, or the line of the faulty row. Asserts that the size of the reads makes no difference.
    fn pass(text: &str) -> Result<String, u64> {
        let results = [1, 2, 7, 4096].map(|size| {
            let fault = Arc::new(AtomicU64::new(0));
            let mut reader = StrictQuotes::new(text.as_bytes(), b',', Arc::clone(&fault));
            let (mut out, mut buffer) = (vec![], vec![0; size]);
            loop {
                match reader.read(&mut buffer) {
                    Ok(0) => return Ok(String::from_utf8(out).unwrap()),
                    Ok(length) => out.extend_from_slice(&buffer[..length]),
                    Err(_) => return Err(fault.load(Ordering::Relaxed)),
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
    fn correct_quotes_pass() {
        for text in [
            "\"a\",b\n",
            "\"a\nb\",c\n",
            "\"say \"\"hi\"\"\",b\n",
            "\"\",\"\"\n",
            "5\" pipe,b\n",
            "\"a\"b,c\n",
        ] {
            assert_eq!(pass(text).unwrap().trim_end(), text.trim_end());
        }
    }

    #[test]
    fn a_quote_that_takes_in_other_rows_is_refused_with_the_line_of_its_row() {
        assert_eq!(pass("id,t\na,\"title\nb,\"x\"\nc,d\n"), Err(2));
        assert_eq!(pass("id,t\na,b\nc,\"never closed\nd,e\n"), Err(3));
    }

    #[test]
    fn a_row_that_is_too_long_is_refused() {
        let text = format!("a,b\n\"{}\",c\n", "x".repeat(2 << 20));
        assert_eq!(pass(&text), Err(2));
    }
}
