//! For how long a row that others could take over is one's own.
//!
//! Invariant: a hold that has run out stays so.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::clock::Clock;

/// A row that is this process's until some instant, unless that is put off.
#[derive(Debug)]
pub struct Hold {
    clock: Clock,
    until: Mutex<Instant>,
}

impl Hold {
    /// Held until then.
    pub fn new(clock: Clock, until: Instant) -> Self {
        Self { clock, until: Mutex::new(until) }
    }

    /// Held until then, from now on. A hold that has run out stays so: somebody else may have had the row meanwhile.
    pub fn extend(&self, until: Instant) {
        let mut held_until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if *held_until > self.clock.now() {
            *held_until = until;
        }
    }

    /// Not held any more.
    pub fn lose(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.now();
    }

    /// Whether nobody else can have had the row so far.
    pub fn is_held(&self) -> bool {
        self.clock.now() < *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every hold is of one row.
impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Hold {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_row_is_ones_own_as_long_as_it_is_held_and_never_again_after() {
        let clock = Clock::tokio();
        let hold = Hold::new(clock.clone(), clock.now() + SECOND);
        hold.extend(clock.now() + 2 * SECOND);
        clock.wait_until(clock.now() + SECOND).await;
        assert!(hold.is_held());
        clock.wait_until(clock.now() + SECOND).await;
        assert!(!hold.is_held());
        hold.extend(clock.now() + SECOND);
        assert!(!hold.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_another_took_over_is_ones_own_no_more() {
        let clock = Clock::tokio();
        let hold = Hold::new(clock.clone(), clock.now() + SECOND);
        hold.lose();
        assert!(!hold.is_held());
    }
}
