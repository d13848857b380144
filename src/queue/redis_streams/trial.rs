//! The trial of a check: does on keys of its own what a worker does on the queue's.
//!
//! Invariant: a trial changes nothing of the queue and leaves no key behind. If the check is killed, its keys expire.

use redis::{Cmd, cmd};

use super::quota::KEY as QUOTA;
use super::redis_queue::RedisQueue;
use super::scripts;
use crate::meeting::Cells;
use crate::queue::{Broker as _, BrokerError, EntryId, QueueServer, Settled, Settlement};

/// How long the keys of a trial live at most, in milliseconds.
const LIFETIME: u32 = 60_000;

/// The arguments of the quota's script: one permit, as a worker with the default pace asks for it.
const QUOTA_ARGUMENTS: [&str; 7] = ["check", "1", "1000", "18", "1", "0.5", "1"];

impl RedisQueue {
    /// Finds out whether a worker could work here. Nothing is taken from the queue.
    pub(crate) async fn trial(&self) -> Result<QueueServer, BrokerError> {
        let server = self.server().await?;
        if server.is_cluster {
            return Err(self.link.cluster());
        }
        self.touch().await?;
        let trial = self.beside(&format!("check:{:016x}", fastrand::u64(..)));
        let worked = trial.work_through().await;
        let removed = trial.remove().await;
        worked.and(removed).map(|()| server)
    }

    async fn server(&self) -> Result<QueueServer, BrokerError> {
        let mut connected = self.link.connected().await?;
        let info: String = self.link.query(&mut connected, &cmd("INFO")).await?;
        // Not every user may ask for the configuration. What it says of the disk is good to know, and no more.
        let asked: Result<Vec<String>, _> =
            self.link.query(&mut connected, cmd("CONFIG").arg("GET").arg("save")).await;
        Ok(QueueServer::read(&info, asked.ok().and_then(|save| save.into_iter().nth(1)).as_deref()))
    }

    /// Removes what is not there from each key of the queue. This shows whether the key may be written, and whether
    /// something else stands there.
    async fn touch(&self) -> Result<(), BrokerError> {
        let mut connected = self.link.connected().await?;
        let entry = |key: &str| cmd("XDEL").arg(key).arg("0-0").clone();
        let field = |key: &str| cmd("HDEL").arg(key).arg("").clone();
        let [stream, dead, waiting, since, server] = self.keys();
        let commands: [Cmd; 6] =
            [entry(stream), entry(dead), field(waiting), field(since), field(server), field(QUOTA)];
        for command in &commands {
            let _: u64 = self.link.query(&mut connected, command).await?;
        }
        Ok(())
    }

    /// One entry's whole life, and one permit.
    async fn work_through(&self) -> Result<(), BrokerError> {
        let mut connected = self.link.connected().await?;
        // What may not expire is not created.
        self.expire(LIFETIME).await?;
        self.join().await?;
        let mut enqueue = scripts::ENQUEUE.key(&self.stream);
        let _: u64 = self
            .link
            .run(&mut connected, enqueue.key(&self.waiting).arg("check").arg("check").arg("check"))
            .await?;
        self.expire(LIFETIME).await?;
        let cells = Cells { conference_id: "check".into(), union_id: "check".into() };
        let dead_letter = Settlement::DeadLetter { cells, fields: vec![("code", "check".into())] };
        for settlement in [Settlement::Release { times_delivered: 0 }, dead_letter] {
            let id = self.take_one().await?;
            self.renew(&[id]).await?;
            self.settle(&[Settled { id, settlement }]).await?;
            self.expire(LIFETIME).await?;
        }
        self.status().await?;
        self.requeue(None, None).await?;
        let id = self.take_one().await?;
        self.settle(&[Settled { id, settlement: Settlement::Acknowledge }]).await?;
        let quota = self.quota();
        let _: redis::Value =
            self.link.run(&mut connected, scripts::QUOTA.key(&quota).arg(&QUOTA_ARGUMENTS)).await?;
        self.leave().await?;
        Ok(())
    }

    async fn take_one(&self) -> Result<EntryId, BrokerError> {
        let taken = self.take(1).await?;
        let first = taken.deliveries.first().map(|delivery| delivery.id);
        first.ok_or_else(|| self.link.error("it does not hand out what was added".into(), None))
    }

    fn quota(&self) -> String {
        format!("{}:quota", self.stream)
    }

    async fn expire(&self, milliseconds: u32) -> Result<(), BrokerError> {
        let mut connected = self.link.connected().await?;
        let quota = self.quota();
        for key in self.keys().into_iter().chain([quota.as_str()]) {
            let _: u64 = self.link.query(&mut connected, cmd("PEXPIRE").arg(key).arg(milliseconds)).await?;
        }
        Ok(())
    }

    async fn remove(&self) -> Result<(), BrokerError> {
        // A worker needs no DEL, so its user may not have it. A key that expires at once is removed, too.
        self.expire(0).await
    }
}
