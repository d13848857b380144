//! What a cell of a spreadsheet is: text, or something else that is not an id.

use crate::meeting::IdProblem;
use crate::wording::printable;

/// What a cell is. Every cell of a CSV list is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    /// Text, or a number whose digits are known to be complete.
    Text,
    /// A number whose digits may not be those that were typed.
    Number,
    /// A date, a time or a duration.
    Date,
    /// TRUE or FALSE.
    TruthValue,
    /// The error value of a formula that failed.
    Error,
    /// A formula that was saved without its value.
    NoValue,
}

impl CellKind {
    const ALL: [Self; 6] =
        [Self::Text, Self::Number, Self::Date, Self::TruthValue, Self::Error, Self::NoValue];

    /// Its name in a rewritten list.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
            Self::TruthValue => "truth value",
            Self::Error => "error",
            Self::NoValue => "no value",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Why such a cell is not an id. `shown` is what the spreadsheet shows in it.
    pub(super) fn problem(self, shown: &str) -> Option<IdProblem> {
        let shown = || printable(shown);
        match self {
            Self::Text => None,
            Self::Number => Some(IdProblem::Number(shown())),
            Self::Date => Some(IdProblem::Date(shown())),
            Self::TruthValue => Some(IdProblem::TruthValue(shown())),
            Self::Error => Some(IdProblem::FailedFormula(shown())),
            Self::NoValue => Some(IdProblem::NoValue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in CellKind::ALL {
            assert_eq!(CellKind::named(kind.name()), Some(kind));
        }
        assert_eq!(CellKind::named(""), None);
    }

    #[test]
    fn the_reason_shows_a_cell_without_its_control_characters() {
        let problem = CellKind::Date.problem("2026-11-\u{1b}[2J").unwrap();
        assert_eq!(problem.to_string(), "is a date or time: 2026-11-\u{fffd}[2J");
    }
}
