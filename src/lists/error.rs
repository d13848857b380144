//! Why a list is refused whole. What is wrong with a single row is no error: the row is `invalid`.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::exit::{ExitCode, Failure};

/// Why a list is refused.
#[derive(Debug, Error)]
#[error("{}{}: {problem}", shown(source_name), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ListError {
    /// The list, as it was named; `-` is standard input.
    pub source_name: Arc<str>,
    /// The line, where one is to blame.
    pub line: Option<u64>,
    /// What was found, and what was looked for.
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
        let problem = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory, and a file is expected".to_owned(),
            _ => format!("it cannot be read: {error}"),
        };
        Self::new(source_name, problem)
    }

    /// Why a workbook is not read, in calamine's words.
    pub(super) fn damaged_workbook(source_name: &Arc<str>, problem: &dyn Display) -> Self {
        Self::new(source_name, format!("it cannot be read as an Excel workbook: {problem}"))
            .hint("open it in Excel and save it once more as .xlsx")
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint)
    }
}
