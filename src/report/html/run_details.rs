//! What identifies the run, and how to prove its journal.

use indicatif::HumanBytes;

use super::numbers::{count, day, time_of_day};
use crate::journal::{ListRecord, RunIndex, RunStarted};
use crate::report::rate_text;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunDetails<'a> {
    pub(super) run: &'a RunStarted,
    pub(super) lists: Vec<ListLine<'a>>,
    /// When later processes continued the run.
    pub(super) continued: Vec<String>,
    /// How the rate changed, if it changed.
    pub(super) rate: Option<String>,
    pub(super) records: String,
    pub(super) head_hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListLine<'a> {
    pub(super) list: &'a ListRecord,
    pub(super) size: String,
}

impl<'a> RunDetails<'a> {
    /// Lists and settings are those with which the run began.
    pub(super) fn of(index: &'a RunIndex) -> Self {
        let list = |list: &'a ListRecord| ListLine { list, size: HumanBytes(list.bytes).to_string() };
        let continued = index.timeline.continuations();
        Self {
            run: &index.started,
            lists: index.started.lists.iter().map(list).collect(),
            continued: continued.map(|at| format!("{}, {} UTC", day(at), time_of_day(at))).collect(),
            rate: rate_text::changes(&index.pace),
            records: count(index.chain.seq, "record"),
            head_hash: index.chain.head.to_string(),
        }
    }
}
