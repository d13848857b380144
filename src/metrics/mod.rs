//! Figures for Prometheus: counted from a run's events, left in a file by `close`, served by a worker.
//!
//! Invariant: the names, types and labels are fixed; dashboards and alerts are written against them. What is counted comes
//! from [`RunEvent`](crate::events::RunEvent)s and from nothing else of a run.

mod figures;
mod server;
mod waiting;

pub use figures::Metrics;
pub(crate) use server::{MetricsServer, Readiness};
