//! The rows that need an eye, grouped by what was said about them.
//!
//! Invariant: the groups' counts are of the whole journal, however few of their rows the page holds.

use indicatif::HumanCount;

use super::Look;
use super::look::{look, needs_an_eye};
use super::story::counted;
use crate::dingtalk::hint;
use crate::journal::OutcomeRecord;
use crate::journal::RunIndex;
use crate::outcome::OutcomeKind;

/// The most groups that are shown.
const MAX_GROUPS: usize = 30;

/// The groups, the largest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) groups: Vec<Group>,
    /// What is left out, where something is.
    pub(super) note: Option<String>,
}

/// The rows with one outcome and one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    kind: OutcomeKind,
    pub(super) look: Look,
    /// Empty where nothing was answered.
    pub(super) code: String,
    pub(super) rows: String,
    /// What to do.
    pub(super) hint: Option<&'static str>,
    /// The first of them in the lists: where it stands and what was said.
    pub(super) example: Option<(String, String)>,
}

impl Failures {
    /// The groups of a run, without examples.
    pub(super) fn of(index: &RunIndex) -> Self {
        let mut counts: Vec<_> =
            index.outcome_codes.iter().filter(|((kind, _), _)| needs_an_eye(*kind)).collect();
        counts.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
        let left_out: Vec<u64> = counts.iter().skip(MAX_GROUPS).map(|(_, rows)| **rows).collect();
        let note = (!left_out.is_empty()).then(|| {
            let (groups, rows) = (left_out.len() as u64, left_out.iter().sum());
            format!("And {} with {}.", counted(groups, "rarer code"), counted(rows, "row"))
        });
        let group = |((kind, code), rows): (&(OutcomeKind, String), &u64)| Group {
            kind: *kind,
            look: look(*kind),
            code: code.clone(),
            rows: HumanCount(*rows).to_string(),
            hint: advice(*kind, code),
            example: None,
        };
        Self { groups: counts.into_iter().take(MAX_GROUPS).map(group).collect(), note }
    }

    /// Takes in the next row of the page, which becomes its group's example where it has none.
    pub(super) fn learn(&mut self, outcome: &OutcomeRecord) {
        let is_its = |group: &&mut Group| group.kind == outcome.outcome && group.code == outcome.code;
        if let Some(group) = self.groups.iter_mut().find(is_its) {
            let place = || format!("{}:{}", outcome.source, outcome.line);
            group.example.get_or_insert_with(|| (place(), outcome.message.clone()));
        }
    }
}

/// What to do about rows with that outcome and code.
fn advice(kind: OutcomeKind, code: &str) -> Option<&'static str> {
    if !code.is_empty() {
        return hint(code);
    }
    match kind {
        OutcomeKind::Invalid => {
            Some("the message names the column and what is wrong with it: correct the list")
        }
        OutcomeKind::NotAttempted => Some("the same command, or --retry-failed with this run, asks for them"),
        OutcomeKind::Failed
        | OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Duplicate
        | OutcomeKind::Excluded => None,
    }
}
