//! The queue on Redis, as a worker uses it.
//!
//! Invariant: a worker joins the queue on every new connection before it runs any other script there.

use std::time::Duration;

use parking_lot::Mutex;
use redis::{FromRedisValue, ParsingError, Value, from_redis_value};

use super::link::{Connected, Link};
use super::scripts;
use crate::clock::Clock;
use crate::queue::{Batch, Broker, BrokerError, Delivery, EntryId, Field, Renewed, Settled, Settlement};
use crate::settings::QueueSettings;

/// The consumer that has the released entries until a worker takes them. No worker has this name.
pub(super) const RELEASED_CONSUMER: &str = "meeting-closer:released";

/// The oldest Redis with the commands that the scripts use (XPENDING by idle time, exclusive ranges).
const OLDEST_VERSION: (u32, u32) = (6, 2);

/// The queue on one Redis, for the worker of one name.
pub struct RedisQueue {
    pub(super) link: Link,
    pub(super) stream: String,
    pub(super) dead: String,
    pub(super) waiting: String,
    pub(super) delivered_at: String,
    pub(super) group: String,
    server: String,
    worker: String,
    claim_after: Duration,
    pub(super) clock: Clock,
    join_state: Mutex<JoinState>,
    on_reconnection: Option<Box<dyn Fn() + Send + Sync>>,
}

/// What the worker learned when it last joined the queue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JoinState {
    /// The number of the connection on which it joined.
    connection: u64,
    /// Entries up to this one are in doubt: the server may have lost the record of a worker that asked for them.
    in_doubt_up_to: EntryId,
}

/// An entry as `take.lua` returns it.
struct TakenEntry {
    id: String,
    times_delivered: u64,
    conference_id: Option<Field>,
    union_id: Option<Field>,
    /// Whether the entry was put back from the dead-letter stream.
    was_requeued: bool,
}

impl FromRedisValue for TakenEntry {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let fields: [Value; 7] = Vec::<Value>::from_redis_value(value)?
            .try_into()
            .map_err(|_| ParsingError::from("take.lua returns seven values for each entry"))?;
        let [id, times_delivered, conference_id, conference_id_bytes, union_id, union_id_bytes, was_requeued] =
            fields;
        let field = |start: Value, bytes: Value| {
            let start: Option<Vec<u8>> = from_redis_value(start)?;
            let bytes = from_redis_value(bytes)?;
            Ok::<_, ParsingError>(start.map(|start| Field { start, bytes }))
        };
        Ok(Self {
            id: from_redis_value(id)?,
            times_delivered: from_redis_value(times_delivered)?,
            conference_id: field(conference_id, conference_id_bytes)?,
            union_id: field(union_id, union_id_bytes)?,
            was_requeued: from_redis_value(was_requeued)?,
        })
    }
}

impl RedisQueue {
    /// The queue that the settings name. It connects at the first call.
    pub fn new(link: Link, settings: &QueueSettings, worker: String, clock: Clock) -> Self {
        let stream = settings.stream.clone();
        Self {
            link,
            waiting: format!("{stream}:waiting"),
            delivered_at: format!("{stream}:since"),
            server: format!("{stream}:server"),
            dead: settings.dead_letter_stream.clone(),
            group: settings.group.clone(),
            stream,
            worker,
            claim_after: settings.claim_after,
            clock,
            join_state: Mutex::default(),
            on_reconnection: None,
        }
    }

    /// Another queue on the same Redis, empty, whose keys begin with the stream's name and this one.
    pub(super) fn beside(&self, name: &str) -> Self {
        let stream = format!("{}:{name}", self.stream);
        Self {
            link: self.link.clone(),
            waiting: format!("{stream}:waiting"),
            delivered_at: format!("{stream}:since"),
            server: format!("{stream}:server"),
            dead: format!("{stream}:dead"),
            group: self.group.clone(),
            stream,
            worker: name.to_owned(),
            claim_after: self.claim_after,
            clock: self.clock.clone(),
            join_state: Mutex::default(),
            on_reconnection: None,
        }
    }

    /// The stream, the dead-letter stream, and the three hashes beside the stream.
    pub(super) fn keys(&self) -> [&str; 5] {
        [&self.stream, &self.dead, &self.waiting, &self.delivered_at, &self.server]
    }

    /// Calls `call` after each reconnection, before anything else is sent on the new connection. Meanwhile the queue may have
    /// delivered this worker's entries to other workers.
    #[must_use]
    pub fn on_reconnection(self, call: impl Fn() + Send + Sync + 'static) -> Self {
        Self { on_reconnection: Some(Box::new(call)), ..self }
    }

    /// Joins the queue: creates the stream and the group where they are missing.
    pub async fn join(&self) -> Result<(), BrokerError> {
        self.ensure_joined().await.map(|_| ())
    }

    /// A connection on which this worker has joined the queue.
    pub(super) async fn ensure_joined(&self) -> Result<(Connected, JoinState), BrokerError> {
        let mut connected = self.link.connected().await?;
        let before = *self.join_state.lock();
        if before.connection == connected.number {
            return Ok((connected, before));
        }
        let mut script = scripts::JOIN.key(&self.stream);
        script.key(&self.server).arg(&self.group);
        let (version, in_doubt_up_to): (String, String) = self.link.run(&mut connected, &script).await?;
        self.check_version(&version)?;
        let is_reconnection = before.connection > 0;
        if is_reconnection && let Some(call) = &self.on_reconnection {
            call();
        }
        let joined =
            JoinState { connection: connected.number, in_doubt_up_to: self.entry_id(&in_doubt_up_to)? };
        *self.join_state.lock() = joined;
        Ok((connected, joined))
    }

    fn check_version(&self, version: &str) -> Result<(), BrokerError> {
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < OLDEST_VERSION {
            let problem = format!("its version is {version}, and 6.2 or newer is needed");
            return Err(self.link.error(problem, None));
        }
        Ok(())
    }

    fn claim_after_ms(&self) -> String {
        self.claim_after.as_millis().to_string()
    }

    fn entry_id(&self, text: &str) -> Result<EntryId, BrokerError> {
        text.parse().map_err(|_| self.link.error(format!("{text:?} is not the id of an entry"), None))
    }

    fn delivery(&self, entry: TakenEntry, in_doubt_up_to: EntryId) -> Result<Delivery, BrokerError> {
        let TakenEntry { id, times_delivered, conference_id, union_id, was_requeued } = entry;
        let id = self.entry_id(&id)?;
        let in_doubt = times_delivered > 1 || was_requeued || id <= in_doubt_up_to;
        Ok(Delivery { id, times_delivered, in_doubt, conference_id, union_id })
    }
}

impl Broker for RedisQueue {
    async fn take(&self, limit: usize) -> Result<Batch, BrokerError> {
        let (mut connected, joined) = self.ensure_joined().await?;
        let mut script = scripts::TAKE.key(&self.stream);
        script.key(&self.delivered_at).key(&self.server);
        script.arg(&self.group).arg(&self.worker).arg(RELEASED_CONSUMER);
        script.arg(limit).arg(self.claim_after_ms());
        let (entries, pending, taken): (u64, u64, Vec<TakenEntry>) =
            self.link.run(&mut connected, &script).await?;
        let deliveries = taken.into_iter().map(|entry| self.delivery(entry, joined.in_doubt_up_to));
        Ok(Batch { deliveries: deliveries.collect::<Result<_, _>>()?, entries, pending })
    }

    async fn renew(&self, ids: &[EntryId]) -> Result<Renewed, BrokerError> {
        let (mut connected, _) = self.ensure_joined().await?;
        let mut script = scripts::RENEW.key(&self.stream);
        script.key(&self.server).arg(&self.group).arg(&self.worker).arg(self.claim_after_ms());
        for id in ids {
            script.arg(id.to_string());
        }
        let (taken_over, missing): (Vec<String>, Vec<String>) =
            self.link.run(&mut connected, &script).await?;
        let ids = |ids: Vec<String>| ids.iter().map(|id| self.entry_id(id)).collect::<Result<_, _>>();
        Ok(Renewed { taken_over: ids(taken_over)?, missing: ids(missing)? })
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BrokerError> {
        let (mut connected, _) = self.ensure_joined().await?;
        let mut script = scripts::SETTLE.key(&self.stream);
        script.key(&self.dead).key(&self.waiting).key(&self.delivered_at);
        script.arg(&self.group).arg(&self.worker).arg(RELEASED_CONSUMER);
        for Settled { id, settlement } in settled {
            match settlement {
                Settlement::Acknowledge => {
                    script.arg("acknowledge").arg(id.to_string());
                }
                Settlement::DeadLetter { cells, fields } => {
                    script.arg("dead_letter").arg(id.to_string());
                    script.arg(&cells.conference_id).arg(&cells.union_id).arg(2 * fields.len());
                    for (name, value) in fields {
                        script.arg(*name).arg(value);
                    }
                }
                Settlement::Release { times_delivered } => {
                    script.arg("release").arg(id.to_string()).arg(*times_delivered);
                }
            }
        }
        self.link.run(&mut connected, &script).await
    }

    async fn leave(&self) -> Result<u64, BrokerError> {
        let (mut connected, _) = self.ensure_joined().await?;
        let mut script = scripts::LEAVE.key(&self.stream);
        self.link.run(&mut connected, script.arg(&self.group).arg(&self.worker)).await
    }
}
