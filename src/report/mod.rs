//! The reports that people and scripts read after a run.
//!
//! Invariant: a report is made from the journal alone, and the same journal always gives the same bytes.

mod audit_csv;
mod html;
pub(crate) mod rate_text;
mod report_file;
mod summary;

use std::io;
use std::path::Path;

pub(crate) use report_file::ReportError;
pub(crate) use summary::Summary;

use self::report_file::write_atomically;
use crate::journal::{Hasher, KnownHead, Reader, RunIndex};

/// The audit report's name in a run's folder.
pub(crate) const AUDIT_CSV: &str = "audit.csv";
/// The page's name in a run's folder.
pub(crate) const REPORT_HTML: &str = "report.html";
/// The summary's name in a run's folder.
pub(crate) const SUMMARY_JSON: &str = "summary.json";

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

/// Whether a run's folder has the reports of a journal that ends with this hash. The summary is written last.
pub(crate) fn are_made(folder: &Path, head_hash: &str) -> bool {
    known_head(folder).is_ok_and(|known| known.is_some_and(|known| known.head_hash == head_hash))
}

/// What the summary in a run's folder says about the journal's end. None where there is no summary.
pub(crate) fn known_head(folder: &Path) -> io::Result<Option<KnownHead>> {
    match std::fs::read(folder.join(SUMMARY_JSON)) {
        Ok(summary) => Ok(Some(serde_json::from_slice(&summary)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
