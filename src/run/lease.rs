//! The lease on a row that other workers could take over.
//!
//! Invariant: a lease never forgets that another worker may have had the row. A row whose lease is lost is never asked for again.

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;

/// Until some instant, no other worker can take the row over. Renewing the lease moves that instant.
#[derive(Debug)]
pub struct Lease {
    clock: Clock,
    state: Mutex<Term>,
    changed: Notify,
}

#[derive(Debug)]
struct Term {
    until: Instant,
    /// Whether the lease was held all the time so far.
    is_unbroken: bool,
    /// Whether the connection to the queue was lost since the lease was last renewed.
    is_in_doubt: bool,
    is_lost: bool,
}

impl Term {
    fn is_held(&self, now: Instant) -> bool {
        !self.is_lost && !self.is_in_doubt && now < self.until
    }

    fn renew(&mut self, now: Instant, until: Instant) {
        self.is_unbroken &= self.is_held(now);
        self.is_in_doubt = false;
        self.until = until;
    }
}

/// Whether a row may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseState {
    /// Yes: no other worker has it.
    Held,
    /// Not now: another worker may have it. [`Lease::changed`] resolves when the queue has said whether one has.
    InDoubt,
    /// Never again: another worker has it.
    Lost,
}

impl Lease {
    /// A lease that is held until then.
    pub fn new(clock: Clock, until: Instant) -> Self {
        let term = Term { until, is_unbroken: true, is_in_doubt: false, is_lost: false };
        Self { clock, state: Mutex::new(term), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Term> {
        self.state.lock()
    }

    /// The queue confirmed the lease until then.
    pub fn renew(&self, until: Instant) {
        self.lock().renew(self.clock.now(), until);
        self.changed.notify_one();
    }

    /// The connection to the queue was lost: another worker may have the row.
    pub fn doubt(&self) {
        self.lock().is_in_doubt = true;
    }

    /// The queue does not know the entry any more. If the lease ran out while the queue could be reached, another worker took
    /// the row over and settled it. Otherwise the queue may have lost the entry, and only this worker would ever ask for it: so
    /// the lease is held until then.
    pub fn vanished(&self, until: Instant) {
        let now = self.clock.now();
        let mut term = self.lock();
        if term.is_in_doubt || now < term.until {
            term.renew(now, until);
        } else {
            term.is_lost = true;
        }
        self.changed.notify_one();
    }

    /// Another worker has the row.
    pub fn lose(&self) {
        self.lock().is_lost = true;
        self.changed.notify_one();
    }

    /// Whether no other worker can have had the row so far.
    pub fn is_unbroken(&self) -> bool {
        let term = self.lock();
        term.is_unbroken && term.is_held(self.clock.now())
    }

    /// Whether the row may be asked for at `now`.
    pub(super) fn state(&self, now: Instant) -> LeaseState {
        let term = self.lock();
        match term.is_lost {
            true => LeaseState::Lost,
            false if term.is_held(now) => LeaseState::Held,
            false => LeaseState::InDoubt,
        }
    }

    /// Resolves when the lease was renewed or lost since this was last awaited.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Two leases are equal only where they are the same one: each row has its own.
impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Lease {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_ran_out_is_in_doubt_until_it_is_renewed() {
        let clock = Clock::tokio();
        let lease = Lease::new(clock.clone(), clock.now() + SECOND);
        lease.renew(clock.now() + 2 * SECOND);
        clock.wait_until(clock.now() + SECOND).await;
        assert!(lease.is_unbroken());
        clock.wait_until(clock.now() + SECOND).await;
        assert_eq!((lease.is_unbroken(), lease.state(clock.now())), (false, LeaseState::InDoubt));
        lease.renew(clock.now() + SECOND);
        // Another worker may have had the row meanwhile.
        assert_eq!((lease.is_unbroken(), lease.state(clock.now())), (false, LeaseState::Held));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_in_doubt_once_is_never_unbroken_again() {
        let clock = Clock::tokio();
        let lease = Lease::new(clock.clone(), clock.now() + SECOND);
        lease.doubt();
        assert_eq!((lease.is_unbroken(), lease.state(clock.now())), (false, LeaseState::InDoubt));
        lease.renew(clock.now() + SECOND);
        assert_eq!((lease.is_unbroken(), lease.state(clock.now())), (false, LeaseState::Held));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_stays_lost_even_when_it_is_renewed() {
        let clock = Clock::tokio();
        let lease = Lease::new(clock.clone(), clock.now() + SECOND);
        lease.lose();
        lease.renew(clock.now() + SECOND);
        assert_eq!((lease.is_unbroken(), lease.state(clock.now())), (false, LeaseState::Lost));
    }

    #[tokio::test(start_paused = true)]
    async fn the_lease_of_a_vanished_entry_is_lost_only_where_another_worker_can_have_taken_it_over() {
        let clock = Clock::tokio();
        let (second, third) = (clock.now() + SECOND, clock.now() + 3 * SECOND);
        let [held, doubted, run_out] = [(); 3].map(|()| Lease::new(clock.clone(), second));
        held.vanished(third);
        assert_eq!((held.is_unbroken(), held.state(clock.now())), (true, LeaseState::Held));
        clock.wait_until(second).await;
        doubted.doubt();
        doubted.vanished(third);
        assert_eq!((doubted.is_unbroken(), doubted.state(clock.now())), (false, LeaseState::Held));
        run_out.vanished(third);
        assert_eq!((run_out.is_unbroken(), run_out.state(clock.now())), (false, LeaseState::Lost));
    }
}
