//! The table at the end of a run.
//!
//! Invariant: it is made from the summary alone, so that it agrees with summary.json.

use crate::dingtalk::hint;
use crate::outcome::OutcomeKind;
use crate::report::{Summary, rate_text};
use crate::wording::{count, duration};

/// The notes beside the table: why the run stopped early, and the hint of each code.
pub(crate) fn end_notes(summary: &Summary) -> Vec<String> {
    let mut lines = vec![];
    if !summary.detail.is_empty() {
        lines.push(format!("stopped early: {}", summary.detail));
    }
    for (code, rows) in &summary.codes {
        if let Some(advice) = hint(code) {
            lines.push(format!("hint: {code} ({}): {advice}", count(*rows, "row")));
        }
    }
    lines.extend(rate_text::advice(&summary.pace).map(|advice| format!("hint: {advice}")));
    lines
}

/// Outcomes, calls and time.
pub(crate) fn closing_table(summary: &Summary) -> String {
    let counted =
        OutcomeKind::ALL.map(|kind| (kind, summary.outcomes.get(kind.name()).copied().unwrap_or(0)));
    let shown = counted.into_iter().filter(|(kind, rows)| *rows > 0 || *kind == OutcomeKind::Closed);
    let mut lines: Vec<String> = shown.map(|(kind, rows)| line(kind.name(), rows)).collect();
    lines.push(line("rows in", summary.rows_in));
    lines.push(figures(summary));
    lines.extend(rate_text::changes(&summary.pace).map(|rates| format!("rate: {rates}")));
    lines.join("\n")
}

fn line(name: &str, rows: u64) -> String {
    format!("{name:<16}{rows:>10}")
}

fn figures(summary: &Summary) -> String {
    let mut text = format!("{} in {}", count(summary.calls, "call"), duration(summary.duration_ms));
    if summary.throttled_calls > 0 {
        text += &format!(", {} throttled", summary.throttled_calls);
    }
    if summary.paused_ms > 0 {
        text += &format!(", {} in pauses", duration(summary.paused_ms));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_outcomes_with_rows_have_a_line_and_the_numbers_are_aligned() {
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
        let one = Summary { calls: 1, throttled_calls: 0, ..summary };
        assert!(closing_table(&one).ends_with("\n1 call in 1m 7s"));
    }
}
