//! What an operator does with the queue: add requests, see its state, put dead entries back.
//!
//! Invariant: no call needs the queue's consumer group, so each works before the first worker has joined.

use std::collections::HashMap;

use redis::{FromRedisValue, ParsingError, Value, from_redis_value};

use super::redis_queue::{RELEASED_CONSUMER, RedisQueue};
use super::scripts;
use crate::meeting::{CloseRequest, Origin};
use crate::queue::{Added, BrokerError, Requeued, Snapshot, WorkerLoad};

/// Entries that one script reads. While it runs, a few milliseconds, the server does nothing else.
const AT_ONCE: usize = 500;

/// A worker's name, the number of its leases, and the age of the oldest in milliseconds.
type Load = (Vec<u8>, u64, u64);

/// What `requeue.lua` returns.
struct RequeuedPart {
    /// Where the next part begins; empty after the last part.
    next: String,
    /// The newest entry that was dead when the requeue began.
    up_to: String,
    requeued: Requeued,
}

impl FromRedisValue for RequeuedPart {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let fields: [Value; 4] = Vec::<Value>::from_redis_value(value)?
            .try_into()
            .map_err(|_| ParsingError::from("requeue.lua returns four values"))?;
        let [next, up_to, put_back, waited] = fields;
        let requeued = Requeued { put_back: from_redis_value(put_back)?, waited: from_redis_value(waited)? };
        Ok(Self { next: from_redis_value(next)?, up_to: from_redis_value(up_to)?, requeued })
    }
}

impl RedisQueue {
    /// The most requests that one call of [`RedisQueue::add`] takes.
    pub const MAX_ADDED: usize = AT_ONCE;

    /// Adds the requests that are not on the queue yet.
    pub async fn add(&self, requests: &[(Origin, CloseRequest)]) -> Result<Added, BrokerError> {
        let mut script = scripts::ENQUEUE.key(&self.stream);
        script.key(&self.waiting);
        for (origin, CloseRequest { conference_id, union_id }) in requests {
            script.arg(conference_id.as_str()).arg(union_id.as_str()).arg(origin.to_string());
        }
        let added: u64 = self.link.run(&mut self.link.connected().await?, &script).await?;
        Ok(Added { added, waited: requests.len() as u64 - added })
    }

    /// The state of the queue now.
    pub async fn status(&self) -> Result<Snapshot, BrokerError> {
        let mut connected = self.link.connected().await?;
        let mut script = scripts::STATUS.key(&self.stream);
        script.key(&self.delivered_at).key(&self.dead).arg(&self.group).arg(RELEASED_CONSUMER);
        let (entries, dead, workers): (u64, u64, Vec<Load>) = self.link.run(&mut connected, &script).await?;
        let load = |(worker, entries, longest_ms)| WorkerLoad { worker: text(worker), entries, longest_ms };
        let workers: Vec<WorkerLoad> = workers.into_iter().map(load).collect();
        let leased: u64 = workers.iter().map(|worker| worker.entries).sum();
        let mut counts: HashMap<String, u64> = HashMap::new();
        let mut from = "-".to_owned();
        while !from.is_empty() {
            let mut script = scripts::DEAD_CODES.key(&self.dead);
            let (next, codes): (String, Vec<(Vec<u8>, u64)>) =
                self.link.run(&mut connected, script.arg(from).arg(AT_ONCE)).await?;
            for (code, count) in codes {
                *counts.entry(text(code)).or_default() += count;
            }
            from = next;
        }
        let mut dead_by_code: Vec<(String, u64)> = counts.into_iter().collect();
        dead_by_code.sort_by(|(code, count), (other, more)| more.cmp(count).then(code.cmp(other)));
        Ok(Snapshot { waiting: entries.saturating_sub(leased), workers, dead, dead_by_code })
    }

    /// Puts dead entries back on the queue: those with this code, or all; at most `limit`. Entries that were put back before
    /// an error stay on the queue. The same call again puts back the rest.
    pub async fn requeue(&self, code: Option<&str>, limit: Option<u64>) -> Result<Requeued, BrokerError> {
        let mut connected = self.link.connected().await?;
        let (mut from, mut up_to, mut requeued) = ("-".to_owned(), String::new(), Requeued::default());
        while !from.is_empty() {
            let left = limit.map_or(u64::from(u32::MAX), |limit| limit - requeued.put_back - requeued.waited);
            let mut script = scripts::REQUEUE.key(&self.dead);
            script.key(&self.stream).key(&self.waiting).arg(from).arg(up_to).arg(AT_ONCE).arg(left);
            script.arg(u8::from(code.is_some())).arg(code.unwrap_or_default());
            let part: RequeuedPart = self.link.run(&mut connected, &script).await?;
            requeued.put_back += part.requeued.put_back;
            requeued.waited += part.requeued.waited;
            (from, up_to) = (part.next, part.up_to);
        }
        Ok(requeued)
    }
}

/// Another client may write bytes that are not UTF-8.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
