//! The table that a run ends with.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use jiff::fmt::friendly::SpanPrinter;

use super::Summary;
use crate::outcome::OutcomeKind;

/// Outcomes, calls and time, for people.
pub fn closing_table(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["outcome", "rows"]);
    for kind in OutcomeKind::ALL {
        let rows = summary.outcomes.get(kind.name()).copied().unwrap_or(0);
        if rows > 0 || kind == OutcomeKind::Closed {
            table.add_row([kind.name().to_owned(), rows.to_string()]);
        }
    }
    table.add_row(["rows in".to_owned(), summary.rows_in.to_string()]);
    if let Some(rows) = table.column_mut(1) {
        rows.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n{}", figures(summary))
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
    fn a_time_is_told_as_people_say_it() {
        assert_eq!(human(2_345), "2.3s");
        assert_eq!(human(65_999), "1m 5s");
        assert_eq!(human(3_600_000), "1h");
    }
}
