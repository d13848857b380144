//! How long to wait before the next call to a queue that failed.
//!
//! Invariant: the log has one line when the queue starts to fail, and one when it works again.

use std::time::Duration;

use tracing::{info, warn};

use super::BrokerError;
use crate::backoff::Backoff;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The failures of a queue since it last worked.
#[derive(Debug)]
pub(crate) struct BrokerBackoff {
    waits: Backoff,
    is_failing: bool,
}

impl Default for BrokerBackoff {
    fn default() -> Self {
        Self { waits: Backoff::doubling(FIRST_WAIT, LONGEST_WAIT), is_failing: false }
    }
}

impl BrokerBackoff {
    /// Notes a failure, and returns how long to wait.
    pub(crate) fn failed(&mut self, error: &BrokerError) -> Duration {
        if !std::mem::replace(&mut self.is_failing, true) {
            let hint = error.hint.map(|hint| format!("; hint: {hint}")).unwrap_or_default();
            warn!("retrying: {error}{hint}");
        }
        self.waits.next_wait()
    }

    /// Notes a success.
    pub(crate) fn worked(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            info!("the queue works again");
            self.waits.reset();
        }
    }
}
