//! Says again and again what this worker still works on, so that nobody takes it over.

use std::time::Duration;

use super::feeder::Failures;
use super::{Broker, SharedHand};
use crate::clock::Clock;

/// How often within the time after which a worker is taken for gone it says that it is not.
const TIMES: u32 = 4;

/// Keeps what is in hand, for as long as this future is polled.
pub async fn keep<B: Broker>(broker: &B, hand: &SharedHand, clock: &Clock, claim_after: Duration) {
    let mut failures = Failures::default();
    let mut wait = claim_after / TIMES;
    loop {
        clock.wait_until(clock.now() + wait).await;
        let ids = hand.lock().ids();
        if ids.is_empty() {
            continue;
        }
        let asked_at = clock.now();
        match broker.renew(&ids).await {
            Ok(lost) => {
                hand.lock().renewed(&ids, &lost, asked_at + claim_after);
                failures.worked();
                wait = claim_after / TIMES;
            }
            Err(error) => wait = failures.failed(&error).min(claim_after / TIMES),
        }
    }
}
