//! The run: rows in, one outcome each out.
//!
//! One task decides (`dispatcher`, a plain state machine) and one task an attempt does the waiting on the network. So
//! only one task ever asks the pacer or fetches a token, a row that waits to be asked again holds nothing but its place in
//! a heap, and the whole of it runs on paused time.
//!
//! Invariant: every row that came in leaves with exactly one outcome, unless the journal failed or the run was aborted.

mod asked;
mod breaker;
mod dispatcher;
mod history;
mod hold;
mod job;
mod ledger;
mod rows;
mod runner;
mod stop;

pub use history::{Arrival, History, Prior};
pub use hold::Hold;
pub use job::Job;
pub use runner::{Parts, RunEnd, run};
pub use stop::{Signal, Stop};
