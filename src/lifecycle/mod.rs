//! One run from beginning to end, for `close` and for a worker alike.
//!
//! `selection` finds the lists or the earlier run that is meant, and `preview` shows what is in the lists. `guard` may refuse.
//! `start` starts a new run, or continues one (`continuation`). `feed` reads its rows. `finish` writes its end and its reports.
//! `after` does what follows: the metrics' textfile, the robot's message, the traces.
//!
//! Invariant: a run's first record is on the disk before its first request is sent.

pub(crate) mod after;
mod continuation;
mod feed;
mod finish;
pub(crate) mod guard;
mod look_ahead;
mod next_command;
mod notice;
mod outlook;
pub(crate) mod preview;
mod rehearsal;
mod run_folder;
mod selection;
pub(crate) mod signals;
mod start;

pub(crate) use feed::{Feed, Remainder};
pub(crate) use finish::{Finished, exit_code, finish};
pub(crate) use look_ahead::look_ahead;
pub(crate) use rehearsal::{REHEARSAL, is_rehearsal};
pub(crate) use run_folder::audit_not_writable;
pub(crate) use selection::{KEEP_FOLDER, Selection, find_run};
pub(crate) use start::{StartedRun, hasher, start, start_worker_run};

/// How long a run waits for the end of an outage of DingTalk, if no deadline limits the wait.
pub(crate) const LONGEST_OUTAGE: std::time::Duration = std::time::Duration::from_mins(30);
