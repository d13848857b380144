//! The rows that are neither in flight nor ended, and which one goes next.
//!
//! Invariant: a row is in exactly one place. Rows that were asked for before go before new ones. A row whose lease is in doubt
//! does not go.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::lease::LeaseState;
use super::{Job, Lease};

/// When this many rows wait, the run takes in no new row.
pub(super) const CAPACITY: usize = 1024;

/// The rows that are neither in flight nor ended.
#[derive(Debug, Default)]
pub(super) struct JobQueue {
    new: Option<Job>,
    ready: VecDeque<Job>,
    waiting: BinaryHeap<Reverse<WaitingJob>>,
    /// Rows whose turn came while their lease was in doubt.
    in_doubt: Vec<Job>,
    queued: u64,
}

/// Which row goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A row that may be asked for: [`JobQueue::take`] returns it.
    Ready,
    /// A row that another worker has taken over: [`JobQueue::take`] returns it.
    Lost,
    /// No row before this instant, or before something else happens.
    Wait(Option<Instant>),
}

#[derive(Debug, Clone, Copy)]
enum JobPlace {
    New,
    Ready,
    Waiting,
}

impl JobQueue {
    /// Whether a new row can be taken in.
    pub(super) fn has_room(&self) -> bool {
        self.new.is_none() && self.ready.len() + self.waiting.len() + self.in_doubt.len() < CAPACITY
    }

    /// Takes a new row in.
    pub(super) fn offer(&mut self, job: Job) {
        debug_assert!(self.new.is_none(), "one new row at a time");
        self.new = Some(job);
    }

    /// Lets a row go again at once.
    pub(super) fn repeat(&mut self, job: Job) {
        self.ready.push_back(job);
    }

    /// Lets a row go again at `not_before`.
    pub(super) fn wait(&mut self, job: Job, not_before: Instant) {
        self.queued += 1;
        self.waiting.push(Reverse(WaitingJob { not_before, number: self.queued, job }));
    }

    /// Which row goes next at `now`. A row whose lease is in doubt lets the others go first. With `new_first`, a new row goes
    /// before those that were asked for before.
    pub(super) fn turn(&mut self, now: Instant, new_first: bool) -> Turn {
        self.ready.extend(self.in_doubt.extract_if(.., |job| job.lease_state(now) != LeaseState::InDoubt));
        while let Some(state) = self.first(now, new_first).map(|job| job.lease_state(now)) {
            match state {
                LeaseState::Held => return Turn::Ready,
                LeaseState::Lost => return Turn::Lost,
                LeaseState::InDoubt => {
                    let job = self.take(now, new_first);
                    self.in_doubt.extend(job);
                }
            }
        }
        Turn::Wait(self.waiting.peek().map(|Reverse(waiting)| waiting.not_before))
    }

    fn place(&self, now: Instant, new_first: bool) -> Option<JobPlace> {
        if self.new.is_some() && new_first {
            Some(JobPlace::New)
        } else if !self.ready.is_empty() {
            Some(JobPlace::Ready)
        } else if self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.not_before <= now) {
            Some(JobPlace::Waiting)
        } else {
            self.new.as_ref().map(|_| JobPlace::New)
        }
    }

    fn first(&self, now: Instant, new_first: bool) -> Option<&Job> {
        match self.place(now, new_first)? {
            JobPlace::New => self.new.as_ref(),
            JobPlace::Ready => self.ready.front(),
            JobPlace::Waiting => self.waiting.peek().map(|Reverse(waiting)| &waiting.job),
        }
    }

    /// The row that goes next.
    pub(super) fn take(&mut self, now: Instant, new_first: bool) -> Option<Job> {
        match self.place(now, new_first)? {
            JobPlace::New => self.new.take(),
            JobPlace::Ready => self.ready.pop_front(),
            JobPlace::Waiting => self.waiting.pop().map(|Reverse(waiting)| waiting.job),
        }
    }

    /// Any row, for a run that has stopped.
    pub(super) fn take_any(&mut self) -> Option<Job> {
        let waiting =
            |waiting: &mut BinaryHeap<Reverse<WaitingJob>>| waiting.pop().map(|Reverse(row)| row.job);
        let asked_before = self.ready.pop_front().or_else(|| waiting(&mut self.waiting));
        asked_before.or_else(|| self.in_doubt.pop()).or_else(|| self.new.take())
    }

    /// A lease in doubt: when it changes, a row may go.
    pub(super) fn in_doubt(&self) -> Option<Arc<Lease>> {
        self.in_doubt.first().and_then(|job| job.lease.clone())
    }

    /// Whether no row is left.
    pub(super) fn is_empty(&self) -> bool {
        let none_asked = self.ready.is_empty() && self.waiting.is_empty() && self.in_doubt.is_empty();
        none_asked && self.new.is_none()
    }
}

/// A row that waits, ordered by its time, then by when it came into the queue.
#[derive(Debug)]
struct WaitingJob {
    not_before: Instant,
    number: u64,
    job: Job,
}

impl PartialEq for WaitingJob {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for WaitingJob {}

impl PartialOrd for WaitingJob {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WaitingJob {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.not_before, self.number).cmp(&(other.not_before, other.number))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::fixtures::close_request;
    use crate::meeting::Origin;
    use crate::run::PriorAttempts;

    const SECOND: Duration = Duration::from_secs(1);

    /// A row with a lease of one second.
    fn leased(clock: &Clock, name: &str) -> (Job, Arc<Lease>) {
        let request = close_request(name, "host");
        let lease = Arc::new(Lease::new(clock.clone(), clock.now() + SECOND));
        let prior = PriorAttempts { lease: Some(Arc::clone(&lease)), ..PriorAttempts::default() };
        (Job::new(Origin { source: "s/7-1".into(), line: 1 }, request).after(prior), lease)
    }

    fn take(rows: &mut JobQueue, now: Instant) -> String {
        rows.take(now, false).unwrap().request.conference_id.to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_whose_lease_ran_out_waits_until_the_lease_is_renewed_or_lost() {
        let clock = Clock::tokio();
        let ((ready, renewed), (waiting, lost), (new, in_doubt)) =
            (leased(&clock, "ready"), leased(&clock, "waiting"), leased(&clock, "new"));
        let mut rows = JobQueue::default();
        rows.repeat(ready);
        rows.wait(waiting, clock.now() + SECOND);
        rows.offer(new);
        assert_eq!(rows.turn(clock.now(), false), Turn::Ready);
        clock.wait_until(clock.now() + SECOND).await;
        let now = clock.now();
        assert_eq!(rows.turn(now, false), Turn::Wait(None));
        assert!(rows.in_doubt().is_some() && !rows.is_empty());
        // A row whose lease is held goes first, although it came later.
        rows.offer(leased(&clock, "later").0);
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Ready, "later"));

        renewed.renew(now + SECOND);
        lost.lose();
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Ready, "ready"));
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Lost, "waiting"));
        assert_eq!(rows.turn(now, false), Turn::Wait(None));
        assert_eq!(rows.in_doubt(), Some(in_doubt));
        assert_eq!(rows.take_any().unwrap().request.conference_id.as_str(), "new");
        assert!(rows.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_was_taken_over_before_its_turn_delays_no_other() {
        let clock = Clock::tokio();
        let mut rows = JobQueue::default();
        let (lost, lease) = leased(&clock, "lost");
        rows.repeat(lost);
        rows.offer(leased(&clock, "next").0);
        lease.lose();
        let now = clock.now();
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Lost, "lost"));
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Ready, "next"));
    }
}
