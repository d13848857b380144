//! The outcomes as one bar.
//!
//! Invariant: every outcome that a row has is visible, however few rows have it. The numbers in the legend are exact.

use indicatif::HumanCount;

use super::outcome_style::{OutcomeStyle, outcome_style};
use crate::journal::RunIndex;
use crate::outcome::OutcomeKind;

/// The bar's length, in units of the drawing.
const LENGTH: f64 = 1000.0;
/// The least length of an outcome's segment.
const MIN_LENGTH: f64 = 6.0;
/// The gap between two segments.
const GAP: f64 = 2.0;

/// The bar and its legend.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OutcomeBar {
    /// One for each outcome that rows have.
    pub(super) segments: Vec<BarSegment>,
    /// The same in words, for readers who do not see the drawing.
    pub(super) alternative: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct BarSegment {
    pub(super) style: OutcomeStyle,
    pub(super) rows: String,
    pub(super) share: String,
    pub(super) x: f64,
    pub(super) width: f64,
}

impl OutcomeBar {
    pub(super) fn of(index: &RunIndex) -> Self {
        Self::from_counts(&OutcomeKind::ALL.map(|kind| (kind, index.count_of(kind))))
    }

    fn from_counts(counts: &[(OutcomeKind, u64)]) -> Self {
        let all: u64 = counts.iter().map(|(_, rows)| rows).sum();
        let shown = || counts.iter().filter(|(_, rows)| *rows > 0);
        let share = |rows: u64| rows as f64 / all as f64;
        let total_length: f64 = shown().map(|(_, rows)| (share(*rows) * LENGTH).max(MIN_LENGTH)).sum();
        let mut end = 0.0;
        let segment = |(kind, rows): &(OutcomeKind, u64)| {
            let (x, length) = (end, (share(*rows) * LENGTH).max(MIN_LENGTH) / total_length * LENGTH);
            end += length;
            let width = if end < LENGTH - GAP { length - GAP } else { length };
            BarSegment {
                style: outcome_style(*kind),
                rows: HumanCount(*rows).to_string(),
                share: percent(share(*rows)),
                x,
                width,
            }
        };
        let segments: Vec<BarSegment> = shown().map(segment).collect();
        let words = segments.iter().map(|part| format!("{} {}", part.rows, part.style.label.to_lowercase()));
        Self { alternative: words.collect::<Vec<_>>().join(", "), segments }
    }
}

/// A share in percent. Only none is 0%, and only all is 100%.
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
    fn one_failure_among_a_hundred_thousand_rows_is_visible_and_counted_exactly() {
        let bar = OutcomeBar::from_counts(&[
            (OutcomeKind::Closed, 100_000),
            (OutcomeKind::Failed, 1),
            (OutcomeKind::Invalid, 0),
        ]);
        let legend: Vec<_> = bar.segments.iter().map(|part| (&*part.rows, &*part.share)).collect();
        assert_eq!(legend, [("100,000", ">99.9%"), ("1", "<0.1%")]);
        let failed = &bar.segments[1];
        assert!(
            failed.width >= MIN_LENGTH - GAP && (failed.x + failed.width - LENGTH).abs() < 0.01,
            "{failed:?}"
        );
        assert_eq!(bar.alternative, "100,000 closed, 1 failed");
    }

    #[test]
    fn segments_are_as_long_as_their_shares() {
        let bar = OutcomeBar::from_counts(&[(OutcomeKind::Closed, 3), (OutcomeKind::Failed, 1)]);
        let [closed, failed] = &bar.segments[..] else { panic!("{bar:?}") };
        assert!((closed.x, failed.x) == (0.0, 750.0) && closed.width < 750.0, "{bar:?}");
        assert_eq!((&*closed.share, &*failed.share), ("75.0%", "25.0%"));
    }

    #[test]
    fn a_run_without_rows_has_no_bar() {
        assert_eq!(OutcomeBar::from_counts(&[(OutcomeKind::Closed, 0)]).segments, []);
    }
}
