//! What becomes of a queue that fails again and again: it is asked after longer and longer, and told of once.

use std::time::Duration;

use tracing::{info, warn};

use super::BrokerError;

/// The shortest and the longest time before it is asked again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Failures in a row.
#[derive(Debug, Default)]
pub struct Failures(u32);

impl Failures {
    /// It failed once more. Returns how long to wait.
    pub fn failed(&mut self, error: &BrokerError) -> Duration {
        if self.0 == 0 {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            warn!("{error}{hint}; it is tried again and again");
        }
        let wait = BACKOFF.0.saturating_mul(1 << self.0.min(16)).min(BACKOFF.1);
        self.0 += 1;
        wait
    }

    /// It did what it was asked.
    pub fn worked(&mut self) {
        if std::mem::take(&mut self.0) > 0 {
            info!("the queue is there again");
        }
    }
}
