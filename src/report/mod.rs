//! What people and scripts read afterwards, each made from the journal and from nothing else.
//!
//! Invariant: the same journal gives the same bytes, whenever a report is made again.

mod atomic;
mod audit_csv;
mod closing_table;
mod course;
mod forecast;
mod hints;
mod html;
mod left_over;
mod notice;
mod pace;
mod progress;
mod queue_table;
mod run_index;
mod summary;
mod verify;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use closing_table::closing_table;
pub use forecast::{contents, forecast, remarks};
pub use hints::{Hint, hint};
pub use left_over::left_over;
pub use notice::Notice;
pub use pace::Pace;
pub use progress::{Progress, ProgressMode};
pub use queue_table::queue_table;
pub use run_index::RunIndex;
pub use summary::Summary;
pub use verify::{Accounts, Verified, VerifyError, verify};

use crate::journal::{Hasher, ReadError, Reader};

/// The audit report's name in a run's folder.
pub const AUDIT_CSV: &str = "audit.csv";
/// The page's name in a run's folder.
pub const REPORT_HTML: &str = "report.html";
/// The summary's name in a run's folder.
pub const SUMMARY_JSON: &str = "summary.json";

/// Why a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The journal does not begin with a run.
    #[error("{} does not begin with a run", .0.display())]
    NoRun(PathBuf),
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
    atomic::write(&folder.join(SUMMARY_JSON), |file| summary.write(file))?;
    Ok(summary)
}

/// Whether a run's folder has the reports of a journal that ends with this hash: the summary is written last.
pub fn are_made(folder: &Path, head_hash: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Written {
        head_hash: String,
    }
    let summary = std::fs::read(folder.join(SUMMARY_JSON)).unwrap_or_default();
    serde_json::from_slice(&summary).is_ok_and(|written: Written| written.head_hash == head_hash)
}
