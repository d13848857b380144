//! Why a run ends before its last row, and which reason counts where there are several.

use std::fmt;

use crate::journal::{EndReason, JournalError};
use crate::outcome::ReplyDetails;

/// What somebody outside asks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Start nothing new, let what is in flight finish.
    Drain,
    /// Let go of everything at once.
    Abort,
}

/// Why nothing new is started. A later one counts more.
#[derive(Debug, Clone)]
pub enum Stop {
    /// The time given to the run is over.
    Deadline,
    /// A signal came.
    Interrupted,
    /// DingTalk was out of reach for longer than is waited.
    Outage(ReplyDetails),
    /// The lists cannot be read any further.
    ListsLost(String),
    /// Every row would hear the same.
    Halted(ReplyDetails),
    /// The audit cannot be written.
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
            Self::Deadline => f.write_str("the deadline has come"),
            Self::Interrupted => f.write_str("a signal came"),
            Self::Outage(said) => {
                write!(
                    f,
                    "DingTalk has had trouble with every row for long: {} ({})",
                    said.message, said.code
                )
            }
            Self::ListsLost(problem) => f.write_str(problem),
            Self::Halted(said) => {
                write!(f, "DingTalk would answer the same to every row: {} ({})", said.message, said.code)
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
    fn the_worse_of_every_two_reasons_wins_whichever_came_first() {
        for (first_rank, first) in all().into_iter().enumerate() {
            for (second_rank, second) in all().into_iter().enumerate() {
                let winner = first.clone().worse(second).rank();
                assert_eq!(usize::from(winner), first_rank.max(second_rank));
            }
        }
    }
}
