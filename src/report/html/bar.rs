//! The outcomes as one bar.
//!
//! Invariant: every outcome that a row has is seen, however few rows have it; the numbers beside it are exact.

use indicatif::HumanCount;

use super::{Look, count, look};
use crate::journal::RunIndex;
use crate::outcome::OutcomeKind;

/// The bar's length, in its own units.
const LENGTH: f64 = 1000.0;
/// The least that an outcome shows.
const LEAST: f64 = 6.0;
/// Between two outcomes.
const GAP: f64 = 2.0;

/// The bar and its legend.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    /// The outcomes that rows have.
    pub(super) parts: Vec<Part>,
    /// The same in words.
    pub(super) alternative: String,
}

/// One outcome's part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) look: Look,
    pub(super) rows: String,
    pub(super) share: String,
    pub(super) x: f64,
    pub(super) width: f64,
}

impl Bar {
    /// The bar of a run.
    pub(super) fn of(index: &RunIndex) -> Self {
        Self::from_counts(&OutcomeKind::ALL.map(|kind| (kind, count(index, kind))))
    }

    fn from_counts(counts: &[(OutcomeKind, u64)]) -> Self {
        let all: u64 = counts.iter().map(|(_, rows)| rows).sum();
        let shown = || counts.iter().filter(|(_, rows)| *rows > 0);
        let share = |rows: u64| rows as f64 / all as f64;
        let wide: f64 = shown().map(|(_, rows)| (share(*rows) * LENGTH).max(LEAST)).sum();
        let mut end = 0.0;
        let part = |(kind, rows): &(OutcomeKind, u64)| {
            let (x, length) = (end, (share(*rows) * LENGTH).max(LEAST) / wide * LENGTH);
            end += length;
            let width = if end < LENGTH - GAP { length - GAP } else { length };
            Part {
                look: look(*kind),
                rows: HumanCount(*rows).to_string(),
                share: percent(share(*rows)),
                x,
                width,
            }
        };
        let parts: Vec<Part> = shown().map(part).collect();
        let words = parts.iter().map(|part| format!("{} {}", part.look.label.to_lowercase(), part.rows));
        Self { alternative: words.collect::<Vec<_>>().join(", "), parts }
    }
}

/// A share, never told as none or all where it is not.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        100.0 => "100%".into(),
        ..0.1 => "<0.1%".into(),
        99.9.. => ">99.9%".into(),
        _ => format!("{percent:.1}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_among_a_hundred_thousand_rows_is_seen_and_told_exactly() {
        let bar = Bar::from_counts(&[
            (OutcomeKind::Closed, 100_000),
            (OutcomeKind::Failed, 1),
            (OutcomeKind::Invalid, 0),
        ]);
        let told: Vec<_> = bar.parts.iter().map(|part| (&*part.rows, &*part.share)).collect();
        assert_eq!(told, [("100,000", ">99.9%"), ("1", "<0.1%")]);
        let failed = &bar.parts[1];
        assert!(failed.width >= LEAST - GAP && (failed.x + failed.width - LENGTH).abs() < 0.01, "{failed:?}");
        assert_eq!(bar.alternative, "closed 100,000, failed 1");
    }

    #[test]
    fn parts_follow_each_other_in_proportion() {
        let bar = Bar::from_counts(&[(OutcomeKind::Closed, 3), (OutcomeKind::Failed, 1)]);
        let [closed, failed] = &bar.parts[..] else { panic!("{bar:?}") };
        assert!((closed.x, failed.x) == (0.0, 750.0) && closed.width < 750.0, "{bar:?}");
        assert_eq!((&*closed.share, &*failed.share), ("75.0%", "25.0%"));
    }

    #[test]
    fn no_row_is_no_bar() {
        assert_eq!(Bar::from_counts(&[(OutcomeKind::Closed, 0)]).parts, []);
    }
}
