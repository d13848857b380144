//! One quota for several workers: permits come from a store that they share.
//!
//! A permit is good from its slot on, and for a short while: one that is not used by then is lost, or a worker that was held
//! up would spend what it saved up beside what the others are granted meanwhile. When the store cannot be reached, nothing is
//! granted; nobody falls back to a limiter of its own.
//!
//! Invariant: a permit is used at most once, never before its slot, and never later than the store was unsent.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{NotYet, RateSignal, window};
use crate::backoff::Backoff;
use crate::clock::Clock;
use parking_lot::{Mutex, MutexGuard};

/// How late a permit may be used where the store answers fast.
const LATENESS: Duration = Duration::from_millis(20);
/// A store that is further away than this is of no use for pacing.
const MAX_LATENESS: Duration = Duration::from_millis(500);
/// A shorter pause is a matter of the pace.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// The first and the longest wait before a quota store that failed is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What a worker has heard, for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feedback {
    /// What its answer said.
    pub signal: RateSignal,
    /// When its request left.
    pub sent_at: Instant,
}

/// What is asked of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitRequest {
    /// How many permits can be used at once; 0 asks for none.
    pub permits: u32,
    /// How late a permit may be used.
    pub lateness: Duration,
    /// What was heard since the last time.
    pub feedback: Vec<Feedback>,
}

/// What the store answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuotaReply {
    /// The grant.
    pub grant: PermitGrant,
    /// The rate of all workers together, in requests a second.
    pub per_second: f64,
}

/// What may leave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PermitGrant {
    /// So many permits: the first one's slot comes after `first`, and each further one's after `between` more.
    Permits {
        /// How many.
        count: u32,
        /// From now to the first slot.
        first: Duration,
        /// From one slot to the next.
        between: Duration,
        /// Whether it is the one request that tries whether a ban is over.
        is_probe: bool,
    },
    /// None before so long.
    Wait {
        /// How long.
        wait: Duration,
        /// WaitReason.
        why: WaitReason,
    },
    /// None was asked for.
    Nothing,
}

/// WaitReason nothing may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The quota is used.
    Pace,
    /// A worker was refused for its rate.
    Refused,
    /// A worker was banned.
    Banned,
    /// Another worker tries whether the ban is over.
    Probe,
}

/// Where the quota is written down.
pub trait QuotaStore: Send + Sync + 'static {
    /// Tells and asks. An error means that nothing was granted, as far as anybody may rely on it.
    fn request(&self, request: &PermitRequest) -> impl Future<Output = Result<QuotaReply, String>> + Send;
}

/// A share of the quota. Clones are the same share.
#[derive(Debug, Clone)]
pub struct SharedQuota {
    state: Arc<Mutex<State>>,
    /// Something is to be asked.
    asks: Arc<Notify>,
    /// An answer has come.
    answers: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    permits: VecDeque<Permit>,
    not_before: Option<Instant>,
    wanted: bool,
    /// When the probe left that is on its way: nothing else leaves until it is heard of.
    probing_since: Option<Instant>,
    unsent: Vec<Feedback>,
    batch: BatchSize,
    per_second: f64,
    lowest: f64,
}

#[derive(Debug, Clone, Copy)]
struct Permit {
    from: Instant,
    until: Instant,
    is_probe: bool,
}

/// How many permits are asked for: as many as were of use the last time, and twice as many where all were.
#[derive(Debug)]
struct BatchSize {
    size: u32,
    most: u32,
    used: u32,
}

impl BatchSize {
    fn next(&mut self, lost: bool) -> u32 {
        self.size = if lost { self.used.max(1) } else { self.size.saturating_mul(2).min(self.most) };
        self.used = 0;
        self.size
    }
}

impl SharedQuota {
    /// A share of what `store` grants, for a run that sends up to `concurrency` requests at once. It works until every clone
    /// of it is dropped.
    pub fn start<S: QuotaStore>(store: S, concurrency: usize, per_second: f64, clock: Clock) -> Self {
        let most = u32::try_from(concurrency).unwrap_or(u32::MAX);
        let state = State {
            permits: VecDeque::new(),
            not_before: None,
            wanted: false,
            probing_since: None,
            unsent: vec![],
            batch: BatchSize { size: 1, most, used: 1 },
            per_second,
            lowest: per_second,
        };
        let shared =
            Self { state: Arc::new(Mutex::new(state)), asks: Arc::default(), answers: Arc::default() };
        let client = QuotaClient {
            store,
            clock,
            state: Arc::downgrade(&shared.state),
            asks: Arc::clone(&shared.asks),
            answers: Arc::clone(&shared.answers),
        };
        tokio::spawn(client.run());
        shared
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Takes a permit for a request that leaves now, or says why there is none.
    pub(super) fn take_permit(&self, now: Instant) -> Result<(), NotYet> {
        let mut state = self.lock();
        if state.probing_since.is_some() {
            return Err(NotYet::Unknown);
        }
        while state.permits.front().is_some_and(|permit| permit.until < now) {
            state.permits.pop_front();
        }
        match state.permits.front() {
            Some(permit) if permit.from > now => Err(NotYet::Until(permit.from)),
            Some(permit) => {
                state.probing_since = permit.is_probe.then_some(now);
                state.permits.pop_front();
                state.batch.used += 1;
                Ok(())
            }
            None => {
                if let Some(at) = state.not_before.filter(|at| *at > now) {
                    return Err(NotYet::Until(at));
                }
                state.wanted = true;
                self.asks.notify_one();
                Err(NotYet::Unknown)
            }
        }
    }

    /// Resolves when an answer has come since this was last awaited.
    pub(super) async fn changed(&self) {
        self.answers.notified().await;
    }

    /// Hears what became of a request, and tells the others.
    pub(super) fn feedback(&self, signal: RateSignal, sent_at: Instant) {
        let mut state = self.lock();
        // What left before says nothing about the probe.
        let was_probing = state.probing_since.take_if(|since| *since <= sent_at).is_some();
        match signal {
            // The last one says all that those before it said.
            RateSignal::LetIn | RateSignal::Nothing => state.unsent.retain(|unsent| unsent.signal != signal),
            RateSignal::Refused { .. } | RateSignal::Banned(_) => state.permits.clear(),
        }
        state.unsent.push(Feedback { signal, sent_at });
        let is_urgent = was_probing || matches!(signal, RateSignal::Refused { .. } | RateSignal::Banned(_));
        if is_urgent {
            self.asks.notify_one();
            self.answers.notify_one();
        }
    }

    /// The rate of all workers together, as far as is known, in requests a second.
    pub fn per_second(&self) -> f64 {
        self.lock().per_second
    }

    /// A new run begins: the rates before it are not its own.
    pub(super) fn begin_run(&self) {
        let mut state = self.lock();
        state.lowest = state.per_second;
    }

    /// The lowest rate of the run so far.
    pub fn lowest(&self) -> f64 {
        self.lock().lowest
    }
}

/// Asks the store, one question at a time.
struct QuotaClient<S> {
    store: S,
    clock: Clock,
    state: std::sync::Weak<Mutex<State>>,
    asks: Arc<Notify>,
    answers: Arc<Notify>,
}

impl<S: QuotaStore> QuotaClient<S> {
    async fn run(self) {
        let (mut waits, mut is_failing) = (Backoff::doubling(FIRST_WAIT, LONGEST_WAIT), false);
        let (mut round_trip, mut pausing) = (Duration::ZERO, None);
        loop {
            // The sharers may all be gone without a word.
            let _ = tokio::time::timeout(LONGEST_WAIT, self.asks.notified()).await;
            let Some(state) = self.state.upgrade() else { return };
            let Some(request) = next_request(&mut state.lock(), round_trip) else { continue };
            let sent_at = self.clock.now();
            match self.store.request(&request).await {
                Ok(reply) => {
                    let now = self.clock.now();
                    // Smoothed: one slow answer costs its permits, and does not slow down everybody.
                    round_trip = (3 * round_trip + (now - sent_at)) / 4;
                    if std::mem::take(&mut is_failing) {
                        waits.reset();
                        info!("the quota is there again");
                    }
                    pausing = tell_of_pause(&reply.grant, pausing);
                    state.lock().take_in(&reply, &request, sent_at, now);
                    self.answers.notify_one();
                }
                Err(problem) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!("no request leaves until the quota can be asked for: {problem}");
                    }
                    put_back(&mut state.lock(), request);
                    drop(state);
                    self.clock.wait_until(self.clock.now() + waits.next_wait()).await;
                    self.asks.notify_one();
                }
            }
        }
    }
}

/// What is to be asked now, if anything.
fn next_request(state: &mut State, round_trip: Duration) -> Option<PermitRequest> {
    let permits = if std::mem::take(&mut state.wanted) {
        let lost = state.batch.used < state.batch.size;
        state.batch.next(lost)
    } else {
        0
    };
    if permits == 0 && state.unsent.is_empty() {
        return None;
    }
    let lateness = LATENESS.max(2 * round_trip).min(MAX_LATENESS);
    Some(PermitRequest { permits, lateness, feedback: std::mem::take(&mut state.unsent) })
}

/// The question was not answered: it is asked again. What was granted before is let go of: a store that is not there may come
/// back without a memory of it.
fn put_back(state: &mut State, request: PermitRequest) {
    state.permits.clear();
    state.wanted |= request.permits > 0;
    let later = std::mem::replace(&mut state.unsent, request.feedback);
    state.unsent.extend(later);
}

/// One line of log for each pause of all workers.
fn tell_of_pause(grant: &PermitGrant, before: Option<WaitReason>) -> Option<WaitReason> {
    let pausing = match grant {
        PermitGrant::Wait { wait, why: why @ (WaitReason::Banned | WaitReason::Refused) }
            if *wait >= WORTH_TELLING =>
        {
            if before != Some(*why) {
                let reason =
                    if *why == WaitReason::Banned { "the address is banned" } else { "the rate was refused" };
                warn!(
                    wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    "all workers pause: {reason}"
                );
            }
            Some(*why)
        }
        PermitGrant::Wait { why: WaitReason::Probe | WaitReason::Banned | WaitReason::Refused, .. }
        | PermitGrant::Nothing => before,
        PermitGrant::Wait { why: WaitReason::Pace, .. } | PermitGrant::Permits { .. } => None,
    };
    if before.is_some() && pausing.is_none() {
        info!("all workers go on");
    }
    pausing
}

impl State {
    fn take_in(&mut self, reply: &QuotaReply, request: &PermitRequest, sent_at: Instant, now: Instant) {
        self.per_second = reply.per_second;
        self.lowest = self.lowest.min(reply.per_second);
        if request.permits > 0 {
            // Whoever wanted one meanwhile is unsent of this answer, and wants again if it is not enough.
            self.wanted = false;
        }
        match reply.grant {
            PermitGrant::Permits { count, first, between, is_probe } => {
                self.not_before = None;
                // A slot lies between these two, depending on when the store looked at its clock.
                let slots = (0..count).map(|number| first + between * number).map(|offset| Permit {
                    from: now + offset,
                    until: sent_at + offset + request.lateness,
                    is_probe,
                });
                self.permits.extend(slots.filter(|permit| permit.from <= permit.until));
            }
            PermitGrant::Wait { wait, .. } => self.not_before = Some(now + wait),
            PermitGrant::Nothing => {}
        }
    }
}

/// The window of a refusal, for a store.
pub(crate) fn refusing_window(signal: RateSignal) -> Duration {
    match signal {
        RateSignal::Refused { throttle, .. } => window(throttle),
        RateSignal::LetIn | RateSignal::Banned(_) | RateSignal::Nothing => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
