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
    /// Whether the queue was lost sight of since it was last found to be ours.
    is_doubted: bool,
    is_taken_over: bool,
}

impl State {
    fn holds(&self, now: Instant) -> bool {
        !self.is_taken_over && !self.is_doubted && now < self.until
    }

    fn extend(&mut self, now: Instant, until: Instant) {
        self.is_unbroken &= self.holds(now);
        self.is_doubted = false;
        self.until = until;
    }
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
        let state = State { until, is_unbroken: true, is_doubted: false, is_taken_over: false };
        Self { clock, state: Mutex::new(state), news: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was found to be still one's own, and is so until then.
    pub fn extend(&self, until: Instant) {
        self.lock().extend(self.clock.now(), until);
        self.news.notify_one();
    }

    /// The queue was lost sight of: somebody else may have the row.
    pub fn doubt(&self) {
        self.lock().is_doubted = true;
    }

    /// The queue knows the row no more. Where the hold ran out before its eyes, whoever took the row over has settled it. Else
    /// the queue may have forgotten the row, and nobody but us would ever ask for it: it is one's own until then.
    pub fn vanished(&self, until: Instant) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.is_doubted || now < state.until {
            state.extend(now, until);
        } else {
            state.is_taken_over = true;
        }
        self.news.notify_one();
    }

    /// Somebody else has the row.
    pub fn lose(&self) {
        self.lock().is_taken_over = true;
        self.news.notify_one();
    }

    /// Whether nobody else can have had the row so far.
    pub fn is_held(&self) -> bool {
        let state = self.lock();
        state.is_unbroken && state.holds(self.clock.now())
    }

    /// Whether the row may be asked for at `now`.
    pub(super) fn claim(&self, now: Instant) -> Claim {
        let state = self.lock();
        match state.is_taken_over {
            true => Claim::TakenOver,
            false if state.holds(now) => Claim::Ours,
            false => Claim::Unsure,
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

    #[tokio::test(start_paused = true)]
    async fn a_row_that_vanished_is_another_workers_only_where_one_can_have_taken_it_over() {
        let clock = Clock::tokio();
        let (second, third) = (clock.now() + SECOND, clock.now() + 3 * SECOND);
        let [held, doubted, run_out] = [(); 3].map(|()| Hold::new(clock.clone(), second));
        held.vanished(third);
        assert_eq!((held.is_held(), held.claim(clock.now())), (true, Claim::Ours));
        clock.wait_until(second).await;
        doubted.doubt();
        doubted.vanished(third);
        assert_eq!((doubted.is_held(), doubted.claim(clock.now())), (false, Claim::Ours));
        run_out.vanished(third);
        assert_eq!((run_out.is_held(), run_out.claim(clock.now())), (false, Claim::TakenOver));
    }
}
