//! Why a run ends before its last row.
//!
//! Invariant: the worst of several reasons counts, in whatever order they came.

use std::fmt;

use crate::journal::{EndReason, JournalError};
use crate::outcome::ReplyDetails;

/// What a signal of the operating system asks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Send no new request, and let the requests in flight finish.
    Drain,
    /// Stop at once, without waiting for the requests in flight.
    Abort,
}

/// Why the run sends no new request. Where there are several reasons, the one that is declared later counts.
#[derive(Debug, Clone)]
pub enum Stop {
    /// The run's deadline has passed.
    Deadline,
    /// A signal came.
    Interrupted,
    /// An outage lasted longer than the run waits.
    Outage(ReplyDetails),
    /// The rest of the lists cannot be read.
    ListsLost(String),
    /// DingTalk would give every row the same answer.
    Halted(ReplyDetails),
    /// The journal cannot be written.
    AuditLost(JournalError),
}

impl Stop {
    /// The worse of two reasons; the first of two equal ones.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Deadline => 0,
            Self::Interrupted => 1,
            Self::Outage(_) => 2,
            Self::ListsLost(_) => 3,
            Self::Halted(_) => 4,
            Self::AuditLost(_) => 5,
        }
    }

    /// The name of this reason in the journal.
    pub const fn reason(&self) -> EndReason {
        match self {
            Self::Deadline => EndReason::Deadline,
            Self::Interrupted | Self::ListsLost(_) | Self::AuditLost(_) => EndReason::Interrupted,
            Self::Outage(_) => EndReason::Outage,
            Self::Halted(_) => EndReason::Halted,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("the deadline has passed"),
            Self::Interrupted => f.write_str("a signal came"),
            Self::Outage(details) => {
                write!(f, "the outage of DingTalk lasted too long: {} ({})", details.message, details.code)
            }
            Self::ListsLost(problem) => f.write_str(problem),
            Self::Halted(details) => {
                let ReplyDetails { message, code, .. } = details;
                write!(f, "DingTalk would answer the same to every row: {message} ({code})")
            }
            Self::AuditLost(error) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Stop; 6] {
        let error = JournalError { path: "j".into(), problem: "full".into(), durable_records: 0 };
        [
            Stop::Deadline,
            Stop::Interrupted,
            Stop::Outage(ReplyDetails::default()),
            Stop::ListsLost("gone".into()),
            Stop::Halted(ReplyDetails::default()),
            Stop::AuditLost(error),
        ]
    }

    #[test]
    fn of_two_reasons_the_worse_one_wins_whichever_came_first() {
        for (first_rank, first) in all().into_iter().enumerate() {
            for (second_rank, second) in all().into_iter().enumerate() {
                let winner = first.clone().worse(second).rank();
                assert_eq!(usize::from(winner), first_rank.max(second_rank));
            }
        }
    }
}
