//! Reading the rows of the lists into a run.

use tokio::sync::mpsc;

use crate::lists::{Exclusions, ListError, Lists, Triage};
use crate::run::{History, IncomingRow};

/// Rows that are read ahead of the run.
const READ_AHEAD: usize = 256;

/// How many rows of the lists have no outcome in the journal.
pub(crate) fn rows_left(
    lists: &Lists,
    exclusions: Exclusions,
    mut history: History,
) -> Result<u64, ListError> {
    let mut triage = Triage::new(exclusions);
    let mut left = 0;
    for row in lists.rows() {
        left += u64::from(history.admit(triage.sort(row?)).is_some());
    }
    Ok(left)
}

/// Reads the lists once more, on a thread of its own, no further ahead than the run can take. Rows that have their outcome in
/// the journal are left out.
pub(crate) fn feed(
    lists: Lists,
    exclusions: Exclusions,
    mut history: History,
) -> mpsc::Receiver<Result<IncomingRow, ListError>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut triage = Triage::new(exclusions);
        for row in lists.rows() {
            let incoming = row.map(|row| history.admit(triage.sort(row))).transpose();
            if let Some(incoming) = incoming
                && sender.blocking_send(incoming).is_err()
            {
                return;
            }
        }
        for incoming in history.left_in_doubt() {
            if sender.blocking_send(Ok(incoming)).is_err() {
                return;
            }
        }
    });
    receiver
}
