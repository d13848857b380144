//! What happened, in sentences.
//!
//! Invariant: a meeting counts as ended on `closed` and `already_closed` and on nothing else, and a run whose last record
//! is missing is never told as finished.

use indicatif::HumanCount;
use jiff::Timestamp;

use super::{count, look};
use crate::exit::ExitCode;
use crate::journal::RunIndex;
use crate::outcome::OutcomeKind;
use crate::wording::duration;

/// The sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Story {
    /// The one that matters.
    pub(super) headline: String,
    /// Whether the run ended, and every row well.
    pub(super) is_good: bool,
    /// What the rows came to.
    pub(super) rows: String,
    /// When, how long, how many requests.
    pub(super) when: String,
    /// How it ended, and what that means.
    pub(super) end: String,
}

impl Story {
    /// The story of a run.
    pub(super) fn of(index: &RunIndex) -> Self {
        let count = |kind| count(index, kind);
        let ended = count(OutcomeKind::Closed) + count(OutcomeKind::AlreadyClosed);
        let open =
            [(count(OutcomeKind::Failed), "failed"), (count(OutcomeKind::NotAttempted), "not attempted")];
        let asked = ended + open.iter().map(|(rows, _)| rows).sum::<u64>();
        let is_finished = index.finished.is_some();
        let mut headline = match asked {
            _ if !is_finished => format!("Not finished: {} ended so far", counted(ended, "meeting")),
            0 => "There was no meeting to end".to_owned(),
            1 if ended == 1 => "The one meeting ended".to_owned(),
            _ if ended == asked => format!("All {} meetings ended", HumanCount(ended)),
            _ => format!("{} of {} ended", HumanCount(ended), counted(asked, "meeting")),
        };
        for ((rows, what), sign) in open.iter().filter(|(rows, _)| *rows > 0).zip(["; ", ", "]) {
            headline += &format!("{sign}{} {what}", HumanCount(*rows));
        }
        headline.push('.');
        Self {
            headline,
            is_good: is_finished && asked == ended && count(OutcomeKind::Invalid) == 0,
            rows: rows(index),
            when: when(index),
            end: end(index),
        }
    }
}

fn rows(index: &RunIndex) -> String {
    let counts = OutcomeKind::ALL.map(|kind| (count(index, kind), look(kind).label.to_lowercase()));
    let told = counts.iter().filter(|(rows, _)| *rows > 0);
    let told: Vec<String> = told.map(|(rows, label)| format!("{} {label}", HumanCount(*rows))).collect();
    match (counted(index.rows_in(), "row"), told.join(", ")) {
        (all, told) if told.is_empty() => format!("{all}."),
        (all, told) => format!("{all}: {told}."),
    }
}

fn when(index: &RunIndex) -> String {
    let (from, to) = (index.started_at, index.last_at);
    let took = u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
    let until = if day(from) == day(to) { clock(to) } else { format!("{}, {}", day(to), clock(to)) };
    let mut text = format!("{}, {} to {until} UTC, {}.", day(from), clock(from), duration(took));
    text += &format!(" {}", counted(index.calls, "request"));
    if index.throttled_calls > 0 {
        text += &format!(", {} refused for the rate", HumanCount(index.throttled_calls));
    }
    if index.paused_ms > 0 {
        text += &format!(", {} in pauses", duration(index.paused_ms));
    }
    text + "."
}

fn end(index: &RunIndex) -> String {
    let Some(finished) = &index.finished else {
        let mut text =
            "The journal has no last record: the run was killed, or it is still going on.".to_owned();
        if let Some(rows) = rows_without_outcome(index) {
            text += &format!(" Rows without an outcome: {}.", HumanCount(rows));
        }
        return text + " The same command goes on with it.";
    };
    let known = ExitCode::ALL.into_iter().find(|code| code.number() == finished.exit_code);
    let meaning = known.map(|code| format!(": {}", code.meaning())).unwrap_or_default();
    let mut text = format!("Exit code {}{meaning}.", finished.exit_code);
    if !finished.detail.is_empty() {
        text += &format!(" Stopped early: {}.", finished.detail);
    }
    text
}

/// Rows of the lists that have no outcome. Not known where the lists were edited since the run began.
fn rows_without_outcome(index: &RunIndex) -> Option<u64> {
    let latest = index.continued.as_ref().unwrap_or(&index.started);
    let are_same_lists = latest.lists_digest == index.started.lists_digest;
    are_same_lists.then(|| latest.rows.total.saturating_sub(index.rows_in())).filter(|rows| *rows > 0)
}

/// A number of things.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", HumanCount(number))
}

/// `23 Nov 2026`, in UTC.
pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%-d %b %Y").to_string()
}

/// `19:07:02`, in UTC.
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}
