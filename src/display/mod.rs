//! What a terminal shows: before a run, during it, and at its end.

mod closing_table;
mod preview;
mod progress;
mod queue_table;

pub use closing_table::{closing_table, end_notes};
pub use preview::{contents, forecast, remarks};
pub use progress::{Progress, ProgressMode};
pub use queue_table::queue_table;
