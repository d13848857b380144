//! What the drawing shows, in words, and what it cannot say by itself.

use indicatif::HumanCount;

use super::super::story::counted;
use super::short;
use crate::journal::ProcessSpan;
use crate::journal::Span;
use crate::wording::duration;

/// What the spans come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sums {
    calls: u64,
    pub(super) refused: u64,
    pub(super) paused_ms: u64,
    /// The most requests a second.
    busiest: f64,
    /// The highest and the lowest rate that was allowed, where it is known.
    rates: Option<(f64, f64)>,
}

impl Sums {
    /// Adds them up.
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

    /// The drawing for whoever does not see it.
    pub(super) fn told(&self, all_ms: u64) -> String {
        let requests = counted(self.calls, "request");
        let mut text =
            format!("{requests} in {}, {} a second at most", duration(all_ms), short(self.busiest));
        match self.rates {
            Some((highest, lowest)) if lowest < highest => {
                text += &format!("; the rate fell to {}", short(lowest));
            }
            Some((rate, _)) => text += &format!("; the rate was {}", short(rate)),
            None => {}
        }
        if self.refused > 0 {
            text += &format!("; {} refused for the rate", HumanCount(self.refused));
        }
        if self.paused_ms > 0 {
            text += &format!("; {} in pauses", duration(self.paused_ms));
        }
        text + "."
    }
}

/// How to read the drawing, and what is not known.
pub(super) fn caption(stretches: &[ProcessSpan], span_ms: u64, has_rate: bool) -> String {
    let mut text = format!("Requests a second, over spans of {}", duration(span_ms));
    text += if has_rate { "; the line is the lowest rate that was allowed in each." } else { "." };
    if stretches.len() > 1 {
        text += " Time in which nothing worked on the run is left out.";
    }
    match stretches.iter().filter(|stretch| !stretch.is_whole).count() {
        0 if stretches.iter().all(ProcessSpan::is_undisturbed) => {
            text += " Nothing was refused for the rate, and nothing paused.";
        }
        0 => {}
        all if all == stretches.len() => text += " How rate, refusals and pauses went was not recorded.",
        _ => text += " Of a process that was killed, only the requests are known.",
    }
    text
}
