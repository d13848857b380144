//! Converts numbers to places on the drawing.

use std::fmt::Write as _;

use crate::journal::ProcessSpan;
use crate::report::html::numbers::{day, time_of_day};
use crate::wording::duration;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 64.0;
/// The top of the drawing of requests.
pub(super) const TOP: f64 = 30.0;
/// Its foot.
pub(super) const FOOT: f64 = 210.0;

/// The width of a continuation's label.
const LABEL_WIDTH: f64 = 210.0;

/// A place on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// The horizontal scale: one column for each span.
pub(super) struct Scale {
    pub(super) columns: usize,
}

impl Scale {
    fn x(&self, column: usize) -> f64 {
        LEFT + column as f64 / self.columns as f64 * (RIGHT - LEFT)
    }

    /// One column for each value, as one path.
    pub(super) fn columns(&self, values: &[f64], foot: f64, top: impl Fn(f64) -> f64) -> String {
        let width = (RIGHT - LEFT) / self.columns as f64;
        let gap = if width > 6.0 { 1.5 } else { 0.0 };
        let mut path = String::new();
        for (column, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            let (x, y) = (self.x(column), top(*value).min(foot - 1.0));
            let _ = write!(path, "M{x:.1} {foot:.1}V{y:.1}h{:.1}V{foot:.1}z", width - gap);
        }
        path
    }

    /// A line of steps, with a gap where there is no value.
    pub(super) fn steps(&self, values: &[Option<f64>], top: impl Fn(f64) -> f64) -> Option<String> {
        let mut path = String::new();
        let mut is_broken = true;
        for (column, value) in values.iter().enumerate() {
            if let Some(value) = value {
                let (x, y) = (self.x(column), top(*value));
                let _ = if is_broken { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "V{y:.1}") };
                let _ = write!(path, "H{:.1}", self.x(column + 1));
            }
            is_broken = value.is_none();
        }
        (!path.is_empty()).then_some(path)
    }

    pub(super) fn x_ticks(&self, span_ms: u64) -> Vec<Tick> {
        const DAY: u64 = 24 * 3600;
        const STEPS: [u64; 15] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 6 * 3600];
        let all_ms = span_ms.saturating_mul(self.columns as u64);
        let all = all_ms / 1000;
        let step = STEPS.into_iter().find(|step| all / step <= 8).unwrap_or((all / 8 / DAY + 1) * DAY);
        let seconds = (0..=all / step).map(|number| number * step);
        let tick = |second: u64| Tick {
            at: LEFT + second as f64 * 1000.0 / all_ms as f64 * (RIGHT - LEFT),
            label: if second == 0 { "0".into() } else { duration(second * 1000) },
        };
        seconds.map(tick).collect()
    }

    /// Where later processes continued the run, with the time if there is room for it.
    pub(super) fn breaks(&self, processes: &[ProcessSpan]) -> Vec<Tick> {
        let mut column = 0;
        let mut last_label = f64::NEG_INFINITY;
        let line = |pair: &[ProcessSpan]| {
            column += pair[0].timeline.spans.len();
            let (at, begun_at) = (self.x(column), pair[1].begun_at);
            let mut label = String::new();
            if at - last_label >= LABEL_WIDTH {
                last_label = at;
                label = format!("continued {}, {}", day(begun_at), time_of_day(begun_at));
            }
            Tick { at, label }
        };
        processes.windows(2).map(line).collect()
    }
}

/// A step of 1, 2 or 5 times a power of ten by which an axis up to `highest` has about `ticks` ticks.
pub(super) fn nice_step(highest: f64, ticks: f64) -> f64 {
    let rough = (highest / ticks).max(0.01);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
}

pub(super) fn ticks(top: f64, step: f64) -> impl Iterator<Item = f64> {
    (0u32..).map(move |number| f64::from(number) * step).take_while(move |value| *value <= top + step / 2.0)
}

/// A number with at most two decimals, and without trailing zeros.
pub(super) fn short(value: f64) -> String {
    ((value * 100.0).round() / 100.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_about_four_round_ticks() {
        for (highest, step) in
            [(18.0, 5.0), (20.0, 5.0), (0.5, 0.2), (1000.0, 500.0), (3.0, 1.0), (0.0, 0.01)]
        {
            assert!((nice_step(highest, 4.0) - step).abs() < 1e-9, "{highest}: {}", nice_step(highest, 4.0));
        }
        assert_eq!(ticks(20.0, 5.0).map(short).collect::<Vec<_>>(), ["0", "5", "10", "15", "20"]);
    }

    #[test]
    fn time_has_at_most_nine_ticks_however_long_it_is() {
        for (columns, span_ms, last) in
            [(2, 1000, "2s"), (100, 1000, "1m 30s"), (240, 16_000, "1h"), (200, 4_096_000, "192h")]
        {
            let ticks = Scale { columns }.x_ticks(span_ms);
            assert!((2..=9).contains(&ticks.len()), "{ticks:?}");
            assert_eq!(ticks.last().unwrap().label, last);
            assert!(ticks.iter().all(|tick| tick.at <= RIGHT + 0.01));
        }
    }

    #[test]
    fn a_line_has_a_gap_where_the_value_is_unknown() {
        let scale = Scale { columns: 4 };
        let line = scale.steps(&[Some(1.0), Some(2.0), None, Some(2.0)], |value| value * 10.0);
        assert_eq!(line.as_deref(), Some("M56.0 10.0H266.0V20.0H476.0M686.0 20.0H896.0"));
        assert_eq!(scale.steps(&[None; 4], |value| value), None);
    }

    #[test]
    fn a_column_is_at_the_place_of_its_span_and_the_smallest_is_visible() {
        let path = Scale { columns: 3 }.columns(&[0.0, 0.001, 10.0], 210.0, |value| 210.0 - value * 10.0);
        assert_eq!(path, "M336.0 210.0V209.0h278.5V210.0zM616.0 210.0V110.0h278.5V210.0z");
    }
}
