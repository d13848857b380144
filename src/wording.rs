//! Counts and times as people read them. It imports nothing of ours.

use std::time::Duration;

use jiff::fmt::friendly::{FractionalUnit, SpanPrinter};

/// A count with its noun: `1 row`, `2 rows`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Milliseconds as people say them: `2.3s`, `1m 5s`. Tenths are shown below ten seconds.
pub(crate) fn duration(milliseconds: u64) -> String {
    let rounded = match milliseconds {
        0..10_000 => milliseconds / 100 * 100,
        _ => milliseconds / 1000 * 1000,
    };
    SpanPrinter::new()
        .fractional(Some(FractionalUnit::Second))
        .unsigned_duration_to_string(&Duration::from_millis(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_as_it_is_said() {
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
    }
}
