//! What identifies the run, and how it can be proven.

use indicatif::{HumanBytes, HumanCount};

use super::story::{clock, day};
use crate::journal::RunIndex;
use crate::journal::{ListRecord, RunStarted};

/// The facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    pub(super) run: &'a RunStarted,
    pub(super) lists: Vec<List<'a>>,
    /// When other processes went on with it.
    pub(super) continued: Vec<String>,
    /// How the rate went, where it did not stay as it was configured.
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
        let continued = index.timeline.continuations();
        Self {
            run: &index.started,
            lists: index.started.lists.iter().map(list).collect(),
            continued: continued.map(|at| format!("{}, {} UTC", day(at), clock(at))).collect(),
            pace: index.pace.told(),
            records: HumanCount(index.chain.seq).to_string(),
            head_hash: index.chain.head.to_string(),
        }
    }
}
