//! The findings of a check, and the exit code that they come to.
//!
//! Invariant: a finding that is not fine says what to do.

use std::fmt;

use crate::exit::ExitCode;

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The thing, in a word or two.
    pub about: &'static str,
    /// How it stands.
    pub grade: Grade,
    /// What was found.
    pub found: String,
}

/// How a thing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grade {
    /// As it should be.
    Fine,
    /// A run would work, and this is to be done all the same.
    Doubtful(String),
    /// A run would not work before somebody has done this.
    Wrong(Side, String),
}

/// On whose side it is wrong: the two exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// On this machine: configuration, files, folders, the clock.
    Ours,
    /// Every row would meet the same answer, or none.
    DingTalks,
}

impl Finding {
    /// Something as it should be.
    pub(crate) fn fine(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, grade: Grade::Fine, found: found.into() }
    }

    /// Something that a run survives.
    pub(crate) fn doubtful(about: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { about, grade: Grade::Doubtful(advice.into()), found: found.into() }
    }

    /// Something that a run does not survive.
    pub(crate) fn wrong(
        whose: Side,
        about: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { about, grade: Grade::Wrong(whose, advice.into()), found: found.into() }
    }
}

/// One line: how it stands, what, and where it is not fine, what to do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, grade, found } = self;
        match grade {
            Grade::Fine => write!(f, "ok     {about}: {found}"),
            Grade::Doubtful(advice) => write!(f, "warn   {about}: {found}; hint: {advice}"),
            Grade::Wrong(_, advice) => write!(f, "wrong  {about}: {found}; hint: {advice}"),
        }
    }
}

/// All that a check found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// One more.
    pub(crate) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// What they come to: what is wrong here stands above what DingTalk would say, as a run would not come that far.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let any = |whose| {
            self.0.iter().any(|finding| matches!(&finding.grade, Grade::Wrong(of, _) if *of == whose))
        };
        if any(Side::Ours) {
            ExitCode::Usage
        } else if any(Side::DingTalks) {
            ExitCode::Halted
        } else {
            ExitCode::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Finding {
        Finding::fine("token", "fetched")
    }

    fn wrong(whose: Side) -> Finding {
        Finding::wrong(whose, "clock", "two hours ahead", "set it")
    }

    #[test]
    fn what_is_wrong_here_stands_above_what_dingtalk_says_and_a_doubt_is_no_failure() {
        let doubt = Finding::doubtful("clock", "9s ahead", "set it");
        for (findings, code) in [
            (vec![], 0),
            (vec![fine(), doubt], 0),
            (vec![wrong(Side::DingTalks), fine()], 3),
            (vec![wrong(Side::DingTalks), wrong(Side::Ours)], 2),
            (vec![wrong(Side::Ours), fine()], 2),
        ] {
            assert_eq!(Findings(findings.clone()).exit_code().number(), code, "{findings:?}");
        }
    }

    #[test]
    fn a_finding_is_one_line_and_says_what_to_do_unless_it_is_fine() {
        assert_eq!(fine().to_string(), "ok     token: fetched");
        assert_eq!(wrong(Side::Ours).to_string(), "wrong  clock: two hours ahead; hint: set it");
        let doubt = Finding::doubtful("clock", "9s ahead", "set it");
        assert_eq!(doubt.to_string(), "warn   clock: 9s ahead; hint: set it");
    }
}
