//! Asks the store of the shared quota, one request at a time.
//!
//! Invariant: a request that the store did not reply to is sent again, with its feedback, until the store replies.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::state::ShareState;
use super::store::{PermitGrant, QuotaStore, WaitReason};
use crate::backoff::Backoff;
use crate::clock::Clock;

/// The first and the longest wait before a store that failed is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A shorter pause is not worth a line in the log.
const REPORTED_PAUSE: Duration = Duration::from_secs(1);

/// Asks the store for the state's permits, and sends it the state's feedback.
pub(super) struct QuotaClient<S> {
    pub(super) store: S,
    pub(super) clock: Clock,
    pub(super) state: Weak<Mutex<ShareState>>,
    /// The state has something to send.
    pub(super) requests: Arc<Notify>,
    /// The store has replied.
    pub(super) replies: Arc<Notify>,
}

impl<S: QuotaStore> QuotaClient<S> {
    /// Works until every share of the quota is dropped.
    pub(super) async fn run(self) {
        let (mut waits, mut is_failing) = (Backoff::doubling(FIRST_WAIT, LONGEST_WAIT), false);
        let (mut round_trip, mut reported) = (Duration::ZERO, None);
        loop {
            // The last share can be dropped without a notification, so look again from time to time.
            let _ = tokio::time::timeout(LONGEST_WAIT, self.requests.notified()).await;
            let Some(state) = self.state.upgrade() else { return };
            let Some(request) = state.lock().next_request(round_trip) else { continue };
            let sent_at = self.clock.now();
            match self.store.request(&request).await {
                Ok(reply) => {
                    let now = self.clock.now();
                    // Smoothed: one slow reply costs its own permits, and does not slow down the ones after it.
                    round_trip = (3 * round_trip + (now - sent_at)) / 4;
                    if std::mem::take(&mut is_failing) {
                        waits.reset();
                        info!("the store of the shared quota replies again, so requests are sent again");
                    }
                    reported = report_pause(&reply.grant, reported);
                    state.lock().replied(&reply, &request, sent_at, now);
                    self.replies.notify_one();
                }
                Err(problem) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!("no request is sent until the store of the shared quota replies: {problem}");
                    }
                    state.lock().no_reply(request);
                    drop(state);
                    self.clock.wait_until(self.clock.now() + waits.next_wait()).await;
                    self.requests.notify_one();
                }
            }
        }
    }
}

/// Logs one line when all workers pause, and one when they continue. Takes and returns the reason that was logged last.
fn report_pause(grant: &PermitGrant, reported: Option<WaitReason>) -> Option<WaitReason> {
    let reason = match grant {
        PermitGrant::Wait { wait, why: why @ (WaitReason::Banned | WaitReason::Throttled) }
            if *wait >= REPORTED_PAUSE =>
        {
            if reported != Some(*why) {
                let reason = if *why == WaitReason::Banned {
                    "DingTalk banned a worker's address"
                } else {
                    "DingTalk refused a request for its rate"
                };
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                warn!(wait_ms, "all workers pause: {reason}");
            }
            Some(*why)
        }
        PermitGrant::Wait { why: WaitReason::Probe | WaitReason::Banned | WaitReason::Throttled, .. }
        | PermitGrant::Nothing => reported,
        PermitGrant::Wait { why: WaitReason::Pace, .. } | PermitGrant::Permits { .. } => None,
    };
    if reported.is_some() && reason.is_none() {
        info!("all workers continue");
    }
    reason
}
