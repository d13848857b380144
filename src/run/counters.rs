//! What this process counts in its run, for the run's last record.
//!
//! Invariant: a pause counts for as long as it lasted, however long it was meant to last.

use std::time::Duration;

use tokio::time::Instant;

use crate::journal::{PaceTotals, Timeline, Totals};
use crate::outcome::OutcomeKind;
use crate::pace::{Pacer, RateController};

/// What was counted so far.
#[derive(Debug)]
pub(super) struct Counters {
    start: Instant,
    totals: Totals,
    paused_since: Option<Instant>,
}

impl Counters {
    pub(super) fn new(start: Instant, requests_per_second: f64) -> Self {
        let mut timeline = Timeline::default();
        timeline.rate(Duration::ZERO, per_1000_s(requests_per_second));
        let configured = per_1000_s(requests_per_second);
        let pace = PaceTotals { configured, lowest: configured, last: configured, unrefused: None };
        Self { start, totals: Totals { pace, timeline, ..Totals::default() }, paused_since: None }
    }

    /// A request was sent.
    pub(super) fn call(&mut self, now: Instant) {
        self.totals.calls += 1;
        self.totals.timeline.call(now - self.start);
    }

    /// DingTalk refused a request for its rate, or banned this address.
    pub(super) fn refused(&mut self, now: Instant) {
        self.totals.throttled_calls += 1;
        self.totals.timeline.refusal(now - self.start);
    }

    /// A row got its outcome.
    pub(super) fn outcome(&mut self, kind: OutcomeKind) {
        *self.totals.outcomes.entry(kind.name().to_owned()).or_default() += 1;
    }

    pub(super) fn rate(&mut self, per_second: f64, now: Instant) {
        self.totals.timeline.rate(now - self.start, per_1000_s(per_second));
    }

    pub(super) fn paused(&mut self, now: Instant) {
        self.paused_since.get_or_insert(now);
    }

    /// No pause is on. Returns whether one was on until now.
    pub(super) fn resumed(&mut self, now: Instant) -> bool {
        let Some(since) = self.paused_since.take() else { return false };
        self.totals.timeline.pause(since - self.start, now - self.start);
        self.totals.paused_ms += u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        true
    }

    /// The totals of a run that ends now.
    pub(super) fn into_totals(mut self, pacer: &Pacer, now: Instant) -> Totals {
        self.resumed(now);
        let pace = &mut self.totals.pace;
        if let Some((lowest, last)) = pacer.lowest_and_last() {
            (pace.lowest, pace.last) = (per_1000_s(lowest), per_1000_s(last));
        }
        pace.unrefused = pacer.controller().and_then(RateController::unrefused).map(per_1000_s);
        self.totals
    }
}

/// A rate as a whole number, because the journal's canonical form has no fractions.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a checked rate is at most 1e6 a second"
)]
fn per_1000_s(per_second: f64) -> u64 {
    (per_second * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_for_as_long_as_it_lasted_and_not_as_long_as_it_was_meant_to_last() {
        let start = Instant::now();
        let mut counters = Counters::new(start, 18.0);
        counters.paused(start + Duration::from_secs(1));
        counters.paused(start + Duration::from_secs(2));
        assert!(counters.resumed(start + Duration::from_secs(3)) && !counters.resumed(start));
        assert_eq!((counters.totals.paused_ms, counters.totals.timeline.spans[2].paused_ms), (2000, 1000));
    }

    #[test]
    fn a_rate_is_a_whole_number_of_requests_in_a_thousand_seconds() {
        assert_eq!((per_1000_s(18.0), per_1000_s(0.5), per_1000_s(58.2)), (18_000, 500, 58_200));
    }
}
