//! What happened, in sentences.
//!
//! Invariant: a meeting counts as ended only with `closed` or `already_closed`. A run without its last record is never
//! reported as finished.

use indicatif::HumanCount;

use super::numbers::{count, day, time_of_day};
use super::outcome_style::outcome_style;
use crate::exit::ExitCode;
use crate::journal::RunIndex;
use crate::outcome::OutcomeKind;
use crate::wording::duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overview {
    /// How many meetings ended.
    pub(super) headline: String,
    /// Whether the run finished, and every meeting ended.
    pub(super) is_good: bool,
    /// How many rows have which outcome.
    pub(super) rows: String,
    /// Start, end, duration, requests.
    pub(super) when: String,
    /// The exit code and its meaning.
    pub(super) end: String,
}

impl Overview {
    pub(super) fn of(index: &RunIndex) -> Self {
        let ended = index.count_of(OutcomeKind::Closed) + index.count_of(OutcomeKind::AlreadyClosed);
        let not_ended = [OutcomeKind::Failed, OutcomeKind::NotAttempted]
            .map(|kind| (index.count_of(kind), outcome_style(kind).label.to_lowercase()));
        let wanted = ended + not_ended.iter().map(|(rows, _)| rows).sum::<u64>();
        let is_finished = index.finished.is_some();
        let mut headline = match wanted {
            _ if !is_finished => format!("Unfinished: {} ended so far", count(ended, "meeting")),
            0 => "The run had no meeting to end".to_owned(),
            1 if ended == 1 => "The one meeting ended".to_owned(),
            _ if ended == wanted => format!("All {} meetings ended", HumanCount(ended)),
            _ => format!("{} of {} ended", HumanCount(ended), count(wanted, "meeting")),
        };
        for ((rows, what), sign) in not_ended.iter().filter(|(rows, _)| *rows > 0).zip(["; ", ", "]) {
            headline += &format!("{sign}{} {what}", HumanCount(*rows));
        }
        if index.withdrawn_in_doubt > 0 {
            let rows = count(index.withdrawn_in_doubt, "withdrawn row");
            headline += &format!("; {rows} may have ended after a request without an answer");
        }
        headline.push('.');
        Self {
            headline,
            is_good: is_finished
                && wanted == ended
                && index.withdrawn_in_doubt == 0
                && index.count_of(OutcomeKind::Invalid) == 0,
            rows: rows(index),
            when: when(index),
            end: end(index),
        }
    }
}

fn rows(index: &RunIndex) -> String {
    let counts =
        OutcomeKind::ALL.map(|kind| (index.count_of(kind), outcome_style(kind).label.to_lowercase()));
    let shown = counts.iter().filter(|(rows, _)| *rows > 0);
    let shown: Vec<String> = shown.map(|(rows, label)| format!("{} {label}", HumanCount(*rows))).collect();
    let all = count(index.rows_in(), "row");
    if shown.is_empty() { format!("{all}.") } else { format!("{all}: {}.", shown.join(", ")) }
}

fn when(index: &RunIndex) -> String {
    let (from, to) = (index.started_at, index.last_at);
    let took = u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
    let until =
        if day(from) == day(to) { time_of_day(to) } else { format!("{}, {}", day(to), time_of_day(to)) };
    let mut text = format!("{}, {} to {until} UTC, {}.", day(from), time_of_day(from), duration(took));
    text += &format!(" {}", count(index.calls, "request"));
    if index.throttled_calls > 0 {
        text += &format!(", {} refused for their rate", HumanCount(index.throttled_calls));
    }
    if index.paused_ms > 0 {
        text += &format!(", {} in pauses", duration(index.paused_ms));
    }
    text + "."
}

fn end(index: &RunIndex) -> String {
    let Some(finished) = &index.finished else {
        let mut text = "The run is unfinished: it is still running, or its process was killed.".to_owned();
        if let Some(rows) = rows_without_outcome(index) {
            text += &format!(
                " {} without an outcome.",
                if rows == 1 { "1 row is".to_owned() } else { format!("{} rows are", HumanCount(rows)) }
            );
        }
        return text + " To continue it, repeat the command.";
    };
    let known = ExitCode::ALL.into_iter().find(|code| code.number() == finished.exit_code);
    let meaning = known.map(|code| format!(": {}", meaning(code, index))).unwrap_or_default();
    let mut text = format!("Exit code {}{meaning}.", finished.exit_code);
    if !finished.detail.is_empty() {
        text += &format!(" Stopped early: {}.", finished.detail);
    }
    text
}

/// What the exit code means for this run.
fn meaning(code: ExitCode, index: &RunIndex) -> &'static str {
    let not_closed = [OutcomeKind::Failed, OutcomeKind::Invalid].map(|kind| index.count_of(kind));
    match code {
        // The exit code of a worker leaves out the rows that another worker took over.
        ExitCode::Done if index.count_of(OutcomeKind::NotAttempted) > 0 => {
            "every meeting that this run asked for has ended; it did not attempt the others"
        }
        ExitCode::Incomplete if not_closed == [0, 0] && index.withdrawn_in_doubt > 0 => {
            "a withdrawn row was asked for without an answer, so its meeting may have ended or not"
        }
        ExitCode::Done
        | ExitCode::Incomplete
        | ExitCode::Usage
        | ExitCode::Halted
        | ExitCode::Interrupted
        | ExitCode::AuditLost => code.meaning(),
    }
}

/// Rows of the lists that have no outcome. Unknown if the lists were edited since the run began.
fn rows_without_outcome(index: &RunIndex) -> Option<u64> {
    let latest = index.continued.as_ref().unwrap_or(&index.started);
    let are_same_lists = latest.lists_digest == index.started.lists_digest;
    are_same_lists.then(|| latest.rows.total.saturating_sub(index.rows_in())).filter(|rows| *rows > 0)
}
