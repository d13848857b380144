//! The run: rows in, one outcome each out.
//!
//! One task decides: the `runner`'s loop, with the `dispatcher`, a plain state machine. One further task per attempt waits for
//! the network. So only one task takes permits and fetches access tokens. A row that waits for its retry costs no task and no
//! permit, only its place in a queue. The whole run works on paused time, so tests need no real sleep.
//!
//! A row has one name at each stage:
//!
//! | name | file | stage |
//! | --- | --- | --- |
//! | `Row` | `meeting` | a line of a list, as it was read |
//! | `TriagedRow` | `lists` | the row, checked: to close, or not asked for and why |
//! | [`IncomingRow`] | `history` | the row with its [`PriorAttempts`], which an earlier process made |
//! | [`Job`] | `job` | a row to close, with its attempts so far |
//! | `InFlight` | `runner` | a job whose request was sent |
//! | `Outcome` | `outcome` | the end of the row |
//!
//! Invariant: every row that came in gets exactly one outcome, unless the journal failed or the run was aborted.

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
