//! What is known of a run before it starts: how much of it an earlier process has done.
//!
//! Invariant: rows that have their outcome are not counted as work again.

use super::feed::Remainder;
use crate::lists::Survey;

/// What is known of a run before it starts.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    /// The run that would be continued. Known only if somebody is asked, or in a dry run.
    pub(super) continued: Option<Continued>,
}

/// A run that would be continued.
#[derive(Debug)]
pub(super) struct Continued {
    pub(super) run_id: String,
    /// Rows of the lists.
    pub(super) rows: u64,
    pub(super) remainder: Remainder,
}

impl Continued {
    pub(super) fn rows_done(&self) -> String {
        format!("{} of {} rows done", self.rows - self.remainder.rows, self.rows)
    }
}

impl Outlook {
    /// How many meetings are to be closed: without those that the continued run has closed.
    pub(super) fn to_close(&self, survey: &Survey) -> u64 {
        self.continued.as_ref().map_or(survey.to_close, |continued| continued.remainder.to_close)
    }
}
