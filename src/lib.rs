//! meeting-closer ends DingTalk video meetings in bulk, safely, and can prove afterwards what it did.
//!
//! A run is a pipeline, and most modules are its stages:
//!
//! ```text
//!  lists ─────────┐
//!  (CSV, Excel)   ├──> run ────────────────> journal ──> report
//!  queue, worker ─┘    which row goes next,  what        audit.csv, report.html,
//!  (Redis)             what became of it     happened    summary.json
//!                          │       ▲
//!                        pace    dingtalk
//!                        retry   (one attempt, one verdict)
//! ```
//!
//! `lifecycle` takes one run from end to end. `worker` does one run after the other, with rows from a queue. `ARCHITECTURE.md`
//! names every folder, every stage of a row's way, and the file that keeps each invariant.
//!
//! What always holds:
//!
//! - A meeting counts as closed only if DingTalk says so (`dingtalk`).
//! - Every row has exactly one outcome, and the totals add up (`run`).
//! - No span of time holds more requests than the rate and the burst allow, of all workers of a queue together (`pace`).
//! - A request is in the journal before it leaves (`journal`). Reports are made from the journal alone (`report`).
//! - What decides is a pure function or a state machine without clock or I/O; random numbers are seeded. What acts is thin.
//!
//! The modules are private: this crate is a program. It exports what `main` needs, and what the tests and benches need.

mod atomic_file;
mod backoff;
mod check;
mod cli;
mod clock;
mod commands;
mod dingtalk;
mod display;
mod events;
mod exit;
#[doc(hidden)]
pub mod fixtures;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod http_server;
mod journal;
mod lifecycle;
mod lists;
mod meeting;
mod metrics;
mod outcome;
mod pace;
mod printer;
mod queue;
mod report;
mod retry;
mod run;
mod sandbox;
mod settings;
mod telemetry;
#[cfg(feature = "otlp")]
mod traces;
mod wording;
mod worker;

// For `main`.
pub use cli::Cli;
pub use commands::{parse as parse_command_line, run as run_command};
pub use exit::{ExitCode, Failure};
pub use printer::{err as print_err, hide_panic_messages};

// For the tests and the benches.
pub use clock::Clock;
pub use dingtalk::{AccessToken, Api, Exchange, HttpAnswer, HttpApi, NoReply, TokenError, TokenGrant, hint};
pub use events::{Observe, Observers, RunEvent};
pub use journal::{
    AttemptStarted, Chain, EndReason, FileStorage, Hasher, Journal, JournalEntry, KnownHead, ListRecord,
    OutcomeRecord, PaceTotals, Reader, Record, RowCounts, RunFinished, RunStarted, Storage, Timeline, Totals,
    recover, verify,
};
pub use lists::{ListError, TriagedRow};
pub use meeting::{CloseRequest, ConferenceId, Origin, UnionId};
pub use metrics::Metrics;
pub use outcome::{EndedBy, Outcome, OutcomeKind, ReplyDetails};
pub use pace::{
    Feedback, Pacer, PermitGrant, PermitRequest, QuotaStore, RateSignal, SharedQuota, WaitReason,
};
pub use printer::out as print_out;
pub use queue::{Link, QUOTA_SCRIPT, QuotaHost, RedisQueue, RedisQuota, ScriptReply};
pub use report::write_reports;
pub use run::{History, IncomingRow, PriorAttempts, RunEnd, RunParts, run};
pub use sandbox::{Quotas, Reply, Sandbox, SandboxSettings, ScriptedReply};
pub use settings::{DEFAULTS, Layers, PaceSettings, Settings};
