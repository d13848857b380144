//! The geometry of the chart.

use askama::Template;
use indicatif::HumanCount;

use super::description::{ChartTotals, caption};
use super::scale::{FOOT, Scale, TOP, Tick, nice_step, short, ticks};
use crate::journal::{ProcessSpan, Span};
use crate::wording::duration;

const LANE: f64 = 30.0;
const LANE_GAP: f64 = 14.0;

#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "chart.html")]
pub(in crate::report::html) struct Chart {
    height: f64,
    foot: f64,
    /// Requests, one column for each span.
    pub(super) calls: String,
    /// The allowed rate, if it is known.
    pub(super) rate: Option<String>,
    pub(super) lanes: Vec<Lane>,
    pub(super) y_ticks: Vec<Tick>,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) breaks: Vec<Tick>,
    /// The drawing in words, for readers who do not see it.
    pub(super) alternative: String,
    /// How to read the drawing, and what is unknown.
    pub(super) caption: String,
}

/// A low row of columns below the requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    /// Its label, and its class in the style.
    pub(super) name: &'static str,
    pub(super) total: String,
    pub(super) foot: f64,
    pub(super) columns: String,
}

impl Chart {
    /// The chart of processes whose spans have one length, or none if no request was sent.
    pub(in crate::report::html) fn of(processes: &[ProcessSpan]) -> Option<Self> {
        let span_ms = processes.first()?.timeline.span_ms.max(1);
        let spans: Vec<Span> = processes.iter().flat_map(|process| process.timeline.spans.clone()).collect();
        if spans.iter().all(|span| span.calls == 0) {
            return None;
        }
        let seconds = span_ms as f64 / 1000.0;
        let scale = Scale { columns: spans.len() };
        let each = |value: fn(&Span) -> f64| spans.iter().map(value).collect::<Vec<f64>>();
        let per_second: Vec<f64> =
            each(|span| span.calls as f64).iter().map(|calls| calls / seconds).collect();
        let rates = rates(processes);
        let highest = per_second.iter().copied().chain(rates.iter().flatten().copied()).fold(0.0, f64::max);
        let step = nice_step(highest, 4.0);
        let top = (highest / step).ceil().max(1.0) * step;
        let height = |value: f64| FOOT - value / top * (FOOT - TOP);

        let totals = ChartTotals::of(&spans, &per_second, &rates);
        let refused = each(|span| span.refused as f64);
        let paused = each(|span| span.paused_ms as f64);
        let paused: Vec<f64> = paused.iter().map(|ms| ms / span_ms as f64).collect();
        let drawn = [
            ("refused", &refused, format!("{} in total", HumanCount(totals.refused))),
            ("paused", &paused, format!("{} in total", duration(totals.paused_ms))),
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
            breaks: scale.breaks(processes),
            alternative: totals.in_words(span_ms.saturating_mul(spans.len() as u64)),
            caption: caption(processes, span_ms, rates.iter().any(Option::is_some)),
        })
    }
}

/// The allowed rate of each span, in requests a second, if it is known. A rate is valid until the next one.
fn rates(processes: &[ProcessSpan]) -> Vec<Option<f64>> {
    let of_process = |process: &ProcessSpan| {
        let mut known = None;
        let rate = |span: &Span| {
            known = Some(span.per_1000_s as f64 / 1000.0).filter(|rate| *rate > 0.0).or(known);
            known
        };
        process.timeline.spans.iter().map(rate).collect::<Vec<_>>()
    };
    processes.iter().flat_map(of_process).collect()
}
