//! How the program ends: the exit codes, and the one form of every error. This file imports nothing of the crate.
//!
//! Invariant: scripts depend on the numbers, so a number never changes its meaning.

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
    /// Wrong usage, configuration or input: no meeting was asked to close.
    Usage = 2,
    /// DingTalk would refuse every row alike.
    Halted = 3,
    /// Interrupted, or out of time: the same command continues the run.
    Interrupted = 4,
    /// The audit could not be written: the run stopped at once and called nothing more.
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

    /// What the code means, in one line.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "every meeting asked for has ended",
            Self::Incomplete => "the run finished, and at least one row is failed or invalid",
            Self::Usage => "wrong usage, configuration or input: no meeting was asked to close",
            Self::Halted => "halted: DingTalk would refuse every row alike; the rest is not_attempted",
            Self::Interrupted => "interrupted, or out of time: the same command continues it",
            Self::AuditLost => {
                "the audit could not be written: the run stopped at once and called nothing more"
            }
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// An error as the user sees it: one sentence, and a hint.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: ExitCode,
    /// What the program tried, with which file or value, and why it failed.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// An error without a hint.
    pub fn new(code: ExitCode, problem: impl fmt::Display) -> Self {
        Self { code, problem: problem.to_string(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds a hint, if there is one.
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
    fn an_error_is_shown_with_its_hint_on_a_second_line() {
        let failure = Failure::new(ExitCode::Usage, "no list").hint("name one");
        assert_eq!(failure.to_string(), "error: no list\nhint: name one");
    }
}
