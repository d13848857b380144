//! Requests, the rate, refusals and pauses over time, as a drawing.
//!
//! Time in which no process worked on the run is left out; a line marks where another process went on.
//!
//! Invariant: what is not known is not drawn as if it were nothing: a process that was killed leaves its requests alone,
//! and the chart says so.

mod scale;
mod words;

use askama::Template;
use indicatif::HumanCount;

use self::scale::{Scale, nice_step, short, ticks};
use self::words::{Sums, caption};
use crate::journal::ProcessSpan;
use crate::journal::Span;
use crate::wording::duration;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 64.0;
/// The top of the drawing of requests.
const TOP: f64 = 30.0;
/// Its foot.
const FOOT: f64 = 210.0;
const LANE: f64 = 30.0;
const LANE_GAP: f64 = 14.0;

/// The drawing.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "chart.html")]
pub(super) struct Chart {
    height: f64,
    foot: f64,
    /// Requests, a column a span.
    calls: String,
    /// The rate that was allowed, where it is known.
    rate: Option<String>,
    lanes: Vec<Lane>,
    y_ticks: Vec<Tick>,
    x_ticks: Vec<Tick>,
    breaks: Vec<Tick>,
    /// What the drawing shows, for whoever does not see it.
    alternative: String,
    /// What the drawing cannot say by itself.
    caption: String,
}

/// A narrow drawing below the requests.
#[derive(Debug, Clone, PartialEq)]
struct Lane {
    /// Its label, and its class in the style.
    name: &'static str,
    total: String,
    foot: f64,
    columns: String,
}

/// A place on an axis.
#[derive(Debug, Clone, PartialEq)]
struct Tick {
    at: f64,
    label: String,
}

impl Chart {
    /// The drawing of stretches with spans of one length; none where no request left.
    pub(super) fn of(stretches: &[ProcessSpan]) -> Option<Self> {
        let span_ms = stretches.first()?.timeline.span_ms.max(1);
        let spans: Vec<Span> = stretches.iter().flat_map(|stretch| stretch.timeline.spans.clone()).collect();
        if spans.iter().all(|span| span.calls == 0) {
            return None;
        }
        let seconds = span_ms as f64 / 1000.0;
        let scale = Scale { columns: spans.len() };
        let each = |value: fn(&Span) -> f64| spans.iter().map(value).collect::<Vec<f64>>();
        let per_second: Vec<f64> =
            each(|span| span.calls as f64).iter().map(|calls| calls / seconds).collect();
        let rates = rates(stretches);
        let highest = per_second.iter().copied().chain(rates.iter().flatten().copied()).fold(0.0, f64::max);
        let step = nice_step(highest, 4.0);
        let top = (highest / step).ceil().max(1.0) * step;
        let height = |value: f64| FOOT - value / top * (FOOT - TOP);

        let sums = Sums::of(&spans, &per_second, &rates);
        let refused = each(|span| span.refused as f64);
        let paused = each(|span| span.paused_ms as f64);
        let paused: Vec<f64> = paused.iter().map(|ms| ms / span_ms as f64).collect();
        let drawn = [
            ("refused", &refused, format!("{} in all", HumanCount(sums.refused))),
            ("paused", &paused, format!("{} in all", duration(sums.paused_ms))),
        ];
        let drawn = drawn.into_iter().filter(|(_, values, _)| values.iter().any(|value| *value > 0.0));
        let lane = |((name, values, total), number): ((&'static str, &Vec<f64>, String), u32)| {
            let foot = FOOT + f64::from(number) * (LANE + LANE_GAP);
            let highest = values.iter().copied().fold(1.0, f64::max);
            let columns = scale.columns(values, foot, |value| foot - value / highest * LANE);
            Lane { name, total, foot, columns }
        };
        let lanes: Vec<Lane> = drawn.zip(1u32..).map(lane).collect();
        let foot = lanes.last().map_or(FOOT, |lane| lane.foot);
        Some(Self {
            height: foot + 40.0,
            foot,
            calls: scale.columns(&per_second, FOOT, height),
            rate: scale.steps(&rates, height),
            lanes,
            y_ticks: ticks(top, step).map(|value| Tick { at: height(value), label: short(value) }).collect(),
            x_ticks: scale.x_ticks(span_ms),
            breaks: scale.breaks(stretches),
            alternative: sums.told(span_ms.saturating_mul(spans.len() as u64)),
            caption: caption(stretches, span_ms, rates.iter().any(Option::is_some)),
        })
    }
}

/// The rate allowed in each span, in requests a second, where it is known: a rate holds until the next one.
fn rates(stretches: &[ProcessSpan]) -> Vec<Option<f64>> {
    let stretch = |stretch: &ProcessSpan| {
        let mut known = None;
        let held = |span: &Span| {
            known = Some(span.per_1000_s as f64 / 1000.0).filter(|rate| *rate > 0.0).or(known);
            known
        };
        stretch.timeline.spans.iter().map(held).collect::<Vec<_>>()
    };
    stretches.iter().flat_map(stretch).collect()
}

#[cfg(test)]
mod tests;
