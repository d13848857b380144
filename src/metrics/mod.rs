//! Metrics for Prometheus, counted from a run's events. `close` writes them to a file, and a worker serves them.
//!
//! Invariant: names, types and labels are fixed, because dashboards and alerts use them. Of a run, only its
//! [`RunEvent`](crate::events::RunEvent)s are counted.

mod figures;
mod server;
mod waiting;

pub use figures::Metrics;
pub(crate) use server::{MetricsServer, Readiness};
