//! Whether DingTalk is down for everybody, so that rows do not spend their attempts on it one by one.
//!
//! Invariant: one row's own trouble, however often it comes, is no outage; an outage ends with the first answer that is no
//! trouble.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// So many rows in trouble one after the other, with no answer between, are no coincidence: at 5 % of errors that would
/// come once in three million requests.
const ROWS: usize = 5;
/// The pause before the first probe; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: what is lost at most once DingTalk is back.
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
    /// A row is in trouble; one that was so before says nothing about the others. During an outage, says how long
    /// everything waits before one request probes.
    pub(super) fn trouble(&mut self, was_before: bool, now: Instant) -> Option<Duration> {
        if self.outage.is_none() {
            self.in_trouble += usize::from(!was_before);
            if self.in_trouble < ROWS {
                return None;
            }
        }
        Some(self.no_answer(now))
    }

    /// DingTalk is out of reach whatever the row: how long everything waits.
    pub(super) fn no_answer(&mut self, now: Instant) -> Duration {
        let begin = || Outage { since: now, pauses: Backoff::doubling(FIRST_PAUSE, LONGEST_PAUSE) };
        self.outage.get_or_insert_with(begin).pauses.next_wait()
    }

    /// DingTalk answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// Whether DingTalk is down, as far as is known.
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
    fn five_rows_in_trouble_without_an_answer_between_are_an_outage() {
        let (mut breaker, now) = (OutageDetector::default(), Instant::now());
        for _ in 0..2 {
            breaker.answered();
            assert!((1..ROWS).all(|_| breaker.trouble(false, now).is_none()));
        }
        assert_eq!(breaker.trouble(false, now), Some(FIRST_PAUSE));
        assert!(breaker.is_open());
    }

    #[test]
    fn rows_that_were_in_trouble_before_are_no_outage() {
        let (mut breaker, now) = (OutageDetector::default(), Instant::now());
        assert!((0..100).all(|_| breaker.trouble(true, now).is_none()));
    }

    #[test]
    fn probes_come_less_and_less_often_until_one_is_answered() {
        let (mut breaker, now) = (OutageDetector::default(), Instant::now());
        let pauses: Vec<u64> = (0..6).map(|_| breaker.no_answer(now).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 15, 15]);
        assert_eq!(breaker.lasting(now + FIRST_PAUSE), FIRST_PAUSE);
        breaker.answered();
        assert!(!breaker.is_open() && breaker.lasting(now).is_zero());
    }
}
