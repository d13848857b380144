//! Writes counts and durations for people. It imports nothing of ours.

use std::time::Duration;

use jiff::fmt::friendly::{FractionalUnit, SpanPrinter};

/// A count with its noun: `1 row`, `2 rows`, `2 retries`. Expects a noun whose plural ends in `s`, `es` or `ies`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {}", plural(noun)) }
}

fn plural(noun: &str) -> String {
    let ends_in = |endings: &[&str]| endings.iter().any(|ending| noun.ends_with(ending));
    match noun.strip_suffix('y') {
        Some(stem) if !ends_in(&["ay", "ey", "oy", "uy"]) => format!("{stem}ies"),
        _ if ends_in(&["s", "x", "ch", "sh"]) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

/// Milliseconds as a duration: `2.3s`, `1m 5s`. Below ten seconds it has tenths.
pub(crate) fn duration(milliseconds: u64) -> String {
    let rounded = match milliseconds {
        0..10_000 => milliseconds / 100 * 100,
        _ => milliseconds / 1000 * 1000,
    };
    SpanPrinter::new()
        .fractional(Some(FractionalUnit::Second))
        .unsigned_duration_to_string(&Duration::from_millis(rounded))
}

/// The same, with milliseconds below a second: `40ms`.
pub(crate) fn precise_duration(milliseconds: u64) -> String {
    if milliseconds < 1000 { format!("{milliseconds}ms") } else { duration(milliseconds) }
}

/// Foreign text, with a replacement character for each character that could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_tenths_below_ten_seconds_only() {
        assert_eq!(duration(2_345), "2.3s");
        assert_eq!(duration(65_999), "1m 5s");
        assert_eq!(duration(3_600_000), "1h");
    }

    #[test]
    fn a_count_has_its_noun_in_the_right_number() {
        assert_eq!(
            ["0 rows", "1 row", "2 rows"].map(str::to_owned),
            [0, 1, 2].map(|number| count(number, "row"))
        );
        assert_eq!([count(1, "retry"), count(2, "retry")], ["1 retry", "2 retries"]);
        assert_eq!([count(2, "key"), count(2, "batch")], ["2 keys", "2 batches"]);
    }

    #[test]
    fn a_foreign_text_cannot_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\u{7f}\n会"), "a\u{fffd}[2J\u{fffd}\u{fffd}会");
    }
}
