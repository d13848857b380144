//! The lists: read, checked, sorted.
//!
//! Each list is copied once to a file without a name, while its digest is computed. Everything afterwards reads that copy.
//! So what was counted is what runs, even if the original changes meanwhile, and standard input can be read twice.
//! A workbook's sheet is rewritten as such a copy while it is opened.
//!
//! Invariant: every row of a list comes out of [`Lists::rows`], valid or not, with the line on which it begins. A list
//! whose rows cannot be told apart is refused.

mod carried_over;
mod cell;
mod error;
mod format;
mod header;
mod list;
mod list_name;
mod list_set;
mod reader;
mod rewritten;
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

pub(crate) use survey::Survey;
pub use triage::TriagedRow;
pub(crate) use triage::{Exclusions, Triage};
