//! The run: rows in, one outcome each out.
//!
//! One task decides (`dispatcher`, a plain state machine) and one task an attempt does the waiting on the network. So
//! only one task ever asks the pacer or fetches a token, a row that waits to be asked again holds nothing but its place in
//! a heap, and the whole of it runs on paused time.
//!
//! Invariant: every row that came in leaves with exactly one outcome, unless the journal failed or the run was aborted.

mod asked_meetings;
mod counters;
mod dispatcher;
mod end;
mod history;
mod job;
mod job_queue;
mod lease;
mod runner;
mod stop;

pub use end::RunEnd;
pub use history::{History, IncomingRow, PriorAttempts};

pub(crate) use job::Job;
pub(crate) use lease::Lease;
pub use runner::{RunParts, run};
pub(crate) use stop::{Signal, Stop};
