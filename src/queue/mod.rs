//! The queue: requests that wait, and the workers that share them.
//!
//! This folder knows the queue's entries, and nothing of runs, lists, journals or workers. A worker takes an entry, renews
//! its lease on it, and settles it: it acknowledges the entry, moves it to the dead letters, or releases it. [`Broker`] is
//! the trait of a queue that can do this. `redis_streams` is the one implementation; another queue is another such folder.
//!
//! Invariant: the queue delivers an entry again until a worker settles it.

mod broker;
mod broker_backoff;
mod monitored;
mod queue_server;
mod redis_streams;

pub(crate) use broker::{
    Added, Batch, Broker, BrokerError, Delivery, EntryId, Field, Renewed, Requeued, Settled, Settlement,
    Snapshot, WorkerLoad,
};
pub(crate) use broker_backoff::BrokerBackoff;
pub(crate) use monitored::{MonitoredQueue, OnResult};
pub(crate) use queue_server::{Eviction, QueueServer};
pub use redis_streams::{Link, QUOTA_SCRIPT, QuotaHost, RedisQueue, RedisQuota, ScriptReply};
