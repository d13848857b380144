//! One quota for several workers: each worker's permits come from a store that all of them share.
//!
//! A permit may be used from its slot on, and for a short while. A permit that is not used by then is lost: otherwise a worker
//! that was delayed would use old permits beside the new permits of the other workers. While the store does not reply, no
//! permit is granted; no worker falls back to a limiter of its own.
//!
//! Invariant: a permit is used at most once, never before its slot, and never later than the worker asked for.

mod client;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::quota::{NotYet, RateSignal};
use crate::clock::Clock;

use client::QuotaClient;
use state::{ShareState, Take};
pub(crate) use store::QuotaReply;
pub use store::{Feedback, PermitGrant, PermitRequest, QuotaStore, WaitReason};

/// This worker's share of the quota. Clones are the same share.
#[derive(Debug, Clone)]
pub struct SharedQuota {
    state: Arc<Mutex<ShareState>>,
    /// The store has to be asked.
    requests: Arc<Notify>,
    /// The store has replied.
    replies: Arc<Notify>,
}

impl SharedQuota {
    /// A share of what `store` grants, for runs that send up to `concurrency` requests at once. It asks the store until every
    /// clone of it is dropped.
    pub fn start<S: QuotaStore>(store: S, concurrency: usize, per_second: f64, clock: Clock) -> Self {
        let most = u32::try_from(concurrency).unwrap_or(u32::MAX);
        let state = Arc::new(Mutex::new(ShareState::new(most, per_second)));
        let shared = Self { state, requests: Arc::default(), replies: Arc::default() };
        let client = QuotaClient {
            store,
            clock,
            state: Arc::downgrade(&shared.state),
            requests: Arc::clone(&shared.requests),
            replies: Arc::clone(&shared.replies),
        };
        tokio::spawn(client.run());
        shared
    }

    /// Takes a permit for a request that is sent now, or says why there is none.
    pub(super) fn take_permit(&self, now: Instant) -> Result<(), NotYet> {
        match self.state.lock().take_permit(now) {
            Take::Taken => Ok(()),
            Take::Until(at) => Err(NotYet::Until(at)),
            Take::AwaitProbe => Err(NotYet::Unknown),
            Take::AskStore => {
                self.requests.notify_one();
                Err(NotYet::Unknown)
            }
        }
    }

    /// Resolves when the store has replied, or the probe was answered, since this was last awaited.
    pub(super) async fn changed(&self) {
        self.replies.notified().await;
    }

    /// Takes in the answer to a request that was sent at `sent_at`, and sends it to the other workers.
    pub(super) fn feedback(&self, signal: RateSignal, sent_at: Instant) {
        let is_urgent = self.state.lock().feedback(signal, sent_at);
        if is_urgent {
            self.requests.notify_one();
            self.replies.notify_one();
        }
    }

    /// The rate of all workers together, as far as is known, in requests a second.
    pub fn per_second(&self) -> f64 {
        self.state.lock().per_second()
    }

    /// A new run begins: its lowest rate is not that of an earlier run.
    pub(super) fn begin_run(&self) {
        self.state.lock().begin_run();
    }

    /// The lowest rate of the run so far.
    pub fn lowest(&self) -> f64 {
        self.state.lock().lowest()
    }
}
