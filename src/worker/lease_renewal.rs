//! Renews the leases of this worker, and marks those that it has lost.
//!
//! Invariant: while the queue answers, no lease runs out. While a lease is in doubt, the queue is asked at once.

use std::time::Duration;

use super::leases::SharedLeases;
use crate::clock::Clock;
use crate::queue::{Broker, BrokerBackoff, EntryId, Renewed};

/// How often a lease is renewed before it would run out.
const RENEWALS: u32 = 4;

/// Renews the leases for as long as this future is polled. While a lease is in doubt, its row waits: so the queue is asked at
/// once.
pub(crate) async fn renew_leases<B: Broker>(
    broker: &B,
    leases: &SharedLeases,
    clock: &Clock,
    claim_after: Duration,
) {
    let mut failures = BrokerBackoff::default();
    let (mut wait, mut was_answered) = (claim_after / RENEWALS, true);
    loop {
        tokio::select! {
            () = clock.wait_until(clock.now() + wait) => {}
            () = leases.in_doubt(), if was_answered => {}
        }
        let to_renew = leases.lock().leases();
        if to_renew.is_empty() {
            continue;
        }
        let asked_at = clock.now();
        let ids: Vec<EntryId> = to_renew.keys().copied().collect();
        let renewed = broker.renew(&ids).await;
        was_answered = renewed.is_ok();
        match renewed {
            Ok(Renewed { taken_over, missing }) => {
                for (id, lease) in to_renew {
                    if taken_over.contains(&id) {
                        lease.lose();
                    } else if missing.contains(&id) {
                        lease.vanished(asked_at + claim_after);
                    } else {
                        lease.renew(asked_at + claim_after);
                    }
                }
                failures.worked();
                wait = claim_after / RENEWALS;
            }
            Err(error) => wait = failures.failed(&error).min(claim_after / RENEWALS),
        }
    }
}
