//! The chart in words, and the caption below it.

use indicatif::HumanCount;

use super::scale::short;
use crate::journal::{ProcessSpan, Span};
use crate::report::html::numbers::count;
use crate::wording::duration;

/// The totals of all spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChartTotals {
    calls: u64,
    pub(super) refused: u64,
    pub(super) paused_ms: u64,
    /// The most requests a second in any span.
    busiest: f64,
    /// The highest and the lowest allowed rate, if it is known.
    rates: Option<(f64, f64)>,
}

impl ChartTotals {
    pub(super) fn of(spans: &[Span], per_second: &[f64], rates: &[Option<f64>]) -> Self {
        let total = |of: fn(&Span) -> u64| spans.iter().map(of).sum();
        let known = || rates.iter().flatten().copied();
        Self {
            calls: total(|span| span.calls),
            refused: total(|span| span.refused),
            paused_ms: total(|span| span.paused_ms),
            busiest: per_second.iter().copied().fold(0.0, f64::max),
            rates: known().next().map(|any| (known().fold(any, f64::max), known().fold(any, f64::min))),
        }
    }

    /// The drawing in words, for readers who do not see it.
    pub(super) fn in_words(&self, all_ms: u64) -> String {
        let requests = count(self.calls, "request");
        let mut text =
            format!("{requests} in {}, at most {} a second", duration(all_ms), short(self.busiest));
        match self.rates {
            Some((highest, lowest)) if lowest < highest => {
                text += &format!("; the rate fell to {}", short(lowest));
            }
            Some((rate, _)) => text += &format!("; the rate was {}", short(rate)),
            None => {}
        }
        if self.refused > 0 {
            text += &format!("; {} refused for their rate", HumanCount(self.refused));
        }
        if self.paused_ms > 0 {
            text += &format!("; {} in pauses", duration(self.paused_ms));
        }
        text + "."
    }
}

/// How to read the drawing, and what is unknown.
pub(super) fn caption(processes: &[ProcessSpan], span_ms: u64, has_rate: bool) -> String {
    let mut text = format!("Requests a second, as means over {}", duration(span_ms));
    text += if has_rate { ". The line shows the lowest allowed rate in each of these spans." } else { "." };
    if processes.len() > 1 {
        text += " The chart leaves out time in which no process worked on the run.";
    }
    match processes.iter().filter(|process| !process.is_whole).count() {
        0 if processes.iter().all(ProcessSpan::is_undisturbed) => {
            text += " DingTalk refused no request for its rate, and there was no pause.";
        }
        0 => {}
        all if all == processes.len() => text += " Rate, refusals and pauses were not recorded.",
        _ => text += " Only the requests of killed processes are known.",
    }
    text
}
