//! What tests and benches make runs of: a meeting, an attempt, a run's first record. The program does not use it.

use std::collections::BTreeMap;

use crate::journal::{AttemptStarted, RowCounts, RunStarted};
use crate::meeting::{CloseRequest, ConferenceId, Origin, UnionId};

/// The meeting of this conference id, whose host has this union id.
pub fn close_request(conference_id: &str, union_id: &str) -> CloseRequest {
    CloseRequest {
        conference_id: ConferenceId::parse(conference_id).expect("a test names a valid conference id"),
        union_id: UnionId::parse(union_id).expect("a test names a valid union id"),
    }
}

/// A row of `list.csv`.
pub fn origin(line: u64) -> Origin {
    Origin { source: "list.csv".into(), line }
}

/// An attempt for the meeting that a row names.
pub fn attempt(origin: &Origin, request: &CloseRequest, attempt: u32) -> AttemptStarted {
    AttemptStarted {
        source: origin.source.clone(),
        line: origin.line,
        conference_id: request.conference_id.to_string(),
        union_id: request.union_id.to_string(),
        attempt,
    }
}

/// The first record of the run `r`, without lists.
pub fn run_started() -> RunStarted {
    RunStarted {
        run_id: "r".into(),
        version: "1".into(),
        pid: 1,
        keyed: false,
        sandbox: false,
        lists: vec![],
        lists_digest: String::new(),
        rows: RowCounts::default(),
        settings: BTreeMap::new(),
        retry_of: None,
        queue: None,
    }
}
