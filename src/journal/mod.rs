//! What happened, append-only. Every report is made from the journal alone.
//!
//! `journal.jsonl` holds one JSON object a line. The keys are in alphabetical order, without spaces, and `hash` comes last.
//! `hash` is the hex SHA-256 of the line without `,"hash":"…"`. The hashed text holds `prev`, the hash of the line before
//! (64 zeros in the first line). So `jq -cS 'del(.hash)'` restores the hashed text, and `sha256sum` checks it.
//!
//! With `audit.hmac_key_file` the hashes are HMAC-SHA-256 under that key: then only who has the key can write records that
//! verify. Records that are cut off at the end leave a chain that verifies, with a key or without.
//!
//! Invariant: when [`Journal::append`] returns, the operating system has the record. When [`Journal::sync`] returns, the
//! record is on the disk. After a failure the journal takes no more records.

mod chain;
mod fold;
mod left_over;
mod read_ahead;
mod reader;
mod record;
mod recovery;
mod replay;
mod run_folder;
mod run_index;
mod run_pace;
mod run_timeline;
mod runs;
mod storage;
mod timeline;
mod verify;
mod writer;

pub(crate) use chain::Hash;
pub use chain::{Chain, Hasher};
pub(crate) use fold::{EndedRows, OpenRows, RowEffect, RowIdentity};
pub(crate) use left_over::left_over;
pub(crate) use reader::ReadError;
pub use reader::{JournalEntry, Reader};
pub use record::{
    AttemptStarted, EndReason, ListRecord, OutcomeRecord, PaceTotals, Record, RowCounts, RunFinished,
    RunStarted, Totals,
};
pub(crate) use recovery::RecoverError;
pub use recovery::recover;
pub(crate) use replay::replay;
pub(crate) use run_folder::{create_run_folder, discard_run_folder, is_run_id, lock_audit_dir, sync_folder};
pub(crate) use run_index::{RowPlace, RunIndex};
pub(crate) use run_pace::RunPace;
pub(crate) use run_timeline::{ProcessSpan, RunTimeline};
pub(crate) use runs::{
    DIGITS_IN_ID, PastRun, RunsError, find_run, newest_of_the_same_name, runs_of_the_same_work,
};
pub use storage::{FileStorage, Storage};
pub use timeline::Timeline;
pub(crate) use timeline::{MAX_SPANS, Span};
pub use verify::{KnownHead, verify};
pub(crate) use verify::{Reconciliation, Verified, VerifyError};
pub use writer::Journal;
pub(crate) use writer::{Durability, JournalError};

/// The journal's name in a run's folder.
pub(crate) const FILE_NAME: &str = "journal.jsonl";

/// The version of the journal's format, `v` in every record.
pub(crate) const FORMAT_VERSION: u32 = 1;
