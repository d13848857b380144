//! Why a whole list is refused. A problem of a single row is no error: the row gets the outcome `invalid`.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::exit::{ExitCode, Failure};
use crate::wording::printable;

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

    pub(super) fn maybe_hint(self, hint: Option<&str>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    pub(super) fn unreadable(source_name: &Arc<str>, error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
            _ => error.to_string(),
        };
        Self {
            hint: open_files_hint(error),
            ..Self::new(source_name, format!("cannot read the list: {cause}"))
        }
    }

    /// The list's temporary copy cannot be written.
    pub(super) fn no_copy(source_name: &Arc<str>, error: &io::Error) -> Self {
        let hint = open_files_hint(error).unwrap_or_else(|| {
            "free disk space in the folder for temporary files, or set TMPDIR to another folder".to_owned()
        });
        Self::new(source_name, format!("cannot copy the list to a temporary file: {error}")).hint(hint)
    }

    /// The list's temporary copy is damaged.
    pub(super) fn damaged_copy(source_name: &Arc<str>, problem: &dyn Display) -> Self {
        Self::new(source_name, format!("the temporary copy cannot be read back: {problem}")).hint(
            "check the disk that holds the folder for temporary files (TMPDIR), then run the command again",
        )
    }

    /// A workbook cannot be read. `problem` is often calamine's text, which can hold any characters of the workbook.
    pub(super) fn damaged_workbook(source_name: &Arc<str>, problem: &dyn Display) -> Self {
        let problem = printable(&problem.to_string());
        Self::new(source_name, format!("cannot read the Excel workbook: {problem}"))
            .hint("open the workbook in Excel and save it again as .xlsx")
    }
}

/// What to do if the process has too many open files.
fn open_files_hint(error: &io::Error) -> Option<String> {
    let is_limit = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .into_iter()
        .any(|limit| error.raw_os_error() == Some(limit.raw_os_error()));
    is_limit.then(|| "raise the limit of open files (ulimit -n), then run the command again".to_owned())
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_get_the_hint_for_them_and_a_full_disk_gets_its_own() {
        let hint = |errno: rustix::io::Errno| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            let (source, unread) =
                ("list.csv".into(), ListError::unreadable(&"list.csv".into(), &error).hint);
            (ListError::no_copy(&source, &error).hint.unwrap(), unread)
        };
        let (copied, unread) = hint(rustix::io::Errno::MFILE);
        assert!(copied.contains("ulimit -n") && unread.unwrap().contains("ulimit -n"));
        let (copied, unread) = hint(rustix::io::Errno::NOSPC);
        assert!(copied.contains("free disk space") && unread.is_none());
    }
}
