//! The rows that need attention, grouped by outcome and code.
//!
//! Invariant: the groups count the rows of the whole journal, even if the page holds only some of them.

use indicatif::HumanCount;

use super::numbers::count;
use super::outcome_style::{OutcomeStyle, needs_attention, outcome_style};
use crate::dingtalk::hint;
use crate::journal::{OutcomeRecord, RunIndex};
use crate::outcome::OutcomeKind;

/// The most groups that the page shows.
const MAX_GROUPS: usize = 30;

/// The groups, the largest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureGroups {
    pub(super) groups: Vec<FailureGroup>,
    /// How many groups and rows are not shown, if there are any.
    pub(super) note: Option<String>,
}

/// The rows with one outcome and one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureGroup {
    kind: OutcomeKind,
    pub(super) style: OutcomeStyle,
    /// Empty if DingTalk gave no answer.
    pub(super) code: String,
    pub(super) rows: String,
    /// What to do about them.
    pub(super) hint: Option<&'static str>,
    /// The first of them in the lists: its place and its message.
    pub(super) example: Option<(String, String)>,
}

impl FailureGroups {
    /// The groups of a run, without examples.
    pub(super) fn of(index: &RunIndex) -> Self {
        let mut counts: Vec<_> =
            index.outcome_codes.iter().filter(|((kind, _), _)| needs_attention(*kind)).collect();
        counts.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
        let left_out: Vec<u64> = counts.iter().skip(MAX_GROUPS).map(|(_, rows)| **rows).collect();
        let note = (!left_out.is_empty()).then(|| {
            let (groups, rows) = (left_out.len() as u64, left_out.iter().sum());
            format!("Not shown: {} with {}.", count(groups, "rarer code"), count(rows, "row"))
        });
        let group = |((kind, code), rows): (&(OutcomeKind, String), &u64)| FailureGroup {
            kind: *kind,
            style: outcome_style(*kind),
            code: code.clone(),
            rows: HumanCount(*rows).to_string(),
            hint: advice(*kind, code),
            example: None,
        };
        Self { groups: counts.into_iter().take(MAX_GROUPS).map(group).collect(), note }
    }

    /// Makes this row of the page its group's example, if the group has none.
    pub(super) fn offer_example(&mut self, outcome: &OutcomeRecord) {
        let is_its = |group: &&mut FailureGroup| group.kind == outcome.outcome && group.code == outcome.code;
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
        OutcomeKind::Invalid => Some("correct the list: the message names the column and the problem"),
        OutcomeKind::NotAttempted => {
            Some("repeat the command, or start a new run with --retry-failed and this run's id")
        }
        OutcomeKind::Failed
        | OutcomeKind::Closed
        | OutcomeKind::AlreadyClosed
        | OutcomeKind::Duplicate
        | OutcomeKind::Excluded
        | OutcomeKind::Withdrawn => None,
    }
}
