//! How the program ends: the exit codes, and the one form of every error.
//!
//! Invariant: scripts read the numbers; a meaning never changes its number.

use std::fmt;
use std::process;

use crate::outcome::OutcomeKind;
use crate::run::{RunEnd, Stop};

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

    /// The code of a run that ended so; `earlier` counts the rows that have an outcome from before it was continued.
    pub fn of(end: &RunEnd, earlier: impl Fn(OutcomeKind) -> u64) -> Self {
        let count =
            |kind: OutcomeKind| earlier(kind) + end.totals.outcomes.get(kind.name()).copied().unwrap_or(0);
        let not_attempted = end.totals.outcomes.get(OutcomeKind::NotAttempted.name()).copied().unwrap_or(0);
        match &end.stop {
            Some(stop) => Self::of_stop(stop),
            None if end.aborted => Self::Interrupted,
            None if count(OutcomeKind::Failed) + count(OutcomeKind::Invalid) > 0 => Self::Incomplete,
            // A row in doubt that was taken off the lists: whether its meeting has ended, nobody knows. What another worker
            // took over is told by that one's exit code.
            None if not_attempted > end.taken_over => Self::Incomplete,
            None => Self::Done,
        }
    }

    /// The code of a worker of which `stop` is the end, if it did not end of itself, and `runs` the worst that its runs came to.
    /// One that serves is ended by a signal; one that `drains` has emptied the queue, or else was interrupted.
    pub const fn of_worker(stop: Option<&Stop>, drains: bool, runs: Self) -> Self {
        match stop {
            None => runs,
            Some(Stop::Interrupted) if !drains => Self::Done,
            Some(stop) => Self::of_stop(stop),
        }
    }

    const fn of_stop(stop: &Stop) -> Self {
        match stop {
            Stop::AuditLost(_) => Self::AuditLost,
            Stop::Halted(_) => Self::Halted,
            Stop::Deadline | Stop::Interrupted | Stop::Outage(_) | Stop::ListsLost(_) => Self::Interrupted,
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
    use crate::journal::{JournalError, Totals};
    use crate::outcome::Said;

    fn code(stop: Option<Stop>, aborted: bool, outcomes: &[(OutcomeKind, u64)]) -> u8 {
        let outcomes = outcomes.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect();
        let end = RunEnd { stop, aborted, taken_over: 0, totals: Totals { outcomes, ..Totals::default() } };
        ExitCode::of(&end, |_| 0).number()
    }

    #[test]
    fn each_end_has_its_number() {
        use OutcomeKind::{AlreadyClosed, Closed, Duplicate, Excluded, Failed, Invalid, NotAttempted};
        assert_eq!(code(None, false, &[]), 0);
        assert_eq!(code(None, false, &[(Closed, 3), (AlreadyClosed, 1), (Duplicate, 1), (Excluded, 1)]), 0);
        assert_eq!(code(None, false, &[(Closed, 3), (Failed, 1)]), 1);
        assert_eq!(code(None, false, &[(Invalid, 1)]), 1);
        assert_eq!(code(None, false, &[(Closed, 3), (NotAttempted, 1)]), 1);
        assert_eq!(code(Some(Stop::Halted(Said::default())), false, &[(Failed, 1)]), 3);
        assert_eq!(code(Some(Stop::Deadline), false, &[(Failed, 1)]), 4);
        assert_eq!(code(Some(Stop::Interrupted), false, &[]), 4);
        assert_eq!(code(Some(Stop::Outage(Said::default())), false, &[]), 4);
        assert_eq!(code(Some(Stop::ListsLost("x".into())), false, &[]), 4);
        assert_eq!(code(None, true, &[]), 4);
        let lost = JournalError { path: "j".into(), problem: "full".into(), durable_records: 0 };
        assert_eq!(code(Some(Stop::AuditLost(lost)), false, &[]), 5);
    }

    #[test]
    fn a_worker_ends_well_when_its_queue_is_empty_or_when_it_serves_and_is_told_to_end() {
        use ExitCode::{AuditLost, Done, Halted, Incomplete, Interrupted};
        let lost = JournalError { path: "j".into(), problem: "full".into(), durable_records: 0 };
        for (stop, to_drain, to_serve) in [
            (Stop::Deadline, Interrupted, Interrupted),
            (Stop::Interrupted, Interrupted, Done),
            (Stop::Outage(Said::default()), Interrupted, Interrupted),
            (Stop::ListsLost("x".into()), Interrupted, Interrupted),
            (Stop::Halted(Said::default()), Halted, Halted),
            (Stop::AuditLost(lost), AuditLost, AuditLost),
        ] {
            for runs in [Done, Incomplete, Interrupted] {
                assert_eq!(ExitCode::of_worker(Some(&stop), true, runs), to_drain, "{stop}, {runs:?}");
                assert_eq!(ExitCode::of_worker(Some(&stop), false, runs), to_serve, "{stop}, {runs:?}");
            }
        }
        for runs in [Done, Incomplete] {
            assert_eq!(ExitCode::of_worker(None, true, runs), runs);
        }
    }

    #[test]
    fn a_row_that_failed_before_the_run_was_continued_still_counts() {
        let end = RunEnd { stop: None, aborted: false, taken_over: 0, totals: Totals::default() };
        let earlier = |kind| u64::from(kind == OutcomeKind::Failed);
        assert_eq!(ExitCode::of(&end, earlier).number(), 1);
    }

    #[test]
    fn what_another_worker_took_over_is_told_by_its_own_exit_code() {
        let outcomes = |count: u64| [(OutcomeKind::NotAttempted.name().to_owned(), count)].into();
        for (not_attempted, number) in [(2, 0), (3, 1)] {
            let totals = Totals { outcomes: outcomes(not_attempted), ..Totals::default() };
            let end = RunEnd { stop: None, aborted: false, taken_over: 2, totals };
            assert_eq!(ExitCode::of(&end, |_| 0).number(), number);
        }
    }

    #[test]
    fn an_error_has_one_form() {
        let failure = Failure::new(ExitCode::Usage, "no list").hint("name one");
        assert_eq!(failure.to_string(), "error: no list\nhint: name one");
    }
}
