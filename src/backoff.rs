//! Every wait that grows. This file imports nothing of ours, and no other file names the `backoff` crate.
//!
//! Invariant: the waits are exact; the same settings give the same waits.
//!
//! The crate is unmaintained (RUSTSEC-2025-0012) and has no known vulnerability. We use only the growth of its interval. Its
//! randomisation is off, because jitter comes from a seeded generator of ours, and its clock plays no part.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// Waits that grow by a factor, up to a longest one.
#[derive(Debug, Clone)]
pub(crate) struct Backoff(ExponentialBackoff);

impl Backoff {
    /// Waits that double.
    pub(crate) fn doubling(first: Duration, longest: Duration) -> Self {
        Self::new(first, 2.0, longest)
    }

    /// Waits that grow by `multiplier`.
    pub(crate) fn new(first: Duration, multiplier: f64, longest: Duration) -> Self {
        let growth = ExponentialBackoffBuilder::new()
            .with_initial_interval(first)
            .with_multiplier(multiplier)
            .with_max_interval(longest)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        Self(growth)
    }

    /// The next wait. The one after it is longer, up to the longest.
    pub(crate) fn next_wait(&mut self) -> Duration {
        self.0.next_backoff().expect("without a longest elapsed time, there is always a next wait")
    }

    /// Starts again with the first wait.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(backoff: &mut Backoff, count: usize) -> Vec<u128> {
        (0..count).map(|_| backoff.next_wait().as_millis()).collect()
    }

    #[test]
    fn a_wait_grows_to_the_longest_and_stays_there() {
        let mut backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(15));
        assert_eq!(millis(&mut backoff, 6), [1000, 2000, 4000, 8000, 15_000, 15_000]);
        let mut backoff = Backoff::new(Duration::from_millis(500), 1.5, Duration::from_secs(1));
        assert_eq!(millis(&mut backoff, 4), [500, 750, 1000, 1000]);
    }

    #[test]
    fn after_a_reset_the_first_wait_comes_again() {
        let mut backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));
        millis(&mut backoff, 3);
        backoff.reset();
        assert_eq!(millis(&mut backoff, 2), [50, 100]);
    }
}
