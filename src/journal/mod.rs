//! What happened, append-only: the truth from which every report is made.
//!
//! `journal.jsonl` holds one JSON object a line. Its keys stand in alphabetical order, without spaces, but for `hash`,
//! which comes last: `hash` is the hex SHA-256 of the line without `,"hash":"…"`, and that text holds `prev`, the hash of
//! the line before (64 zeros in the first). So `jq -cS 'del(.hash)'` gives the hashed text back, and `sha256sum` checks it.
//!
//! With `audit.hmac_key_file` the hashes are HMAC-SHA-256 under that key.
//!
//! Invariant: a record is with the operating system when [`Journal::append`] returns, and on the disk once
//! [`Journal::sync`] has returned; after a failure nothing is taken any more.

mod ahead;
mod chain;
mod folder;
mod reader;
mod record;
mod recovery;
mod runs;
mod storage;
mod timeline;
mod writer;

pub use chain::{Chain, Hash, Hasher};
pub use folder::{create_run_folder, discard_run_folder, is_run_id, lock_audit_dir, sync_folder};
pub use reader::{Entry, ReadError, Reader};
pub use record::{
    AttemptStarted, EndReason, ListRecord, OutcomeRecord, PaceTotals, Record, RowCounts, RunFinished,
    RunStarted, Totals,
};
pub use recovery::{RecoverError, Recovered, recover};
pub use runs::{DIGITS_IN_ID, PastRun, RunsError, find_run, runs_of_the_same_work};
pub use storage::{FileStorage, Storage};
pub use timeline::{MAX_SPANS, Span, Timeline};
pub use writer::{Durability, Journal, JournalError};

/// The journal's name in a run's folder.
pub const FILE_NAME: &str = "journal.jsonl";

/// The version of the journal's format, `v` in every record.
pub const FORMAT_VERSION: u32 = 1;
