//! What people ask of the queue: to add requests, to see what is there, to put back what died.

use std::collections::HashMap;

use super::redis_queue::{RELEASED, RedisQueue};
use super::scripts;
use crate::meeting::{CloseRequest, Origin};
use crate::queue::{Added, BrokerError, Requeued, Snapshot, WorkerLoad};

/// Entries that one script looks at: it keeps everybody else waiting for a few milliseconds.
const AT_ONCE: usize = 500;

/// A worker's name, how many entries it works on, and for how many milliseconds the longest.
type Load = (Vec<u8>, u64, u64);

impl RedisQueue {
    /// How many requests [`RedisQueue::add`] takes at once.
    pub const MOST_ADDED: usize = AT_ONCE;

    /// Adds requests, but for those that wait already.
    pub async fn add(&self, requests: &[(Origin, CloseRequest)]) -> Result<Added, BrokerError> {
        let mut script = scripts::ENQUEUE.key(&self.stream);
        script.key(&self.waiting);
        for (origin, CloseRequest { conference_id, union_id }) in requests {
            script.arg(conference_id.as_str()).arg(union_id.as_str()).arg(origin.to_string());
        }
        let added: u64 = self.link.run(&mut self.link.connected().await?, &script).await?;
        Ok(Added { added, waited: requests.len() as u64 - added })
    }

    /// What is on the queue now.
    pub async fn status(&self) -> Result<Snapshot, BrokerError> {
        let mut connected = self.link.connected().await?;
        let mut script = scripts::STATUS.key(&self.stream);
        script.key(&self.since).key(&self.dead).arg(&self.group).arg(RELEASED);
        let (entries, dead, workers): (u64, u64, Vec<Load>) = self.link.run(&mut connected, &script).await?;
        let load = |(worker, entries, longest_ms)| WorkerLoad { worker: text(worker), entries, longest_ms };
        let workers: Vec<WorkerLoad> = workers.into_iter().map(load).collect();
        let in_work: u64 = workers.iter().map(|worker| worker.entries).sum();
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
        Ok(Snapshot { waiting: entries.saturating_sub(in_work), workers, dead, dead_by_code })
    }

    /// Puts dead entries back on the queue: those of a code, or all; `limit` at most. What was put back before an error
    /// stays so, and the same again goes on.
    pub async fn requeue(&self, code: Option<&str>, limit: Option<u64>) -> Result<Requeued, BrokerError> {
        let mut connected = self.link.connected().await?;
        let (mut from, mut up_to, mut requeued) = ("-".to_owned(), String::new(), Requeued::default());
        while !from.is_empty() {
            let left = limit.map_or(u64::from(u32::MAX), |limit| limit - requeued.put_back - requeued.waited);
            let mut script = scripts::REQUEUE.key(&self.dead);
            script.key(&self.stream).key(&self.waiting).arg(from).arg(up_to).arg(AT_ONCE).arg(left);
            script.arg(u8::from(code.is_some())).arg(code.unwrap_or_default());
            let (next, last, put_back, waited): (String, String, u64, u64) =
                self.link.run(&mut connected, &script).await?;
            requeued.put_back += put_back;
            requeued.waited += waited;
            (from, up_to) = (next, last);
        }
        Ok(requeued)
    }
}

/// What somebody else wrote need not be text.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
