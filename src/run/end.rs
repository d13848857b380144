//! How a run ended, and the exit code that follows from it.

use crate::exit::ExitCode;
use crate::journal::Totals;
use crate::outcome::OutcomeKind;

use super::Stop;

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// Why it ended early, if it did.
    pub stop: Option<Stop>,
    /// Whether the second signal aborted it: then some rows have no outcome.
    pub aborted: bool,
    /// Rows that are `not_attempted` because another worker took them over. That worker reports them.
    pub taken_over: u64,
    /// Rows that are `withdrawn`, and that were asked for without an answer. Their meetings may still be open.
    pub withdrawn_in_doubt: u64,
    /// What this process counted.
    pub totals: Totals,
}

impl RunEnd {
    /// How many rows got this outcome in this process.
    pub fn count(&self, kind: OutcomeKind) -> u64 {
        self.totals.outcomes.get(kind.name()).copied().unwrap_or(0)
    }

    /// The exit code. `earlier` counts the rows that got their outcome before the run was continued.
    pub fn exit_code(&self, earlier: impl Fn(OutcomeKind) -> u64) -> ExitCode {
        let unclosed = |kind| earlier(kind) + self.count(kind);
        match &self.stop {
            Some(stop) => stop.exit_code(),
            None if self.aborted => ExitCode::Interrupted,
            None if unclosed(OutcomeKind::Failed) + unclosed(OutcomeKind::Invalid) > 0 => {
                ExitCode::Incomplete
            }
            None if self.withdrawn_in_doubt > 0 => ExitCode::Incomplete,
            // Rows that another worker took over count in that worker's exit code.
            None if self.count(OutcomeKind::NotAttempted) > self.taken_over => ExitCode::Incomplete,
            None => ExitCode::Done,
        }
    }
}

impl Stop {
    /// The exit code of a run that stopped for this reason.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::AuditLost(_) => ExitCode::AuditLost,
            Self::Halted(_) => ExitCode::Halted,
            Self::Deadline | Self::Interrupted | Self::Outage(_) | Self::ListsLost(_) => {
                ExitCode::Interrupted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalError;
    use crate::outcome::ReplyDetails;

    fn code(stop: Option<Stop>, aborted: bool, outcomes: &[(OutcomeKind, u64)]) -> u8 {
        let outcomes = outcomes.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect();
        let end = RunEnd {
            stop,
            aborted,
            taken_over: 0,
            withdrawn_in_doubt: 0,
            totals: Totals { outcomes, ..Totals::default() },
        };
        end.exit_code(|_| 0).number()
    }

    #[test]
    fn each_end_of_a_run_has_its_exit_code() {
        use OutcomeKind::{AlreadyClosed, Closed, Duplicate, Excluded, Failed, Invalid, NotAttempted};
        assert_eq!(code(None, false, &[]), 0);
        assert_eq!(code(None, false, &[(Closed, 3), (AlreadyClosed, 1), (Duplicate, 1), (Excluded, 1)]), 0);
        assert_eq!(code(None, false, &[(Closed, 3), (Failed, 1)]), 1);
        assert_eq!(code(None, false, &[(Invalid, 1)]), 1);
        assert_eq!(code(None, false, &[(Closed, 3), (NotAttempted, 1)]), 1);
        assert_eq!(code(Some(Stop::Halted(ReplyDetails::default())), false, &[(Failed, 1)]), 3);
        assert_eq!(code(Some(Stop::Deadline), false, &[(Failed, 1)]), 4);
        assert_eq!(code(Some(Stop::Interrupted), false, &[]), 4);
        assert_eq!(code(Some(Stop::Outage(ReplyDetails::default())), false, &[]), 4);
        assert_eq!(code(Some(Stop::ListsLost("x".into())), false, &[]), 4);
        assert_eq!(code(None, true, &[]), 4);
        let lost = JournalError { path: "j".into(), problem: "full".into(), durable_records: 0 };
        assert_eq!(code(Some(Stop::AuditLost(lost)), false, &[]), 5);
    }

    #[test]
    fn a_row_that_failed_before_the_run_was_continued_still_counts() {
        let end = RunEnd {
            stop: None,
            aborted: false,
            taken_over: 0,
            withdrawn_in_doubt: 0,
            totals: Totals::default(),
        };
        assert_eq!(end.exit_code(|kind| u64::from(kind == OutcomeKind::Failed)), ExitCode::Incomplete);
    }

    #[test]
    fn a_row_that_another_worker_took_over_does_not_change_this_workers_exit_code() {
        for (not_attempted, code) in [(2, ExitCode::Done), (3, ExitCode::Incomplete)] {
            let outcomes = [(OutcomeKind::NotAttempted.name().to_owned(), not_attempted)].into();
            let totals = Totals { outcomes, ..Totals::default() };
            let end = RunEnd { stop: None, aborted: false, taken_over: 2, withdrawn_in_doubt: 0, totals };
            assert_eq!(end.exit_code(|_| 0), code);
        }
    }

    #[test]
    fn a_withdrawn_row_counts_only_if_it_was_asked_for_without_an_answer() {
        for (withdrawn_in_doubt, code) in [(0, ExitCode::Done), (1, ExitCode::Incomplete)] {
            let outcomes = [(OutcomeKind::Withdrawn.name().to_owned(), 2)].into();
            let totals = Totals { outcomes, ..Totals::default() };
            let end = RunEnd { stop: None, aborted: false, taken_over: 0, withdrawn_in_doubt, totals };
            assert_eq!(end.exit_code(|_| 0), code);
        }
    }
}
