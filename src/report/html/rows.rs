//! The rows of the page: those that need an eye first, then the others, each in input order.
//!
//! Invariant: what the page holds is bounded, and where it does not hold every row it says so.

use std::collections::HashMap;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde::Serialize;

use super::look::{ended_by, look, needs_an_eye};
use super::{Look, count};
use crate::journal::Place;
use crate::journal::RunIndex;
use crate::journal::{OutcomeRecord, Reader};
use crate::outcome::{EndedBy, OutcomeKind};
use crate::report::ReportError;
use crate::wording::duration;

/// How many rows the page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// For search and filter.
    pub(super) rows: usize,
    /// As text of the page, which is what is printed.
    pub(super) printed: usize,
}

impl Bounds {
    /// What a browser takes at once.
    pub(super) const PAGE: Self = Self { rows: 50_000, printed: 200 };
}

/// The most characters of a cell that the page shows: an id has 256 bytes at most, an invalid cell any length.
const MAX_CELL: usize = 600;

/// The rows, read.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) data: Data,
    pub(super) printed: Vec<Row>,
    pub(super) note: Option<String>,
    pub(super) printed_note: String,
}

/// A row as the page's text shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: String,
    pub(super) conference_id: String,
    pub(super) union_id: String,
    pub(super) outcome: &'static str,
    pub(super) label: &'static str,
    pub(super) ended_by: &'static str,
    pub(super) code: String,
    pub(super) http_status: String,
    pub(super) message: String,
    pub(super) request_id: String,
    pub(super) attempts: String,
    pub(super) first_attempt_at: String,
    pub(super) finished_at: String,
    pub(super) duration: String,
}

/// The rows for the script. What many rows share stands in `texts` once.
#[derive(Debug, Default, Serialize)]
pub(super) struct Data {
    /// Names and labels of the outcomes, in their order.
    outcomes: Vec<(&'static str, &'static str, bool)>,
    ended_by: Vec<&'static str>,
    texts: Vec<String>,
    rows: Vec<Compact>,
}

/// Source, line, conference id, union id, outcome, ended by, code, HTTP status, message, request id, attempts, and times:
/// first attempt and end (milliseconds since 1970), duration in milliseconds. Source, union id, code and message are places in
/// `texts`, outcome and ended by in `outcomes` and `ended_by`.
type Compact = (
    usize,
    u64,
    String,
    usize,
    usize,
    Option<usize>,
    usize,
    Option<u16>,
    usize,
    String,
    u32,
    (Option<i64>, i64, Option<u64>),
);

const ENDED_BY: [EndedBy; 3] = [EndedBy::ThisRun, EndedBy::Earlier, EndedBy::Unknown];

impl Rows {
    /// Reads the rows that the page holds; `each` hears of every one that needs an eye.
    pub(super) fn read(
        index: &RunIndex,
        journal: &mut Reader,
        bounds: Bounds,
        mut each: impl FnMut(&OutcomeRecord),
    ) -> Result<Self, ReportError> {
        let with = |eye: bool| index.rows.iter().filter(move |place| needs_an_eye(place.outcome) == eye);
        let mut texts = Texts::default();
        let (mut rows, mut printed) = (vec![], vec![]);
        for Place { offset, .. } in with(true).chain(with(false)).take(bounds.rows) {
            let outcome = journal.outcome_at(*offset)?;
            if needs_an_eye(outcome.outcome) {
                each(&outcome);
                if printed.len() < bounds.printed {
                    printed.push(Row::of(&outcome));
                }
            }
            rows.push(texts.compact(&outcome));
        }
        let eyes = with(true).count();
        let printed_note = match (printed.len(), eyes) {
            (_, 0) => "No row needs a look.".to_owned(),
            (held, all) if held == all => format!("These are the rows that need a look: {}.", shown(all)),
            (held, all) => {
                format!("These are the first {} of {} rows that need a look.", shown(held), shown(all))
            }
        };
        let note = (rows.len() < index.rows.len()).then(|| {
            let (held, all) = (shown(rows.len()), shown(index.rows.len()));
            if eyes > rows.len() {
                format!("This page holds {held} of {all} rows: the first of those that need a look.")
            } else {
                format!(
                    "This page holds {held} of {all} rows: all that need a look, and the first of the others."
                )
            }
        });
        let outcomes = OutcomeKind::ALL.map(|kind| (kind.name(), look(kind).label, needs_an_eye(kind)));
        let data = Data {
            outcomes: outcomes.into(),
            ended_by: ENDED_BY.map(ended_by).into(),
            texts: texts.list,
            rows,
        };
        Ok(Self { data, printed, note, printed_note })
    }
}

fn shown(rows: usize) -> HumanCount {
    HumanCount(rows as u64)
}

impl Row {
    fn of(outcome: &OutcomeRecord) -> Self {
        let Look { name, label, .. } = look(outcome.outcome);
        Self {
            place: format!("{}:{}", outcome.source, outcome.line),
            conference_id: cut(&outcome.conference_id),
            union_id: cut(&outcome.union_id),
            outcome: name,
            label,
            ended_by: outcome.ended_by.map(ended_by).unwrap_or_default(),
            code: cut(&outcome.code),
            http_status: outcome.http_status.map(|status| format!("HTTP {status}")).unwrap_or_default(),
            message: cut(&outcome.message),
            request_id: cut(&outcome.request_id),
            attempts: outcome.attempts.to_string(),
            first_attempt_at: outcome.first_attempt_at.map(time).unwrap_or_default(),
            finished_at: time(outcome.finished_at),
            duration: outcome.duration_ms.map(took).unwrap_or_default(),
        }
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long a row took: most take no second.
fn took(milliseconds: u64) -> String {
    if milliseconds < 1000 { format!("{milliseconds}ms") } else { duration(milliseconds) }
}

/// A cell, cut where it is longer than the page shows.
fn cut(cell: &str) -> String {
    match cell.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell.to_owned(),
    }
}

/// Texts that stand in many rows.
#[derive(Default)]
struct Texts {
    list: Vec<String>,
    places: HashMap<String, usize>,
}

impl Texts {
    fn place(&mut self, text: &str) -> usize {
        let text = cut(text);
        if let Some(place) = self.places.get(&text) {
            return *place;
        }
        self.list.push(text.clone());
        self.places.insert(text, self.list.len() - 1);
        self.list.len() - 1
    }

    fn compact(&mut self, outcome: &OutcomeRecord) -> Compact {
        (
            self.place(&outcome.source),
            outcome.line,
            cut(&outcome.conference_id),
            self.place(&outcome.union_id),
            OutcomeKind::ALL.iter().position(|kind| *kind == outcome.outcome).unwrap_or_default(),
            outcome.ended_by.and_then(|by| ENDED_BY.iter().position(|known| *known == by)),
            self.place(&outcome.code),
            outcome.http_status,
            self.place(&outcome.message),
            cut(&outcome.request_id),
            outcome.attempts,
            (
                outcome.first_attempt_at.map(Timestamp::as_millisecond),
                outcome.finished_at.as_millisecond(),
                outcome.duration_ms,
            ),
        )
    }
}

/// A choice of the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) rows: String,
}

/// What the filter offers: all rows, those that need an eye, and each outcome that rows have.
pub(super) fn choices(index: &RunIndex) -> Vec<Choice> {
    let counts = OutcomeKind::ALL.map(|kind| (kind, count(index, kind)));
    let eyes = counts.iter().filter(|(kind, _)| needs_an_eye(*kind)).map(|(_, rows)| rows).sum();
    let outcomes = counts.into_iter().map(|(kind, rows)| (kind.name(), look(kind).label, rows));
    let summed = [("", "All", index.rows_in()), ("eye", "Need a look", eyes)];
    let offered = summed.into_iter().chain(outcomes).filter(|(value, _, rows)| value.is_empty() || *rows > 0);
    offered.map(|(value, label, rows)| Choice { value, label, rows: HumanCount(rows).to_string() }).collect()
}
