//! `audit.csv`: one line for each row of the lists, in their order. In a rehearsal every message begins with `[sandbox]`.
//!
//! Invariant: no cell of foreign text begins with a character that makes a spreadsheet take it for a formula. Reading the
//! file as a list gives the ids back.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use super::report_file::{ReportError, write_atomically};
use crate::clock::rfc3339;
use crate::journal::{OutcomeRecord, Reader, RunIndex, RunStarted};

const COLUMNS: [&str; 15] = [
    "run_id",
    "source",
    "line",
    "conference_id",
    "union_id",
    "outcome",
    "ended_by",
    "code",
    "http_status",
    "message",
    "request_id",
    "attempts",
    "first_attempt_at",
    "finished_at",
    "duration_ms",
];

/// A UTF-8 byte order mark. Without it, Excel reads the file in the machine's old code page.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn write(index: &RunIndex, journal: &mut Reader, path: &Path) -> Result<(), ReportError> {
    let mut unreadable = None;
    let written = write_atomically(path, |file| {
        file.write_all(BYTE_ORDER_MARK)?;
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(file);
        csv.write_record(COLUMNS)?;
        for row in &index.rows {
            match journal.outcome_at(row.offset) {
                Ok(outcome) => {
                    let cells = cells(&index.started, &outcome);
                    csv.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
                }
                Err(error) => {
                    unreadable = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        csv.flush()
    });
    match unreadable {
        Some(error) => Err(error.into()),
        None => written,
    }
}

fn cells<'a>(run: &'a RunStarted, outcome: &'a OutcomeRecord) -> [Cow<'a, str>; 15] {
    let number =
        |number: Option<u64>| Cow::Owned(number.map(|number| number.to_string()).unwrap_or_default());
    [
        harmless(&run.run_id),
        harmless(&outcome.source),
        number(Some(outcome.line)),
        harmless(&outcome.conference_id),
        harmless(&outcome.union_id),
        outcome.outcome.name().into(),
        outcome.ended_by.map_or("", crate::outcome::EndedBy::name).into(),
        harmless(&outcome.code),
        number(outcome.http_status.map(u64::from)),
        if run.sandbox {
            format!("[sandbox] {}", outcome.message).into()
        } else {
            harmless(&outcome.message)
        },
        harmless(&outcome.request_id),
        number(Some(outcome.attempts.into())),
        outcome.first_attempt_at.map(rfc3339).unwrap_or_default().into(),
        rfc3339(outcome.finished_at).into(),
        number(outcome.duration_ms),
    ]
}

/// Puts an apostrophe before foreign text that a spreadsheet would take for a formula. This includes full-width signs: a
/// spreadsheet in an East Asian language evaluates them too.
fn harmless(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        // A sign alone is no formula, and `-` is the name of standard input.
        Some(_) if text.chars().nth(1).is_none() => text.into(),
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            format!("'{text}").into()
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_takes_no_foreign_text_for_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "-", "a=1", "607452e01401526ee39609e1", "会议", "1-1"] {
            assert_eq!(harmless(text), text);
        }
    }
}
