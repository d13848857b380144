//! What stands below a header and is no row: a header that repeats, as in lists that were put together, and a total at
//! the end.
//!
//! Invariant: nothing is skipped in silence, and a total is skipped only where no row follows it.

use std::collections::VecDeque;

use super::cell::is_blank;
use crate::wording::count;

/// The first words of a total, in lower case.
const TOTALS: [&str; 14] = [
    "total",
    "totals",
    "grand total",
    "subtotal",
    "sum",
    "count",
    "合计",
    "总计",
    "总数",
    "总和",
    "小计",
    "共计",
    "汇总",
    "合計",
];

/// An amount has fewer digits than an id.
const AMOUNT_DIGITS: usize = 9;

/// How many totals may follow each other.
const TOTALS_HELD: usize = 4;

/// How many lines a message names.
const LINES_NAMED: usize = 10;

/// Whether a record is a total: it begins with such a word, and every other cell is an amount. A row of a meeting whose
/// title is `Total` has ids, and they are no amounts.
pub(super) fn is_total<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let mut cells = cells.map(bare).filter(|cell| !cell.is_empty());
    let first = cells.next();
    cells.all(is_amount) && first.is_some_and(begins_a_total)
}

/// A cell without blanks and quotes around it.
pub(super) fn bare(cell: &str) -> &str {
    cell.trim_matches(|c| is_blank(c) || c == '"')
}

fn begins_a_total(cell: &str) -> bool {
    let (word, amount) = cell.split_once([':', '：']).unwrap_or((cell, ""));
    TOTALS.contains(&bare(word).to_lowercase().as_str()) && is_amount(bare(amount))
}

fn is_amount(cell: &str) -> bool {
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    digits <= AMOUNT_DIGITS && cell.chars().all(|c| c.is_ascii_digit() || " .,:%'+-".contains(c))
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    Row,
    RepeatedHeader,
    Total,
}

/// Sorts out what is no row. `T` is a record.
#[derive(Debug)]
pub(super) struct Skipper<T> {
    ready: VecDeque<T>,
    /// Totals, until it is known whether a row follows.
    held: VecDeque<(u64, T)>,
    headers: Lines,
    totals: Lines,
    rows: u64,
}

impl<T> Default for Skipper<T> {
    fn default() -> Self {
        let (ready, held) = (VecDeque::new(), VecDeque::new());
        Self { ready, held, headers: Lines::default(), totals: Lines::default(), rows: 0 }
    }
}

impl<T> Skipper<T> {
    /// Takes the record on a line. What is a row comes out of [`Skipper::next`].
    pub(super) fn take(&mut self, line: u64, kind: RecordKind, record: T) {
        match kind {
            RecordKind::RepeatedHeader => {
                self.end_part();
                self.headers.add(line);
            }
            RecordKind::Total if self.held.len() < TOTALS_HELD => self.held.push_back((line, record)),
            RecordKind::Total | RecordKind::Row => {
                self.rows += 1 + self.held.len() as u64;
                self.ready.extend(self.held.drain(..).map(|(_, total)| total));
                self.ready.push_back(record);
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<T> {
        self.ready.pop_front()
    }

    fn end_part(&mut self) {
        for (line, _) in self.held.drain(..) {
            self.totals.add(line);
        }
    }

    /// What to say at the end of the list.
    pub(super) fn finish(&mut self) -> Vec<String> {
        self.end_part();
        let skipped = [
            (&self.headers, "repeats the header", "repeat the header"),
            (&self.totals, "is a total", "are totals"),
        ];
        let mut remarks: Vec<String> =
            skipped.into_iter().filter_map(|(lines, one, many)| lines.say(one, many)).collect();
        if self.rows == 0 {
            remarks.push("the list is empty: it has a header and no rows".to_owned());
        }
        remarks
    }
}

/// The first of some lines, and how many they are.
#[derive(Debug, Default)]
pub(super) struct Lines {
    first: Vec<u64>,
    count: u64,
}

impl Lines {
    pub(super) fn add(&mut self, line: u64) {
        self.count += 1;
        if self.first.len() < LINES_NAMED {
            self.first.push(line);
        }
    }

    /// Adds a line unless it is the last that was added.
    pub(super) fn add_once(&mut self, line: u64) {
        if self.first.last() != Some(&line) && self.count <= LINES_NAMED as u64 {
            self.add(line);
        }
    }

    /// `line 4`, or `lines 4, 9`.
    pub(super) fn named(&self) -> String {
        let numbers = self.first.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let more = self.count - self.first.len() as u64;
        match (self.first.len(), more) {
            (1, 0) => format!("line {numbers}"),
            (_, 0) => format!("lines {numbers}"),
            _ => format!("lines {numbers} and more"),
        }
    }

    fn say(&self, one: &str, many: &str) -> Option<String> {
        match self.count {
            0 => None,
            1 => Some(format!("{} {one} and is skipped", self.named())),
            _ if self.count == self.first.len() as u64 => {
                Some(format!("{} {many} and are skipped", self.named()))
            }
            _ => Some(format!(
                "{} of the list {many} and are skipped: {}",
                count(self.count, "line"),
                self.named()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_has_its_word_first_and_amounts_only() {
        for cells in [
            &["Total", "", "12"][..],
            &["TOTAL:", "12"],
            &["", "合计", "3"],
            &["总计：12", ""],
            &["Sum"],
            &[" Grand Total ", "1,234.50", "45%"],
        ] {
            assert!(is_total(cells.iter().copied()), "{cells:?}");
        }
        for cells in [
            &["Total", "confA1", "u1"][..],
            &["Total recall", "1"],
            &["Weekly", "Total", "3"],
            &["Total", "607452001401526003960901", "2"],
            &["Total", "42261597832", ""],
            &["confA1", "u1"],
            &[],
        ] {
            assert!(!is_total(cells.iter().copied()), "{cells:?}");
        }
    }

    #[test]
    fn a_total_is_skipped_at_the_end_or_before_another_header_and_nowhere_else() {
        use RecordKind::{RepeatedHeader, Row, Total};
        let skip = |kinds: &[RecordKind]| {
            let mut skipper = Skipper::default();
            for (line, kind) in (2..).zip(kinds) {
                skipper.take(line, *kind, line);
            }
            let remarks = skipper.finish();
            (std::iter::from_fn(|| skipper.next()).collect::<Vec<u64>>(), remarks.join("; "))
        };
        assert_eq!(skip(&[Row, Total, Row]), (vec![2, 3, 4], String::new()));
        assert_eq!(skip(&[Row, Total]), (vec![2], "line 3 is a total and is skipped".into()));
        assert_eq!(
            skip(&[Row, Total, RepeatedHeader, Row, RepeatedHeader, Total, Total]),
            (
                vec![2, 5],
                "lines 4, 6 repeat the header and are skipped; lines 3, 7, 8 are totals and are skipped"
                    .into()
            )
        );
        assert_eq!(skip(&[]), (vec![], "the list is empty: it has a header and no rows".into()));
        let many = skip(&[RepeatedHeader; 12]).1;
        assert!(
            many.starts_with("12 lines of the list repeat the header and are skipped: lines 2, 3, "),
            "{many}"
        );
        // So many totals are rows.
        assert_eq!(skip(&[Total; 6]).0.len(), 5);
    }
}
