//! Feeds one run of a worker, until it gives way to the next one: at midnight in UTC, or when its journal has grown.
//!
//! Invariant: every entry that was taken reaches the run, unless that has lost its audit; nothing is taken for a run that is
//! to end.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{FeedStep, Feeder};
use crate::lists::ListError;
use crate::queue::Broker;
use crate::run::IncomingRow;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// When a run is fed no more. It then finishes what it has.
#[derive(Debug)]
pub(super) struct FeedLimits {
    /// As soon as the queue is empty, and nobody works on anything.
    pub until_empty: bool,
    /// At this instant.
    pub at: Instant,
    /// As soon as this file has grown.
    pub journal: PathBuf,
    /// To so many bytes.
    pub bytes: u64,
    /// As soon as the run stops.
    pub stopped: watch::Receiver<bool>,
}

/// From now to the next midnight in UTC: more than nothing, and a day at most.
pub(super) fn until_midnight(now: Timestamp) -> Duration {
    let left_ms = DAY_MS - now.as_millisecond().rem_euclid(DAY_MS);
    Duration::from_millis(u64::try_from(left_ms).expect("a remainder is less than a day"))
}

/// Feeds a run, the first rows first, until it ends for one of these reasons.
pub(super) async fn feed<B: Broker>(
    mut feeder: Feeder<B>,
    first: Vec<IncomingRow>,
    run: mpsc::Sender<Result<IncomingRow, ListError>>,
    mut ends: FeedLimits,
) -> Feeder<B> {
    let mut rows = first;
    loop {
        for row in rows {
            // A run that lost its audit takes nothing more; its entries are handed to somebody else.
            if run.send(Ok(row)).await.is_err() {
                return feeder;
            }
        }
        let has_grown = std::fs::metadata(&ends.journal).is_ok_and(|journal| journal.len() >= ends.bytes);
        if has_grown {
            return feeder;
        }
        rows = match feeder.step(ends.until_empty, ends.at, &mut ends.stopped).await {
            FeedStep::Rows(rows) => rows,
            FeedStep::Due | FeedStep::Emptied { .. } | FeedStep::Stopped => return feeder,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_midnight_is_that_of_utc_to_the_millisecond_and_never_now() {
        for (now, left_ms) in [
            ("2026-11-23T00:00:00Z", DAY_MS),
            ("2026-11-23T00:00:00.001Z", DAY_MS - 1),
            ("2026-11-23T18:00:00.250Z", 6 * 60 * 60 * 1000 - 250),
            ("2026-11-23T23:59:59.999Z", 1),
            // The day before in UTC, and a leap day's end.
            ("2026-11-24T01:30:00+08:00", (6 * 60 + 30) * 60 * 1000),
            ("2028-02-29T23:59:59Z", 1000),
            ("1969-12-31T23:59:59Z", 1000),
        ] {
            let left = until_midnight(now.parse().unwrap());
            assert_eq!(left, Duration::from_millis(u64::try_from(left_ms).unwrap()), "{now}");
        }
    }
}
