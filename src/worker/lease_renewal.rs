//! Says again and again what this worker still works on, so that nobody takes it over, and learns what somebody did.

use std::time::Duration;

use super::SharedLeases;
use crate::clock::Clock;
use crate::queue::{Broker, BrokerBackoff, EntryId, Renewed};

/// How often within the time after which a worker is taken for gone it says that it is not.
const TIMES: u32 = 4;

/// Keeps what is in hand, for as long as this future is polled. Where there is doubt it asks at once: rows wait for it.
pub(crate) async fn renew_leases<B: Broker>(
    broker: &B,
    leases: &SharedLeases,
    clock: &Clock,
    claim_after: Duration,
) {
    let mut failures = BrokerBackoff::default();
    let (mut wait, mut is_answered) = (claim_after / TIMES, true);
    loop {
        tokio::select! {
            () = clock.wait_until(clock.now() + wait) => {}
            () = leases.doubted(), if is_answered => {}
        }
        let held = leases.lock().leases();
        if held.is_empty() {
            continue;
        }
        let asked_at = clock.now();
        let ids: Vec<EntryId> = held.keys().copied().collect();
        let renewed = broker.renew(&ids).await;
        is_answered = renewed.is_ok();
        match renewed {
            Ok(Renewed { anothers, gone }) => {
                for (id, lease) in held {
                    if anothers.contains(&id) {
                        lease.lose();
                    } else if gone.contains(&id) {
                        lease.vanished(asked_at + claim_after);
                    } else {
                        lease.renew(asked_at + claim_after);
                    }
                }
                failures.worked();
                wait = claim_after / TIMES;
            }
            Err(error) => wait = failures.failed(&error).min(claim_after / TIMES),
        }
    }
}
