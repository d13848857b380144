//! Whether DingTalk is down for every row. In an outage, rows do not spend their attempts one by one.
//!
//! Invariant: trouble of one row alone, however often it comes, is no outage. An outage ends with the first answer that is no
//! trouble.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// This many rows in trouble, with no answer between, are an outage. By chance alone, at an error rate of 5 %, that would
/// happen once in three million requests.
const ROWS: usize = 5;
/// The pause before the first probe. It doubles with each probe, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: a run loses at most this much time after DingTalk is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Watches for an outage.
#[derive(Debug, Default)]
pub(super) struct OutageDetector {
    in_trouble: usize,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    pauses: Backoff,
}

impl OutageDetector {
    /// A row is in trouble. Trouble that it had before says nothing about the other rows. During an outage, returns how long
    /// every row waits before one request probes.
    pub(super) fn trouble(&mut self, was_before: bool, now: Instant) -> Option<Duration> {
        if self.outage.is_none() {
            self.in_trouble += usize::from(!was_before);
            if self.in_trouble < ROWS {
                return None;
            }
        }
        Some(self.no_answer(now))
    }

    /// DingTalk is out of reach for every row. Returns how long every row waits.
    pub(super) fn no_answer(&mut self, now: Instant) -> Duration {
        let begin = || Outage { since: now, pauses: Backoff::doubling(FIRST_PAUSE, LONGEST_PAUSE) };
        self.outage.get_or_insert_with(begin).pauses.next_wait()
    }

    /// DingTalk answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// Whether an outage is known.
    pub(super) fn is_open(&self) -> bool {
        self.outage.is_some()
    }

    /// How long the outage has lasted.
    pub(super) fn lasting(&self, now: Instant) -> Duration {
        self.outage.as_ref().map_or(Duration::ZERO, |outage| now.saturating_duration_since(outage.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_rows_in_trouble_without_an_answer_between_them_are_an_outage() {
        let (mut detector, now) = (OutageDetector::default(), Instant::now());
        for _ in 0..2 {
            detector.answered();
            assert!((1..ROWS).all(|_| detector.trouble(false, now).is_none()));
        }
        assert_eq!(detector.trouble(false, now), Some(FIRST_PAUSE));
        assert!(detector.is_open());
    }

    #[test]
    fn repeated_trouble_of_the_same_rows_is_no_outage() {
        let (mut detector, now) = (OutageDetector::default(), Instant::now());
        assert!((0..100).all(|_| detector.trouble(true, now).is_none()));
    }

    #[test]
    fn the_pause_between_probes_doubles_up_to_15_seconds_until_an_answer_comes() {
        let (mut detector, now) = (OutageDetector::default(), Instant::now());
        let pauses: Vec<u64> = (0..6).map(|_| detector.no_answer(now).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 15, 15]);
        assert_eq!(detector.lasting(now + FIRST_PAUSE), FIRST_PAUSE);
        detector.answered();
        assert!(!detector.is_open() && detector.lasting(now).is_zero());
    }
}
