//! Reads the rows of the lists into a run.
//!
//! Invariant: a row that has its outcome in the journal does not come into the run again.

use tokio::sync::mpsc;

use crate::lists::{Exclusions, ListError, Lists, Triage};
use crate::run::{History, IncomingRow};

/// How many rows the feed reads ahead of the run.
const READ_AHEAD: usize = 256;

/// The rows of a run.
pub(crate) struct Feed {
    pub(super) lists: Lists,
    pub(super) exclusions: Exclusions,
    /// What the journal of a continued run says.
    pub(super) history: History,
}

impl Feed {
    /// How many rows of the lists have no outcome in the journal.
    pub(crate) fn rows_left(&self) -> Result<u64, ListError> {
        let mut triage = Triage::new(self.exclusions.clone());
        let mut history = self.history.clone();
        let mut left = 0;
        for row in self.lists.rows() {
            left += u64::from(history.admit(triage.sort(row?)).is_some());
        }
        Ok(left)
    }

    /// Reads the lists again, on a thread of its own, up to [`READ_AHEAD`] rows ahead of the run. After the lists come the rows
    /// of the journal that are in doubt and not in the lists any more.
    pub(crate) fn start(self) -> mpsc::Receiver<Result<IncomingRow, ListError>> {
        let Self { lists, exclusions, mut history } = self;
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
}
