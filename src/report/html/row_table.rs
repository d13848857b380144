//! The rows of the page: first those that need attention, then the others, each in input order.
//!
//! Invariant: the number of rows in the page is bounded. If the page does not hold every row, it says so.

use std::collections::HashMap;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeTuple as _, Serializer};

use super::outcome_style::{OutcomeStyle, ended_by, needs_attention, outcome_style};
use crate::journal::{OutcomeRecord, Reader, RowPlace, RunIndex};
use crate::outcome::{EndedBy, OutcomeKind};
use crate::report::report_file::ReportError;
use crate::wording::precise_duration;

/// The most rows that the page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageBounds {
    /// For search and filter.
    pub(super) rows: usize,
    /// As text of the page. Only these are printed.
    pub(super) printed: usize,
}

impl PageBounds {
    /// What a browser shows without delay.
    pub(super) const DEFAULT: Self = Self { rows: 50_000, printed: 200 };
}

/// The most characters of a cell that the page shows. An id has at most 256 bytes; an invalid cell can have any length.
const MAX_CELL: usize = 600;

#[derive(Debug)]
pub(super) struct RowTable {
    pub(super) data: ScriptData,
    pub(super) printed: Vec<RowLine>,
    pub(super) note: Option<String>,
    pub(super) printed_note: String,
}

/// A row as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RowLine {
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

/// The rows for the script. A text that many rows share is in `texts` once.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct ScriptData {
    /// Each outcome's name and label, and whether it needs attention.
    outcomes: Vec<(&'static str, &'static str, bool)>,
    ended_by: Vec<&'static str>,
    texts: Vec<String>,
    rows: Vec<PackedRow>,
}

/// A row for the script. It is written as an array, in the order of these fields, to keep the page small.
///
/// Source, union id, code and message are indices in [`ScriptData::texts`], outcome and `ended_by` in its other lists. Times
/// are in milliseconds, since 1970 or long.
#[derive(Debug)]
struct PackedRow {
    source: usize,
    line: u64,
    conference_id: String,
    union_id: usize,
    outcome: usize,
    ended_by: Option<usize>,
    code: usize,
    http_status: Option<u16>,
    message: usize,
    request_id: String,
    attempts: u32,
    first_attempt_at: Option<i64>,
    finished_at: i64,
    duration: Option<u64>,
}

impl Serialize for PackedRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_tuple(14)?;
        row.serialize_element(&self.source)?;
        row.serialize_element(&self.line)?;
        row.serialize_element(&self.conference_id)?;
        row.serialize_element(&self.union_id)?;
        row.serialize_element(&self.outcome)?;
        row.serialize_element(&self.ended_by)?;
        row.serialize_element(&self.code)?;
        row.serialize_element(&self.http_status)?;
        row.serialize_element(&self.message)?;
        row.serialize_element(&self.request_id)?;
        row.serialize_element(&self.attempts)?;
        row.serialize_element(&self.first_attempt_at)?;
        row.serialize_element(&self.finished_at)?;
        row.serialize_element(&self.duration)?;
        row.end()
    }
}

const ENDED_BY: [EndedBy; 3] = [EndedBy::ThisRun, EndedBy::Earlier, EndedBy::Unknown];

impl RowTable {
    /// Reads the rows that the page holds, and calls `each` with those that need attention.
    pub(super) fn read(
        index: &RunIndex,
        journal: &mut Reader,
        bounds: PageBounds,
        mut each: impl FnMut(&OutcomeRecord),
    ) -> Result<Self, ReportError> {
        let with = |attention: bool| {
            index.rows.iter().filter(move |place| needs_attention(place.outcome) == attention)
        };
        let mut texts = SharedTexts::default();
        let (mut rows, mut printed) = (vec![], vec![]);
        for RowPlace { offset, .. } in with(true).chain(with(false)).take(bounds.rows) {
            let outcome = journal.outcome_at(*offset)?;
            if needs_attention(outcome.outcome) {
                each(&outcome);
                if printed.len() < bounds.printed {
                    printed.push(RowLine::of(&outcome));
                }
            }
            rows.push(texts.pack(&outcome));
        }
        let needing = with(true).count();
        let printed_note = match (printed.len(), needing) {
            (_, 0) => "No row needs attention.".to_owned(),
            (held, all) if held == all => format!("Shown: all rows that need attention ({}).", shown(all)),
            (held, all) => {
                format!("Shown: the first {} of {} rows that need attention.", shown(held), shown(all))
            }
        };
        let note = (rows.len() < index.rows.len()).then(|| {
            let (held, all) = (shown(rows.len()), shown(index.rows.len()));
            if needing > rows.len() {
                format!("This page holds {held} of {all} rows: the first of those that need attention.")
            } else {
                format!(
                    "This page holds {held} of {all} rows: all that need attention, and the first of the others."
                )
            }
        });
        let outcomes =
            OutcomeKind::ALL.map(|kind| (kind.name(), outcome_style(kind).label, needs_attention(kind)));
        let data = ScriptData {
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

impl RowLine {
    fn of(outcome: &OutcomeRecord) -> Self {
        let OutcomeStyle { name, label, .. } = outcome_style(outcome.outcome);
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
            duration: outcome.duration_ms.map(precise_duration).unwrap_or_default(),
        }
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A cell, cut if it is longer than [`MAX_CELL`].
fn cut(cell: &str) -> String {
    match cell.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell.to_owned(),
    }
}

/// Each text once, and its index in the list.
#[derive(Default)]
struct SharedTexts {
    list: Vec<String>,
    indices: HashMap<String, usize>,
}

impl SharedTexts {
    fn index_of(&mut self, text: &str) -> usize {
        let text = cut(text);
        if let Some(index) = self.indices.get(&text) {
            return *index;
        }
        self.list.push(text.clone());
        self.indices.insert(text, self.list.len() - 1);
        self.list.len() - 1
    }

    fn pack(&mut self, outcome: &OutcomeRecord) -> PackedRow {
        let kind = OutcomeKind::ALL.iter().position(|kind| *kind == outcome.outcome);
        PackedRow {
            source: self.index_of(&outcome.source),
            line: outcome.line,
            conference_id: cut(&outcome.conference_id),
            union_id: self.index_of(&outcome.union_id),
            outcome: kind.expect("ALL has every outcome"),
            ended_by: outcome.ended_by.and_then(|by| ENDED_BY.iter().position(|known| *known == by)),
            code: self.index_of(&outcome.code),
            http_status: outcome.http_status,
            message: self.index_of(&outcome.message),
            request_id: cut(&outcome.request_id),
            attempts: outcome.attempts,
            first_attempt_at: outcome.first_attempt_at.map(Timestamp::as_millisecond),
            finished_at: outcome.finished_at.as_millisecond(),
            duration: outcome.duration_ms,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilterChoice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) rows: String,
}

/// The filter's choices: all rows, those that need attention, and each outcome that rows have.
pub(super) fn filter_choices(index: &RunIndex) -> Vec<FilterChoice> {
    let counts = OutcomeKind::ALL.map(|kind| (kind, index.count_of(kind)));
    let needing = counts.iter().filter(|(kind, _)| needs_attention(*kind)).map(|(_, rows)| rows).sum();
    let outcomes = counts.into_iter().map(|(kind, rows)| (kind.name(), outcome_style(kind).label, rows));
    let summed = [("", "All", index.rows_in()), ("attention", "Need attention", needing)];
    let offered = summed.into_iter().chain(outcomes).filter(|(value, _, rows)| value.is_empty() || *rows > 0);
    offered
        .map(|(value, label, rows)| FilterChoice { value, label, rows: HumanCount(rows).to_string() })
        .collect()
}
