//! How the program ends: the exit codes, and the one form of every error. It imports nothing of ours.
//!
//! Invariant: scripts read the numbers; a meaning never changes its number.

use std::fmt;
use std::process;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Every meeting asked for has ended.
    Done = 0,
    /// The run finished, and at least one row did not end in a closed meeting.
    Incomplete = 1,
    /// Wrong usage, configuration or input: nothing was called.
    Usage = 2,
    /// DingTalk's answer would be the same for every row.
    Halted = 3,
    /// Interrupted, or out of time: the same command continues.
    Interrupted = 4,
    /// The audit could not be written: nothing more was called.
    AuditLost = 5,
}

impl ExitCode {
    /// All codes, in order.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Incomplete, Self::Usage, Self::Halted, Self::Interrupted, Self::AuditLost];

    /// The number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What the number says, in one line.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "every meeting asked for has ended",
            Self::Incomplete => "the run finished, and at least one row is failed or invalid",
            Self::Usage => "wrong usage, configuration or input: nothing was called",
            Self::Halted => "halted: every row would meet the same refusal; the rest is not_attempted",
            Self::Interrupted => "interrupted, or out of time: the same command continues it",
            Self::AuditLost => "the audit could not be written: nothing more was called",
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// An error as the user sees it: one sentence, and advice apart.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: ExitCode,
    /// What was being tried, on what, and why it failed.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// An error without advice.
    pub fn new(code: ExitCode, problem: impl fmt::Display) -> Self {
        Self { code, problem: problem.to_string(), hint: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same with advice where there is some.
    #[must_use]
    pub fn maybe_hint<H: Into<String>>(self, hint: Option<H>) -> Self {
        Self { hint: hint.map(Into::into), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_one_form() {
        let failure = Failure::new(ExitCode::Usage, "no list").hint("name one");
        assert_eq!(failure.to_string(), "error: no list\nhint: name one");
    }
}
