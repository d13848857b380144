//! The table that a run ends with.

use std::time::Duration;

use jiff::fmt::friendly::SpanPrinter;

use super::Summary;
use crate::outcome::OutcomeKind;

/// Outcomes, calls and time, for people.
pub fn closing_table(summary: &Summary) -> String {
    let counted =
        OutcomeKind::ALL.map(|kind| (kind, summary.outcomes.get(kind.name()).copied().unwrap_or(0)));
    let shown = counted.into_iter().filter(|(kind, rows)| *rows > 0 || *kind == OutcomeKind::Closed);
    let mut lines: Vec<String> = shown.map(|(kind, rows)| line(kind.name(), rows)).collect();
    lines.push(line("rows in", summary.rows_in));
    lines.push(figures(summary));
    lines.extend(summary.pace.told());
    lines.join("\n")
}

fn line(name: &str, rows: u64) -> String {
    format!("{name:<16}{rows:>10}")
}

fn figures(summary: &Summary) -> String {
    let mut text = format!("{} calls in {}", summary.calls, human(summary.duration_ms));
    if summary.throttled_calls > 0 {
        text += &format!(", {} throttled", summary.throttled_calls);
    }
    if summary.paused_ms > 0 {
        text += &format!(", {} in pauses", human(summary.paused_ms));
    }
    text
}

/// Milliseconds as people say them.
pub(super) fn human(milliseconds: u64) -> String {
    let rounded = match milliseconds {
        0..10_000 => milliseconds / 100 * 100,
        _ => milliseconds / 1000 * 1000,
    };
    SpanPrinter::new()
        .fractional(Some(jiff::fmt::friendly::FractionalUnit::Second))
        .unsigned_duration_to_string(&Duration::from_millis(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_lined_up_and_those_without_rows_are_left_out() {
        let summary = Summary {
            outcomes: [("closed", 1200), ("failed", 3), ("invalid", 0)].into(),
            rows_in: 1203,
            calls: 1210,
            duration_ms: 67_000,
            throttled_calls: 4,
            ..Summary::default()
        };
        let expected = [
            "closed                1200",
            "failed                   3",
            "rows in               1203",
            "1210 calls in 1m 7s, 4 throttled",
        ];
        assert_eq!(closing_table(&summary).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_time_is_told_as_people_say_it() {
        assert_eq!(human(2_345), "2.3s");
        assert_eq!(human(65_999), "1m 5s");
        assert_eq!(human(3_600_000), "1h");
    }
}
