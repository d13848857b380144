//! One run from end to end, for `close` and for a worker alike.
//!
//! `selection` says which lists or which earlier run is meant. `start` begins a new run, or continues one (`continuation`).
//! `feed` reads its rows. `finish` writes its end and its reports. `after` is what follows: the metrics' textfile, the
//! robot's message, the traces.
//!
//! Invariant: a run's first record is on the disk before its first request leaves.

pub(crate) mod after;
mod continuation;
pub(crate) mod feed;
mod finish;
pub(crate) mod guard;
mod next_command;
mod notice;
mod selection;
pub(crate) mod signals;
mod start;

pub(crate) use finish::{Finished, REHEARSAL, exit_code, finish};
pub(crate) use next_command::next_command;
pub(crate) use notice::Notice;
pub(crate) use selection::{KEEP_FOLDER, Selection, find_run};
pub(crate) use start::{
    RowSource, StartedRun, audit_not_writable, hasher, run_started, start, start_worker_run,
};

/// How long a run waits for DingTalk to come back where no deadline bounds the wait.
pub(crate) const LONGEST_OUTAGE: std::time::Duration = std::time::Duration::from_mins(30);
