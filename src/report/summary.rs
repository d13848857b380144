//! `summary.json`: a run in figures.
//!
//! Invariant: the outcomes add up to the rows.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::clock::rfc3339;
use crate::journal::{EndReason, ListRecord, RunIndex, RunPace};

/// The fields of `summary.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The run's id.
    pub run_id: String,
    /// Whether it was a rehearsal.
    pub sandbox: bool,
    /// The version of meeting-closer.
    pub version: String,
    /// When the run began: RFC 3339, UTC.
    pub started_at: String,
    /// When its last record was written.
    pub ended_at: String,
    /// The exit code; none if the run has not ended.
    pub exit_code: Option<u8>,
    /// Why the run ended.
    pub reason: Option<EndReason>,
    /// Details of the reason, if there are any.
    pub detail: String,
    /// Rows, the sum of `outcomes`.
    pub rows_in: u64,
    /// Rows by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Rows by DingTalk's code, or by our own if DingTalk sent none.
    pub codes: BTreeMap<String, u64>,
    /// Requests that were sent.
    pub calls: u64,
    /// Requests refused for their rate.
    pub throttled_calls: u64,
    /// Time in pauses, in milliseconds.
    pub paused_ms: u64,
    /// How the rate changed, in requests a second.
    pub pace: RunPace,
    /// From the start to the last record, in milliseconds.
    pub duration_ms: u64,
    /// The lists.
    pub lists: Vec<ListRecord>,
    /// Records in the journal.
    pub records: u64,
    /// The last record's hash. A copy kept elsewhere proves the whole journal, its end included.
    pub head_hash: String,
}

impl Summary {
    pub fn of(index: &RunIndex) -> Self {
        let finished = index.finished.as_ref();
        let duration = index.last_at.duration_since(index.started_at).as_millis();
        Self {
            run_id: index.started.run_id.clone(),
            sandbox: index.started.sandbox,
            version: index.started.version.clone(),
            started_at: rfc3339(index.started_at),
            ended_at: rfc3339(index.last_at),
            exit_code: finished.map(|finished| finished.exit_code),
            reason: finished.map(|finished| finished.reason),
            detail: finished.map(|finished| finished.detail.clone()).unwrap_or_default(),
            rows_in: index.rows_in(),
            outcomes: index.outcomes.clone(),
            codes: index.codes.clone(),
            calls: index.calls,
            throttled_calls: index.throttled_calls,
            paused_ms: index.paused_ms,
            pace: index.pace,
            duration_ms: u64::try_from(duration).unwrap_or(0),
            lists: index.started.lists.clone(),
            records: index.chain.seq,
            head_hash: index.chain.head.to_string(),
        }
    }

    pub(super) fn write(&self, file: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *file, self)?;
        file.write_all(b"\n")
    }
}
