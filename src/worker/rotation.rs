//! Feeds one run of a worker until the next run is due: at midnight in UTC, or when the journal has grown.
//!
//! Invariant: every entry that the feeder took reaches the run, unless the run has lost its audit. After its limits, a run gets
//! no more entries.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::feeder::{FeedStep, Feeder};
use crate::lists::ListError;
use crate::queue::Broker;
use crate::run::IncomingRow;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// When to stop feeding a run. The run then finishes the rows that it has.
#[derive(Debug)]
pub(super) struct FeedLimits {
    /// Whether to stop when the queue is empty and no worker has a lease.
    pub until_empty: bool,
    /// Stop at this instant.
    pub due: Instant,
    /// The run's journal.
    pub journal: PathBuf,
    /// Stop when the journal has this many bytes.
    pub max_journal_bytes: u64,
    /// Stop when this becomes true: the run stops.
    pub stopped: watch::Receiver<bool>,
}

/// The time until the next midnight in UTC: more than zero, and a day at most.
pub(super) fn until_midnight(now: Timestamp) -> Duration {
    let left_ms = DAY_MS - now.as_millisecond().rem_euclid(DAY_MS);
    Duration::from_millis(
        u64::try_from(left_ms).expect("the remainder is less than a day, so the difference is positive"),
    )
}

/// Feeds a run, beginning with the rows in `first`, until one of the limits.
pub(super) async fn feed<B: Broker>(
    mut feeder: Feeder<B>,
    first: Vec<IncomingRow>,
    run: mpsc::Sender<Result<IncomingRow, ListError>>,
    mut limits: FeedLimits,
) -> Feeder<B> {
    let mut rows = first;
    loop {
        for row in rows {
            // The run has lost its audit and accepts no more rows. When the leases run out, other workers get the entries.
            if run.send(Ok(row)).await.is_err() {
                return feeder;
            }
        }
        let has_grown =
            std::fs::metadata(&limits.journal).is_ok_and(|journal| journal.len() >= limits.max_journal_bytes);
        if has_grown {
            return feeder;
        }
        rows = match feeder.step(limits.until_empty, limits.due, &mut limits.stopped).await {
            FeedStep::Rows(rows) => rows,
            FeedStep::Due | FeedStep::Emptied { .. } | FeedStep::Stopped => return feeder,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_midnight_is_in_utc_exact_to_the_millisecond_and_never_now() {
        for (now, left_ms) in [
            ("2026-11-23T00:00:00Z", DAY_MS),
            ("2026-11-23T00:00:00.001Z", DAY_MS - 1),
            ("2026-11-23T18:00:00.250Z", 6 * 60 * 60 * 1000 - 250),
            ("2026-11-23T23:59:59.999Z", 1),
            // In UTC still the day before; and the end of a leap day.
            ("2026-11-24T01:30:00+08:00", (6 * 60 + 30) * 60 * 1000),
            ("2028-02-29T23:59:59Z", 1000),
            ("1969-12-31T23:59:59Z", 1000),
        ] {
            let left = until_midnight(now.parse().unwrap());
            assert_eq!(left, Duration::from_millis(u64::try_from(left_ms).unwrap()), "{now}");
        }
    }
}
