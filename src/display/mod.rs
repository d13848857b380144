//! What a terminal shows before a run, during it, and at its end.
//!
//! Invariant: these modules only write text. They decide nothing about a run.

mod closing_table;
mod preview;
mod progress;
mod queue_table;

pub(crate) use closing_table::{closing_table, end_notes};
pub(crate) use preview::{
    contents, exclusions, forecast, invalid_row, more_invalid_rows, remarks, withdrawn,
};
pub(crate) use progress::{Progress, ProgressMode};
pub(crate) use queue_table::queue_table;
