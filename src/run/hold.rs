//! For how long a row that others could take over is one's own.
//!
//! Invariant: that somebody else may have had the row is never forgotten, and a row that was taken over is never asked for
//! again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;

/// A row that is this process's until some instant, unless that is put off.
#[derive(Debug)]
pub struct Hold {
    clock: Clock,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug)]
struct State {
    until: Instant,
    /// Whether it never ran out so far.
    is_unbroken: bool,
    is_taken_over: bool,
}

/// Whether a row may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It may: nobody else has it.
    Ours,
    /// Somebody else may have it; [`Hold::news`] will tell.
    Unsure,
    /// Somebody else has it.
    TakenOver,
}

impl Hold {
    /// Held until then.
    pub fn new(clock: Clock, until: Instant) -> Self {
        let state = State { until, is_unbroken: true, is_taken_over: false };
        Self { clock, state: Mutex::new(state), news: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was found to be still one's own, and is so until then.
    pub fn extend(&self, until: Instant) {
        let mut state = self.lock();
        state.is_unbroken &= self.clock.now() < state.until;
        state.until = until;
        self.news.notify_one();
    }

    /// It runs out now: somebody else may have the row.
    pub fn doubt(&self) {
        self.lock().until = self.clock.now();
    }

    /// Somebody else has the row.
    pub fn lose(&self) {
        self.lock().is_taken_over = true;
        self.news.notify_one();
    }

    /// Whether nobody else can have had the row so far.
    pub fn is_held(&self) -> bool {
        let state = self.lock();
        state.is_unbroken && !state.is_taken_over && self.clock.now() < state.until
    }

    /// Whether the row may be asked for at `now`.
    pub(super) fn claim(&self, now: Instant) -> Claim {
        match *self.lock() {
            State { is_taken_over: true, .. } => Claim::TakenOver,
            State { until, .. } if now < until => Claim::Ours,
            State { .. } => Claim::Unsure,
        }
    }

    /// Resolves when it was extended or lost since this was last awaited.
    pub(super) async fn news(&self) {
        self.news.notified().await;
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
    async fn a_row_whose_hold_ran_out_may_be_asked_for_once_it_is_known_to_be_ones_own_still() {
        let clock = Clock::tokio();
        let hold = Hold::new(clock.clone(), clock.now() + SECOND);
        hold.extend(clock.now() + 2 * SECOND);
        clock.wait_until(clock.now() + SECOND).await;
        assert!(hold.is_held());
        clock.wait_until(clock.now() + SECOND).await;
        assert_eq!((hold.is_held(), hold.claim(clock.now())), (false, Claim::Unsure));
        hold.extend(clock.now() + SECOND);
        // Who had it meanwhile, nobody knows.
        assert_eq!((hold.is_held(), hold.claim(clock.now())), (false, Claim::Ours));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_in_doubt_is_not_asked_for_and_never_again_said_to_have_been_held_all_along() {
        let clock = Clock::tokio();
        let hold = Hold::new(clock.clone(), clock.now() + SECOND);
        hold.doubt();
        assert_eq!((hold.is_held(), hold.claim(clock.now())), (false, Claim::Unsure));
        hold.extend(clock.now() + SECOND);
        assert_eq!((hold.is_held(), hold.claim(clock.now())), (false, Claim::Ours));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_another_took_over_is_ones_own_no_more() {
        let clock = Clock::tokio();
        let hold = Hold::new(clock.clone(), clock.now() + SECOND);
        hold.lose();
        hold.extend(clock.now() + SECOND);
        assert_eq!((hold.is_held(), hold.claim(clock.now())), (false, Claim::TakenOver));
    }
}
