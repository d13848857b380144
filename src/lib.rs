//! meeting-closer ends DingTalk video meetings in bulk, safely, and can prove afterwards what it did.
//!
//! A run is a pipeline, and the modules are its stations, in the order in which a row passes them:
//!
//! ```text
//!  lists ──> lists ──> run ─────────────> journal ──> report
//!            read,      which row is       what        audit.csv, report.html,
//!            check,     asked next, and    happened,   summary.json,
//!            sort       what of it became  append-only closing table, hints
//!                        │       ▲
//!                      pace    dingtalk
//!                      retry   (one attempt, one verdict)
//! ```
//!
//! A worker has its rows from a [`queue`] in the lists' place, and gives every entry its end there once its outcome is on
//! the disk.
//!
//! What always holds:
//!
//! - A meeting counts as closed on DingTalk's word and on nothing else ([`dingtalk::judge`]).
//! - Every row of a list has exactly one outcome; the totals add up ([`run`]).
//! - No span of time holds more requests than the rate and the burst allow ([`pace`]), of all workers of a queue together.
//! - A request is in the journal before it leaves ([`journal`]); reports are made from the journal alone ([`report`]).
//! - What decides is a plain function or state machine without clock, chance or I/O; what does is thin.

pub mod atomic_file;
pub mod backoff;
pub mod check;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod dingtalk;
pub mod display;
pub mod events;
pub mod exit;
pub mod http_server;
pub mod journal;
pub mod lifecycle;
pub mod lists;
pub mod meeting;
pub mod metrics;
pub mod outcome;
pub mod pace;
pub mod printer;
pub mod queue;
pub mod report;
pub mod retry;
pub mod run;
pub mod sandbox;
pub mod settings;
pub mod telemetry;
#[cfg(feature = "otlp")]
pub mod traces;
pub mod wording;
pub mod worker;
