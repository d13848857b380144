//! The findings of a check, and their exit code.
//!
//! Invariant: a finding that is not ok says what to do.

use std::fmt;

use crate::exit::ExitCode;

/// What the check found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The thing, in a word or two.
    pub about: &'static str,
    /// Its state.
    pub grade: Grade,
    /// What was found.
    pub found: String,
}

/// The state of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grade {
    Ok,
    /// A run would work. The text is advice.
    Warning(String),
    /// A run would not work. The text is advice.
    Wrong(Side, String),
}

/// Where a thing is wrong. Each has its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// On this machine: configuration, files, folders, the clock.
    Local,
    /// At DingTalk: every row would get the same answer, or none.
    DingTalk,
}

impl Finding {
    pub(crate) fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, grade: Grade::Ok, found: found.into() }
    }

    pub(crate) fn warning(about: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { about, grade: Grade::Warning(advice.into()), found: found.into() }
    }

    pub(crate) fn wrong(
        side: Side,
        about: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { about, grade: Grade::Wrong(side, advice.into()), found: found.into() }
    }
}

/// One line: the state, the thing, what was found, and advice if it is not ok.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, grade, found } = self;
        match grade {
            Grade::Ok => write!(f, "ok     {about}: {found}"),
            Grade::Warning(advice) => write!(f, "warn   {about}: {found}; hint: {advice}"),
            Grade::Wrong(_, advice) => write!(f, "wrong  {about}: {found}; hint: {advice}"),
        }
    }
}

/// All findings of a check.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// A local fault decides before one at DingTalk, because a run would not get that far.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let any =
            |side| self.0.iter().any(|finding| matches!(&finding.grade, Grade::Wrong(at, _) if *at == side));
        if any(Side::Local) {
            ExitCode::Usage
        } else if any(Side::DingTalk) {
            ExitCode::Halted
        } else {
            ExitCode::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok() -> Finding {
        Finding::ok("token", "fetched")
    }

    fn wrong(side: Side) -> Finding {
        Finding::wrong(side, "clock", "two hours ahead", "set it")
    }

    #[test]
    fn a_local_fault_decides_before_dingtalks_refusal_and_a_warning_is_no_failure() {
        let warning = Finding::warning("clock", "9s ahead", "set it");
        for (findings, code) in [
            (vec![], 0),
            (vec![ok(), warning], 0),
            (vec![wrong(Side::DingTalk), ok()], 3),
            (vec![wrong(Side::DingTalk), wrong(Side::Local)], 2),
            (vec![wrong(Side::Local), ok()], 2),
        ] {
            assert_eq!(Findings(findings.clone()).exit_code().number(), code, "{findings:?}");
        }
    }

    #[test]
    fn a_finding_is_one_line_and_says_what_to_do_unless_it_is_ok() {
        assert_eq!(ok().to_string(), "ok     token: fetched");
        assert_eq!(wrong(Side::Local).to_string(), "wrong  clock: two hours ahead; hint: set it");
        let warning = Finding::warning("clock", "9s ahead", "set it");
        assert_eq!(warning.to_string(), "warn   clock: 9s ahead; hint: set it");
    }
}
