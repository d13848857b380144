//! The lists of meetings: opens and copies them, reads their rows, and sorts the rows.
//!
//! Opening a list copies it once to a file without a name, and computes its digest. Everything later reads that copy.
//! So the run closes exactly the rows that were counted, even if the original file changes. It also means that standard
//! input can be read twice. A workbook is different: its sheet is rewritten as CSV when it is opened ([`rewritten`]).
//!
//! Invariant: [`Lists::rows`] yields every row of a list, valid or not, with the line on which the row begins. A list
//! is refused if its rows cannot be separated with certainty.

mod carried_over;
mod cell;
mod cell_kind;
mod encoding;
mod error;
mod format;
mod header;
mod list;
mod list_name;
mod list_set;
mod reader;
mod rewritten;
mod second_id;
mod skipped;
mod spool;
mod strict_quotes;
mod survey;
#[cfg(test)]
mod tests;
mod triage;
mod workbook;

pub use error::ListError;

pub(crate) use list_name::ListName;
pub(crate) use list_set::{ListFacts, Lists};
pub(crate) use survey::{ExclusionUse, Survey};
pub use triage::TriagedRow;
pub(crate) use triage::{Exclusions, Triage};
