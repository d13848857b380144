//! The rate limiter: governor, driven by tokio's clock and never by its own timer.
//!
//! governor's `until_ready` sleeps on a timer of its own, which a paused clock does not move. N tasks that wait for it cost N²
//! wake-ups. So here one task asks [`Limiter::take_permit`], which says when to ask again.
//!
//! Invariant: no span of time holds more permits than the rate and the burst allow.

use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::settings::PaceSettings;

/// Grants permits, one for each request.
#[derive(Debug)]
pub(crate) struct Limiter {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>,
}

impl Limiter {
    /// A limiter that grants `requests_per_second`, and up to `burst` at once after a time without requests.
    pub(crate) fn new(settings: &PaceSettings) -> Self {
        let quota = Quota::with_period(interval(settings.requests_per_second))
            .expect("the interval of a checked rate is not zero")
            .allow_burst(settings.burst);
        Self { limiter: RateLimiter::direct_with_clock(quota, TokioClock) }
    }

    /// Takes a permit, or says when there is one.
    pub(crate) fn take_permit(&self) -> Result<(), Instant> {
        self.limiter.check().map_err(|refusal| refusal.earliest_possible().0)
    }
}

/// The time between two requests, rounded up: a limiter may be slow by a nanosecond and never fast by one.
fn interval(requests_per_second: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a checked rate gives 1 µs to 1,000 s"
    )]
    let nanos = (1e9 / requests_per_second).ceil() as u64;
    Duration::from_nanos(nanos)
}

/// tokio's clock, which tests can pause.
#[derive(Debug, Clone, Copy)]
struct TokioClock;

/// An instant of tokio's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

impl GovernorClock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::settings::tests::load_text;

    fn limiter(rate: f64, burst: u32) -> Limiter {
        let text = format!("[pace]\nrequests_per_second = {rate}\nburst = {burst}");
        Limiter::new(&load_text(&text).unwrap().pace)
    }

    /// The offsets, in milliseconds, of the first `count` permits that a waiting task takes.
    async fn take(limiter: &Limiter, clock: &Clock, count: usize) -> Vec<u128> {
        let start = clock.now();
        let mut offsets = vec![];
        while offsets.len() < count {
            match limiter.take_permit() {
                Ok(()) => offsets.push((clock.now() - start).as_millis()),
                Err(at) => clock.wait_until(at).await,
            }
        }
        offsets
    }

    #[tokio::test(start_paused = true)]
    async fn permits_come_at_the_rate_from_the_first_second_on() {
        let offsets = take(&limiter(20.0, 1), &Clock::tokio(), 41).await;
        assert_eq!(offsets, (0..=40).map(|n| n * 50).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_granted_at_once_and_the_rate_holds_afterwards() {
        let offsets = take(&limiter(10.0, 3), &Clock::tokio(), 6).await;
        assert_eq!(offsets, [0, 0, 0, 100, 200, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn unused_permits_add_up_to_no_more_than_the_burst() {
        let (limiter, clock) = (limiter(10.0, 2), Clock::tokio());
        take(&limiter, &clock, 1).await;
        clock.wait_until(clock.now() + Duration::from_secs(60)).await;
        assert_eq!(take(&limiter, &clock, 4).await, [0, 0, 100, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_span_holds_more_than_the_rate_and_the_burst_allow() {
        for (rate, burst) in [(18.0, 1), (20.0, 5), (200.0, 1), (0.5, 2), (62.5, 3)] {
            let offsets = take(&limiter(rate, burst), &Clock::tokio(), 200).await;
            for (first, start) in offsets.iter().enumerate() {
                for (last, end) in offsets.iter().enumerate().skip(first) {
                    let (count, span) = ((last - first + 1) as f64, (end - start) as f64 / 1000.0);
                    assert!(
                        count <= rate * span + f64::from(burst) + 1e-6,
                        "{count} in {span} s at {rate}+{burst}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_interval_is_never_shorter_than_the_rate_allows() {
        assert_eq!(interval(18.0), Duration::from_nanos(55_555_556));
        assert_eq!(interval(200.0), Duration::from_millis(5));
    }
}
