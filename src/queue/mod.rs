//! The queue: requests that wait, and the workers that share them.
//!
//! This module knows the queue's entries and nothing else of the program. A worker takes an entry, renews its lease on it,
//! and settles it: it acknowledges it, moves it to the dead letters, or releases it. What takes, renews and settles is a
//! [`Broker`]. Redis is one, all of it in `redis_streams`; another broker is one more folder like that.
//!
//! Invariant: an entry that is never settled is delivered to another worker.

mod broker;
mod broker_backoff;
mod monitored;
mod redis_streams;

pub(crate) use broker::{
    Added, Broker, BrokerError, Delivery, EntryId, Field, Renewed, Requeued, Settled, Settlement, Snapshot,
    TakenBatch, WorkerLoad,
};
pub(crate) use broker_backoff::BrokerBackoff;
pub(crate) use monitored::{MonitoredQueue, OnAnswer};
pub use redis_streams::{Link, QUOTA_SCRIPT, QuotaHost, RedisQueue, RedisQuota, ScriptReply};
