//! The lists: read, checked, sorted.
//!
//! Every list is copied once to a file without a name while its digest is computed. All that follows reads the copy, so
//! what was counted is what runs, whatever becomes of the original meanwhile, and standard input can be read twice.
//!
//! A workbook's sheet is rewritten as such a copy while it is opened.
//!
//! Invariant: every row of a list comes out of [`Lists::rows`], valid or not, with the line on which it begins; a list
//! whose rows cannot be told apart is refused whole.

mod carried;
mod cell;
mod error;
mod format;
mod header;
mod list_name;
mod lists;
mod quotes;
mod rewritten;
mod rows;
mod sheet;
mod sheet_cell;
mod spool;
mod survey;
mod triage;
mod workbook;

pub use error::IntakeError;
pub use list_name::ListName;
pub use lists::{ListFacts, Lists};
pub use rows::Rows;
pub use survey::Survey;
pub use triage::{Entry, Exclusions, Triage};
