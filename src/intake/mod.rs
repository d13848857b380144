//! The lists: read, checked, sorted.
//!
//! Every list is copied once to a file without a name while its digest is computed. All that follows reads the copy, so
//! what was counted is what runs, whatever becomes of the original meanwhile, and standard input can be read twice.
//!
//! Invariant: every row of a list comes out of [`Lists::rows`], valid or not, with the line on which it begins; a list
//! whose rows cannot be told apart is refused whole.

mod carried;
mod cell;
mod error;
mod header;
mod lists;
mod quotes;
mod rows;
mod spool;
mod survey;
mod triage;

pub use error::IntakeError;
pub use lists::{ListFacts, Lists};
pub use rows::Rows;
pub use survey::Survey;
pub use triage::{Entry, Exclusions, Triage};
