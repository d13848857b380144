//! The only file that reads a clock or waits. So a test can pause time.
//!
//! Invariant: [`Clock::wait_until`] never returns before its instant.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// tokio's timer ticks once a millisecond. So its sleep ends late by up to this much.
const TIMER_TICK: Duration = Duration::from_millis(1);
/// The operating system's timers are late by about 60 µs. So we ask it to wake us this much early.
const WAKE_MARGIN: Duration = Duration::from_micros(100);

/// Where "now" comes from, and how to wait for an instant.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clocks. A wait is exact to a few microseconds, because a rate limiter without burst loses the time by which
    /// each wait is late. At 200 requests a second, tokio's tick alone would cost a tenth of the rate.
    System,
    /// tokio's clock, which a test can pause. Its timestamps count from `epoch`.
    Tokio {
        /// The timestamp of `start`.
        epoch: Timestamp,
        /// The instant at which the clock was made.
        start: Instant,
    },
}

impl Clock {
    /// tokio's clock, counting timestamps from 2026-01-01.
    pub fn tokio() -> Self {
        let epoch = Timestamp::from_second(1_767_225_600).expect("2026 is in the range of timestamps");
        Self::Tokio { epoch, start: Instant::now() }
    }

    /// Now, for measuring and waiting.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Now, for records and reports: UTC, in whole milliseconds.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn timestamp(&self) -> Timestamp {
        let exact = match self {
            Self::System => Timestamp::now(),
            Self::Tokio { epoch, start } => {
                let elapsed =
                    start.elapsed().try_into().expect("a test's time stays in the range of timestamps");
                epoch
                    .checked_add::<jiff::SignedDuration>(elapsed)
                    .expect("a test's time stays in the range of timestamps")
            }
        };
        Timestamp::from_millisecond(exact.as_millisecond())
            .expect("a timestamp cut to milliseconds is in range")
    }

    /// Waits until `at` has come.
    pub async fn wait_until(&self, at: Instant) {
        match self {
            Self::Tokio { .. } => tokio::time::sleep_until(at).await,
            Self::System => wait_precisely(at).await,
        }
    }
}

/// Sleeps with tokio's timer as long as its tick allows, then with the operating system's, and yields for the rest.
async fn wait_precisely(at: Instant) {
    let left = || at.saturating_duration_since(Instant::now());
    if left() > 2 * TIMER_TICK {
        tokio::time::sleep_until(at - 2 * TIMER_TICK).await;
    }
    let nap = left().saturating_sub(WAKE_MARGIN);
    if !nap.is_zero() {
        // If the blocking pool refuses the task (the runtime shuts down), only the loop below takes longer.
        let _ = tokio::task::spawn_blocking(move || blocking_sleep(nap)).await;
    }
    while !left().is_zero() {
        tokio::task::yield_now().await;
    }
}

/// A timestamp as the journal and the reports write it: RFC 3339, UTC, milliseconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// [`rfc3339`] for serde.
pub(crate) mod rfc3339_serde {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes a timestamp.
    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{at:.3}"))
    }

    /// Reads a timestamp.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Blocks this thread. Only for threads of our own, never for those of the runtime.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn blocking_sleep(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_advances_by_what_was_waited() {
        let clock = Clock::tokio();
        let (start, epoch) = (clock.now(), clock.timestamp());
        clock.wait_until(start + Duration::from_millis(1500)).await;
        assert_eq!(clock.now() - start, Duration::from_millis(1500));
        assert_eq!(clock.timestamp().duration_since(epoch).as_millis(), 1500);
    }

    #[test]
    fn a_written_timestamp_always_has_milliseconds() {
        assert_eq!(rfc3339("2026-11-23T18:00:00Z".parse().unwrap()), "2026-11-23T18:00:00.000Z");
        assert_eq!(rfc3339("2026-11-23T18:00:00.12Z".parse().unwrap()), "2026-11-23T18:00:00.120Z");
    }

    #[tokio::test]
    async fn a_precise_wait_never_ends_early() {
        for micros in [0, 50, 150, 1_500, 3_700] {
            let at = Instant::now() + Duration::from_micros(micros);
            Clock::System.wait_until(at).await;
            assert!(Instant::now() >= at);
        }
    }
}
