//! Why a whole list is refused. A problem of a single row is no error: the row gets the outcome `invalid`.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::exit::{ExitCode, Failure};

/// Why a list is refused.
#[derive(Debug, Error)]
#[error("{}{}: {problem}", shown(source_name), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ListError {
    /// The list, as the user named it; `-` is standard input.
    pub source_name: Arc<str>,
    /// The line, if one line causes the error.
    pub line: Option<u64>,
    /// What was found, and what was expected.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

fn shown(source_name: &str) -> &str {
    if source_name == "-" { "standard input" } else { source_name }
}

impl ListError {
    pub(super) fn new(source_name: &Arc<str>, problem: impl Into<String>) -> Self {
        Self { source_name: Arc::clone(source_name), line: None, problem: problem.into(), hint: None }
    }

    pub(super) fn at(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn unreadable(source_name: &Arc<str>, error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
            _ => error.to_string(),
        };
        Self::new(source_name, format!("cannot read the list: {cause}"))
    }

    /// The list's temporary copy cannot be written.
    pub(super) fn no_copy(source_name: &Arc<str>, error: &dyn Display) -> Self {
        Self::new(source_name, format!("cannot copy the list to a temporary file: {error}"))
            .hint("free disk space in the folder for temporary files, or set TMPDIR to another folder")
    }

    /// The list's temporary copy is damaged.
    pub(super) fn damaged_copy(source_name: &Arc<str>, problem: &dyn Display) -> Self {
        Self::new(source_name, format!("the temporary copy cannot be read back: {problem}")).hint(
            "check the disk that holds the folder for temporary files (TMPDIR), then run the command again",
        )
    }

    /// A workbook cannot be read. `problem` is often calamine's text.
    pub(super) fn damaged_workbook(source_name: &Arc<str>, problem: &dyn Display) -> Self {
        Self::new(source_name, format!("cannot read the Excel workbook: {problem}"))
            .hint("open the workbook in Excel and save it again as .xlsx")
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint)
    }
}
