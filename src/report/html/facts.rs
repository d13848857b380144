//! What identifies the run, and how it can be proven.

use indicatif::{HumanBytes, HumanCount};

use super::story::{clock, day};
use crate::journal::{ListRecord, PaceTotals, RunStarted};
use crate::report::RunIndex;

/// The facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    pub(super) run: &'a RunStarted,
    pub(super) lists: Vec<List<'a>>,
    /// When other processes went on with it.
    pub(super) continued: Vec<String>,
    /// How the rate went, where a process said so.
    pub(super) pace: Option<String>,
    pub(super) records: String,
    pub(super) head_hash: String,
}

/// A list of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<'a> {
    pub(super) list: &'a ListRecord,
    pub(super) size: String,
}

impl<'a> Facts<'a> {
    /// The facts of a run: its lists and settings are those that it began with.
    pub(super) fn of(index: &'a RunIndex) -> Self {
        let list = |list: &'a ListRecord| List { list, size: HumanBytes(list.bytes).to_string() };
        let continued = index.course.continuations();
        let pace = index.finished.as_ref().map(|finished| finished.totals.pace);
        Self {
            run: &index.started,
            lists: index.started.lists.iter().map(list).collect(),
            continued: continued.map(|at| format!("{}, {} UTC", day(at), clock(at))).collect(),
            pace: pace.filter(|pace| pace.configured > 0).map(pace_told),
            records: HumanCount(index.chain.seq).to_string(),
            head_hash: index.chain.head.to_string(),
        }
    }
}

fn pace_told(pace: PaceTotals) -> String {
    let PaceTotals { configured, lowest, last, unrefused } = pace;
    let mut text = format!("{} requests a second", rate(configured));
    if lowest < configured {
        text += &format!(", down to {}, {} at the end", rate(lowest), rate(last));
    }
    if let Some(unrefused) = unrefused {
        text += &format!("; nothing would have been refused below {}", rate(unrefused));
    }
    text
}

/// A rate in requests a second, from requests per 1,000 seconds.
pub(super) fn rate(per_1000_s: u64) -> String {
    let rounded = (per_1000_s as f64 / 10.0).round() / 100.0;
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_told_with_how_far_it_fell() {
        let steady = PaceTotals { configured: 18_000, lowest: 18_000, last: 18_000, unrefused: None };
        assert_eq!(pace_told(steady), "18 requests a second");
        let slowed = PaceTotals { lowest: 4_500, last: 9_333, unrefused: Some(8_000), ..steady };
        assert_eq!(
            pace_told(slowed),
            "18 requests a second, down to 4.5, 9.33 at the end; nothing would have been refused below 8"
        );
    }
}
