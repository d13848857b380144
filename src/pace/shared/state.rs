//! What a worker knows of the shared quota: its permits, and the feedback that it still has to send. A state machine without
//! a clock of its own.
//!
//! Invariant: a permit is used at most once, and never before its slot.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::store::{Feedback, PermitGrant, PermitRequest, QuotaReply};
use crate::pace::quota::RateSignal;

/// How late a permit may be used where the store replies fast.
const LATENESS: Duration = Duration::from_millis(20);
/// A permit is never used later than this. A store with a slower reply is of no use for pacing.
const MAX_LATENESS: Duration = Duration::from_millis(500);

/// A worker's view of the shared quota.
#[derive(Debug)]
pub(super) struct ShareState {
    permits: VecDeque<Permit>,
    not_before: Option<Instant>,
    wants_permits: bool,
    /// When the probe was sent that is in flight. Until its answer comes, no other request is sent.
    probing_since: Option<Instant>,
    unsent: Vec<Feedback>,
    batch: BatchSize,
    per_second: f64,
    lowest: f64,
}

/// One granted permit: from when until when it may be used.
#[derive(Debug, Clone, Copy)]
struct Permit {
    from: Instant,
    until: Instant,
    is_probe: bool,
}

/// How many permits to ask for: as many as were used the last time, and twice as many where all were used.
#[derive(Debug)]
struct BatchSize {
    size: u32,
    most: u32,
    used: u32,
}

impl BatchSize {
    fn next(&mut self) -> u32 {
        let all_were_used = self.used >= self.size;
        self.size = if all_were_used { self.size.saturating_mul(2).min(self.most) } else { self.used.max(1) };
        self.used = 0;
        self.size
    }
}

/// What came of an attempt to take a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// The permit is taken.
    Taken,
    /// There is none before this instant.
    Until(Instant),
    /// There is none before the probe in flight is answered.
    AwaitProbe,
    /// There is none before the store replies. It has to be asked.
    AskStore,
}

impl ShareState {
    /// The state of a worker that can use up to `most` permits at once.
    pub(super) fn new(most: u32, per_second: f64) -> Self {
        Self {
            permits: VecDeque::new(),
            not_before: None,
            wants_permits: false,
            probing_since: None,
            unsent: vec![],
            batch: BatchSize { size: 1, most, used: 1 },
            per_second,
            lowest: per_second,
        }
    }

    /// Takes a permit for a request that is sent now.
    pub(super) fn take_permit(&mut self, now: Instant) -> Take {
        if self.probing_since.is_some() {
            return Take::AwaitProbe;
        }
        while self.permits.front().is_some_and(|permit| permit.until < now) {
            self.permits.pop_front();
        }
        match self.permits.front() {
            Some(permit) if permit.from > now => Take::Until(permit.from),
            Some(permit) => {
                self.probing_since = permit.is_probe.then_some(now);
                self.permits.pop_front();
                self.batch.used += 1;
                Take::Taken
            }
            None => {
                if let Some(at) = self.not_before.filter(|at| *at > now) {
                    return Take::Until(at);
                }
                self.wants_permits = true;
                Take::AskStore
            }
        }
    }

    /// Takes in the answer to a request that was sent at `sent_at`. Returns whether the store needs to know at once.
    pub(super) fn feedback(&mut self, signal: RateSignal, sent_at: Instant) -> bool {
        // An answer to an earlier request says nothing about the probe.
        let was_probing = self.probing_since.take_if(|since| *since <= sent_at).is_some();
        let is_refusal = match signal {
            // The latest of these says all that the earlier ones said.
            RateSignal::Accepted | RateSignal::Nothing => {
                self.unsent.retain(|unsent| unsent.signal != signal);
                false
            }
            RateSignal::Throttled { .. } | RateSignal::Banned(_) => {
                self.permits.clear();
                true
            }
        };
        self.unsent.push(Feedback { signal, sent_at });
        was_probing || is_refusal
    }

    /// The next request to the store, if there is anything to send. The store's last replies took `round_trip`.
    pub(super) fn next_request(&mut self, round_trip: Duration) -> Option<PermitRequest> {
        let permits = if std::mem::take(&mut self.wants_permits) { self.batch.next() } else { 0 };
        if permits == 0 && self.unsent.is_empty() {
            return None;
        }
        let lateness = LATENESS.max(2 * round_trip).min(MAX_LATENESS);
        Some(PermitRequest { permits, lateness, feedback: std::mem::take(&mut self.unsent) })
    }

    /// The store replied to this request.
    pub(super) fn replied(
        &mut self,
        reply: &QuotaReply,
        request: &PermitRequest,
        sent_at: Instant,
        now: Instant,
    ) {
        self.per_second = reply.per_second;
        self.lowest = self.lowest.min(reply.per_second);
        if request.permits > 0 {
            // The reply also answers every wish that came up meanwhile. If it is not enough, the run asks again.
            self.wants_permits = false;
        }
        match reply.grant {
            PermitGrant::Permits { count, first, between, is_probe } => {
                self.not_before = None;
                // The store looked at its clock at some instant between `sent_at` and `now`. So the permit is good from the
                // latest possible slot on, and until `lateness` after the earliest possible one.
                let permits = (0..count).map(|number| first + between * number).map(|offset| Permit {
                    from: now + offset,
                    until: sent_at + offset + request.lateness,
                    is_probe,
                });
                self.permits.extend(permits.filter(|permit| permit.from <= permit.until));
            }
            PermitGrant::Wait { wait, .. } => self.not_before = Some(now + wait),
            PermitGrant::Nothing => {}
        }
    }

    /// The store did not reply to this request, so the next request repeats it. Permits that were granted before are dropped:
    /// when the store comes back, it may not know them any more.
    pub(super) fn no_reply(&mut self, request: PermitRequest) {
        self.permits.clear();
        self.wants_permits |= request.permits > 0;
        let later = std::mem::replace(&mut self.unsent, request.feedback);
        self.unsent.extend(later);
    }

    /// A new run begins: its lowest rate is not that of an earlier run.
    pub(super) fn begin_run(&mut self) {
        self.lowest = self.per_second;
    }

    /// The rate of all workers together, as far as is known, in requests a second.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// The lowest rate of the run so far.
    pub(super) fn lowest(&self) -> f64 {
        self.lowest
    }
}
