//! Counts and times in the page's own form: separators in large counts, and times in UTC.

use indicatif::HumanCount;
use jiff::Timestamp;

/// A count with its noun: `1 row`, `50,000 rows`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number))
}

/// `23 Nov 2026`, in UTC.
pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%-d %b %Y").to_string()
}

/// `19:07:02`, in UTC.
pub(super) fn time_of_day(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}
