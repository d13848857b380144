//! How a report becomes a file.
//!
//! Invariant: a reader finds the old file or the new one, whole.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::atomic_file;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, ReadError};

/// Why a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// A report cannot be written.
    #[error("cannot write {}: {problem}", path.display())]
    Write {
        /// The report.
        path: PathBuf,
        /// The system's reason.
        problem: String,
    },
}

/// Writes a report. Only the file's owner may read it.
pub(super) fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), ReportError> {
    let folder = path.parent().unwrap_or(path);
    atomic_file::replace(path, 0o600, fill)
        .and_then(|()| journal::sync_folder(folder))
        .map_err(|error| ReportError::Write { path: path.to_owned(), problem: error.to_string() })
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::new(ExitCode::AuditLost, error).hint(
            "free disk space or repair the folder, then repeat the command: it writes the reports and closes no meeting twice",
        )
    }
}
