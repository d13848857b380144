//! The folder of a new run.
//!
//! Invariant: a run never gets the folder of another run.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::journal;

/// The id of a new run, and its folder.
pub(super) struct RunFolder {
    pub(super) run_id: String,
    pub(super) path: PathBuf,
}

/// The audit cannot be written, so nothing was called.
pub(crate) fn audit_not_writable(audit_dir: &Path, error: &dyn Display) -> Failure {
    let dir = audit_dir.display();
    Failure::new(ExitCode::AuditLost, format!("cannot write the audit to {dir}: {error}; nothing was called"))
        .hint("make the folder writable, or name another one with --audit-dir (audit.dir)")
}

/// Makes the folder of a run with the given id.
pub(super) fn make_named(audit_dir: &Path, id: &str) -> Result<RunFolder, Failure> {
    let refuse =
        |hint: &str| Err(Failure::new(ExitCode::Usage, format!("{id:?} cannot be this run's id")).hint(hint));
    if !journal::is_run_id(id) {
        return refuse("an id consists of letters, digits, dots, dashes and underscores");
    }
    let created =
        journal::create_run_folder(audit_dir, id).map_err(|error| audit_not_writable(audit_dir, &error))?;
    match created {
        Some(path) => Ok(RunFolder { run_id: id.to_owned(), path }),
        None => refuse("a run with this id exists already: choose another --run-id"),
    }
}

/// Makes a folder whose id is the time and `suffix`. If several runs start in the same second, the id gets a number too.
pub(super) fn make_dated(audit_dir: &Path, suffix: &str, clock: &Clock) -> Result<RunFolder, Failure> {
    let default = format!("{}-{suffix}", clock.timestamp().strftime("%Y%m%dT%H%M%SZ"));
    let mut run_id = default.clone();
    for number in 2.. {
        let created = journal::create_run_folder(audit_dir, &run_id)
            .map_err(|error| audit_not_writable(audit_dir, &error))?;
        if let Some(path) = created {
            return Ok(RunFolder { run_id, path });
        }
        run_id = format!("{default}-{number}");
    }
    unreachable!("a folder has fewer than 2^31 runs of one second")
}
