//! Reads the rows of the lists into a run.
//!
//! Invariant: a row that has its outcome in the journal does not come into the run again.

use tokio::sync::mpsc;

use crate::lists::{Exclusions, ListError, Lists, Triage, TriagedRow};
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

/// What a continued run has left to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Remainder {
    /// Rows of the lists without an outcome.
    pub(crate) rows: u64,
    /// Those of them whose meeting is to be closed.
    pub(crate) to_close: u64,
    /// Rows that the lists do not have any more.
    pub(crate) withdrawn: u64,
}

impl Feed {
    /// What is left to do.
    pub(crate) fn remainder(&self) -> Result<Remainder, ListError> {
        let mut triage = Triage::new(self.exclusions.clone());
        let mut history = self.history.clone();
        let mut remainder = Remainder::default();
        for row in self.lists.rows() {
            if let Some(IncomingRow { entry, .. }) = history.admit(triage.sort(row?)) {
                remainder.rows += 1;
                remainder.to_close += u64::from(matches!(entry, TriagedRow::ToClose { .. }));
            }
        }
        remainder.withdrawn = history.withdrawn_rows();
        Ok(remainder)
    }

    /// Reads the lists again, on a thread of its own, up to [`READ_AHEAD`] rows ahead of the run. After the lists come the open
    /// rows of the journal that are not in the lists any more.
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
            for incoming in history.withdrawn() {
                if sender.blocking_send(Ok(incoming)).is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
