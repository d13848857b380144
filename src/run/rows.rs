//! The rows that are not in flight, and whose turn it is.
//!
//! Invariant: a row stands in exactly one place, those that were asked before go before new ones, and none has its turn that
//! somebody else may have.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::hold::Claim;
use super::{Hold, Job};

/// Rows that may be kept; when they are this many, no new row is taken in.
pub(super) const MOST_KEPT: usize = 1024;

/// Rows on their way that are not in flight.
#[derive(Debug, Default)]
pub(super) struct Rows {
    fresh: Option<Job>,
    ready: VecDeque<Job>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Their turn had come when nobody knew whether they are still ours.
    unsure: Vec<Job>,
    arrivals: u64,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A row's that may be asked for: [`Rows::take`] gives it.
    Ours,
    /// A row's that is another worker's by now: [`Rows::take`] gives it.
    TakenOver,
    /// Nobody's before this instant, or before something happens.
    Nobodys(Option<Instant>),
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Fresh,
    Ready,
    Waiting,
}

impl Rows {
    /// Whether a new row can be taken in.
    pub(super) fn has_room(&self) -> bool {
        self.fresh.is_none() && self.ready.len() + self.waiting.len() + self.unsure.len() < MOST_KEPT
    }

    /// Takes a new row in.
    pub(super) fn offer(&mut self, job: Job) {
        debug_assert!(self.fresh.is_none(), "one new row at a time");
        self.fresh = Some(job);
    }

    /// Its turn comes again at once.
    pub(super) fn repeat(&mut self, job: Job) {
        self.ready.push_back(job);
    }

    /// Its turn comes again then.
    pub(super) fn wait(&mut self, job: Job, not_before: Instant) {
        self.arrivals += 1;
        self.waiting.push(Reverse(Waiting { not_before, arrival: self.arrivals, job }));
    }

    /// Whose turn it is at `now`. A row of which nobody knows whose it is lets the others go before.
    pub(super) fn turn(&mut self, now: Instant, new_first: bool) -> Turn {
        self.ready.extend(self.unsure.extract_if(.., |job| job.claim(now) != Claim::Unsure));
        while let Some(claim) = self.first(now, new_first).map(|job| job.claim(now)) {
            match claim {
                Claim::Ours => return Turn::Ours,
                Claim::TakenOver => return Turn::TakenOver,
                Claim::Unsure => {
                    let job = self.take(now, new_first);
                    self.unsure.extend(job);
                }
            }
        }
        Turn::Nobodys(self.waiting.peek().map(|Reverse(waiting)| waiting.not_before))
    }

    fn place(&self, now: Instant, new_first: bool) -> Option<Place> {
        if self.fresh.is_some() && new_first {
            Some(Place::Fresh)
        } else if !self.ready.is_empty() {
            Some(Place::Ready)
        } else if self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.not_before <= now) {
            Some(Place::Waiting)
        } else {
            self.fresh.as_ref().map(|_| Place::Fresh)
        }
    }

    fn first(&self, now: Instant, new_first: bool) -> Option<&Job> {
        match self.place(now, new_first)? {
            Place::Fresh => self.fresh.as_ref(),
            Place::Ready => self.ready.front(),
            Place::Waiting => self.waiting.peek().map(|Reverse(waiting)| &waiting.job),
        }
    }

    /// The row whose turn it is.
    pub(super) fn take(&mut self, now: Instant, new_first: bool) -> Option<Job> {
        match self.place(now, new_first)? {
            Place::Fresh => self.fresh.take(),
            Place::Ready => self.ready.pop_front(),
            Place::Waiting => self.waiting.pop().map(|Reverse(waiting)| waiting.job),
        }
    }

    /// Any row, for a run that has stopped.
    pub(super) fn take_any(&mut self) -> Option<Job> {
        let waiting = |waiting: &mut BinaryHeap<Reverse<Waiting>>| waiting.pop().map(|Reverse(row)| row.job);
        let asked_before = self.ready.pop_front().or_else(|| waiting(&mut self.waiting));
        asked_before.or_else(|| self.unsure.pop()).or_else(|| self.fresh.take())
    }

    /// A hold whose news may be a row's turn.
    pub(super) fn unsure(&self) -> Option<Arc<Hold>> {
        self.unsure.first().and_then(|job| job.hold.clone())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        let none_asked = self.ready.is_empty() && self.waiting.is_empty() && self.unsure.is_empty();
        none_asked && self.fresh.is_none()
    }
}

/// A row that waits, first by its time and then by its arrival.
#[derive(Debug)]
struct Waiting {
    not_before: Instant,
    arrival: u64,
    job: Job,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.not_before, self.arrival).cmp(&(other.not_before, other.arrival))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::meeting::{CloseRequest, ConferenceId, Origin, UnionId};
    use crate::run::Prior;

    const SECOND: Duration = Duration::from_secs(1);

    /// A row that is held for a second from now.
    fn held(clock: &Clock, name: &str) -> (Job, Arc<Hold>) {
        let request = CloseRequest {
            conference_id: ConferenceId::parse(name).unwrap(),
            union_id: UnionId::parse("host").unwrap(),
        };
        let hold = Arc::new(Hold::new(clock.clone(), clock.now() + SECOND));
        let prior = Prior { hold: Some(Arc::clone(&hold)), ..Prior::default() };
        (Job::new(Origin { source: "s/7-1".into(), line: 1 }, request).after(prior), hold)
    }

    fn take(rows: &mut Rows, now: Instant) -> String {
        rows.take(now, false).unwrap().request.conference_id.to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_whose_hold_ran_out_waits_wherever_it_stands_until_it_is_known_whose_it_is() {
        let clock = Clock::tokio();
        let ((ready, ours), (waiting, lost), (fresh, silent)) =
            (held(&clock, "ready"), held(&clock, "waiting"), held(&clock, "fresh"));
        let mut rows = Rows::default();
        rows.repeat(ready);
        rows.wait(waiting, clock.now() + SECOND);
        rows.offer(fresh);
        assert_eq!(rows.turn(clock.now(), false), Turn::Ours);
        clock.wait_until(clock.now() + SECOND).await;
        let now = clock.now();
        assert_eq!(rows.turn(now, false), Turn::Nobodys(None));
        assert!(rows.unsure().is_some() && !rows.is_empty());
        // One that is held goes before, though it came later.
        rows.offer(held(&clock, "later").0);
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Ours, "later"));

        ours.extend(now + SECOND);
        lost.lose();
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Ours, "ready"));
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::TakenOver, "waiting"));
        assert_eq!(rows.turn(now, false), Turn::Nobodys(None));
        assert_eq!(rows.unsure(), Some(silent));
        assert_eq!(rows.take_any().unwrap().request.conference_id.as_str(), "fresh");
        assert!(rows.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_was_taken_over_before_its_turn_holds_nobody_up() {
        let clock = Clock::tokio();
        let mut rows = Rows::default();
        let (lost, hold) = held(&clock, "lost");
        rows.repeat(lost);
        rows.offer(held(&clock, "next").0);
        hold.lose();
        let now = clock.now();
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::TakenOver, "lost"));
        assert_eq!((rows.turn(now, false), take(&mut rows, now).as_str()), (Turn::Ours, "next"));
    }
}
