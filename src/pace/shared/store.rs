//! The store of a quota that several workers share, and what a worker and the store say to each other.
//!
//! Invariant: only a [`PermitGrant`] of the store grants permits. An error of the store grants none.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::pace::quota::RateSignal;

/// What a worker learned from one answer, for the other workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feedback {
    /// What the answer said about the rate.
    pub signal: RateSignal,
    /// When its request was sent.
    pub sent_at: Instant,
}

/// What a worker asks the store for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitRequest {
    /// How many permits the worker can use at once; 0 asks for none.
    pub permits: u32,
    /// How late a permit may be used.
    pub lateness: Duration,
    /// What the worker learned since its last request.
    pub feedback: Vec<Feedback>,
}

/// What the store replies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuotaReply {
    /// The permits, or why there are none.
    pub grant: PermitGrant,
    /// The rate of all workers together, in requests a second.
    pub per_second: f64,
}

/// The permits that the store grants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PermitGrant {
    /// Permits. The slot of the first one comes after `first`, and the slot of each further one `between` later.
    Permits {
        /// How many.
        count: u32,
        /// From now to the first slot.
        first: Duration,
        /// From one slot to the next.
        between: Duration,
        /// Whether its request is the one that probes whether a ban is over.
        is_probe: bool,
    },
    /// No permit before this wait is over.
    Wait {
        /// How long.
        wait: Duration,
        /// Why the worker waits.
        why: WaitReason,
    },
    /// The worker asked for no permit.
    Nothing,
}

/// Why a worker waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The quota is used up for now.
    Pace,
    /// DingTalk refused a worker's request for its rate.
    Throttled,
    /// DingTalk banned a worker's address.
    Banned,
    /// Another worker probes whether the ban is over.
    Probe,
}

/// Stores the quota that several workers share.
pub trait QuotaStore: Send + Sync + 'static {
    /// Sends the feedback and asks for permits.
    ///
    /// # Errors
    ///
    /// Where the store did not reply. Then the worker must act as if it granted nothing.
    fn request(&self, request: &PermitRequest) -> impl Future<Output = Result<QuotaReply, String>> + Send;
}
