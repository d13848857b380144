//! What people and scripts read afterwards, each made from the journal and from nothing else.
//!
//! Invariant: the same journal gives the same bytes, whenever a report is made again.

mod audit_csv;
mod html;
mod summary;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use thiserror::Error;

pub(crate) use summary::Summary;

use crate::atomic_file;
use crate::exit::{ExitCode, Failure};
use crate::journal::{Hasher, ReadError, Reader, RunIndex};

/// The audit report's name in a run's folder.
pub(crate) const AUDIT_CSV: &str = "audit.csv";
/// The page's name in a run's folder.
pub(crate) const REPORT_HTML: &str = "report.html";
/// The summary's name in a run's folder.
pub(crate) const SUMMARY_JSON: &str = "summary.json";

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

/// Writes `audit.csv`, `report.html` and `summary.json` beside the journal in `folder`.
pub fn write_reports(folder: &Path, hasher: Hasher) -> Result<Summary, ReportError> {
    let journal = folder.join(crate::journal::FILE_NAME);
    let mut reader = Reader::open(&journal, hasher)?;
    let index = RunIndex::read(&mut reader, &journal)?;
    audit_csv::write(&index, &mut reader, &folder.join(AUDIT_CSV))?;
    html::write(&index, &mut reader, &folder.join(REPORT_HTML))?;
    let summary = Summary::of(&index);
    write_atomically(&folder.join(SUMMARY_JSON), |file| summary.write(file))?;
    Ok(summary)
}

/// Whether a run's folder has the reports of a journal that ends with this hash: the summary is written last.
pub(crate) fn are_made(folder: &Path, head_hash: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Written {
        head_hash: String,
    }
    let summary = std::fs::read(folder.join(SUMMARY_JSON)).unwrap_or_default();
    serde_json::from_slice(&summary).is_ok_and(|written: Written| written.head_hash == head_hash)
}

/// Writes a report so that readers find the old file or the new one, whole. Only the file's owner may read it.
fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), ReportError> {
    atomic_file::replace(path, 0o600, fill)
        .map_err(|error| ReportError::Write { path: path.to_owned(), problem: error.to_string() })
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::new(ExitCode::AuditLost, error)
            .hint("make room, or mend the folder, and run the same command again: it makes the reports and calls nothing twice")
    }
}
