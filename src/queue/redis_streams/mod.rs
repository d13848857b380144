//! The queue on Redis Streams with a consumer group: Redis 6.2 or newer, or Valkey.
//!
//! Each step that must be atomic is one script that runs on the server; the scripts are files in `scripts`. Beside the
//! stream `S` there are three more keys. `S:waiting` is a hash from fingerprint to entry id, so that `enqueue` adds no request
//! twice. `S:since` says when each entry was delivered; `queue status` shows it. `S:server` says which server this is, to
//! notice a failover, and when a worker last used the queue, to notice an outage. Other clients may add entries without these
//! keys.
//!
//! Invariant: running a script again with the same arguments does no harm.

mod admin;
mod link;
mod quota;
mod redis_queue;
mod scripts;
mod trial;

pub use link::Link;
pub use quota::{QuotaHost, RedisQuota, ScriptReply};
pub use redis_queue::RedisQueue;
pub use scripts::QUOTA_SCRIPT;
