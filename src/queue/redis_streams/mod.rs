//! The queue on Redis Streams with a consumer group: Redis 6.2 or newer, or Valkey.
//!
//! What has to be whole is one script on the server, each a file in `scripts`. Beside the stream `S` stand three keys of
//! ours: `S:waiting` (a hash, from fingerprint to entry, so that nothing is added twice), `S:since` (when entries were
//! taken, for people who ask) and `S:server` (which server this is, to notice a failover, and when any worker was last heard,
//! to notice an outage). Whoever adds entries without them does no harm.
//!
//! Invariant: every script can be run again with the same arguments.

mod admin;
mod link;
mod quota;
mod redis_queue;
mod scripts;

pub use link::Link;
pub use quota::{QUOTA_SCRIPT, QuotaHost, RedisQuota, ScriptReply};
pub use redis_queue::RedisQueue;
