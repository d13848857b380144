//! What a worker asks of Redis.

use std::time::Duration;

use super::link::{Connected, Link};
use super::scripts;
use crate::clock::Clock;
use crate::queue::{Broker, BrokerError, Delivery, EntryId, Field, Renewed, Settled, Settlement, TakenBatch};
use crate::settings::QueueSettings;
use parking_lot::Mutex;
use redis::{FromRedisValue, ParsingError, Value, from_redis_value};

/// Holds what was given back until somebody takes it. No worker is called so.
pub(super) const RELEASED: &str = "meeting-closer:released";

/// The oldest version that has what is needed (XPENDING by idle time, exclusive ranges).
const OLDEST: (u32, u32) = (6, 2);

/// The queue of one Redis, joined under a worker's name.
pub struct RedisQueue {
    pub(super) link: Link,
    pub(super) stream: String,
    pub(super) dead: String,
    pub(super) waiting: String,
    pub(super) since: String,
    pub(super) group: String,
    server: String,
    pub(super) worker: String,
    claim_after: Duration,
    pub(super) clock: Clock,
    joined: Mutex<Joined>,
    on_reconnection: Option<Box<dyn Fn() + Send + Sync>>,
}

/// What was found out at the beginning of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Joined {
    connection: u64,
    /// The last entry that a forgotten worker may have asked for.
    doubt: EntryId,
}

/// An entry as `take.lua` returns it.
struct TakenEntry {
    id: String,
    times: u64,
    conference_id: Option<Field>,
    union_id: Option<Field>,
    /// Whether its last worker died.
    died: bool,
}

impl FromRedisValue for TakenEntry {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let fields: [Value; 7] = Vec::<Value>::from_redis_value(value)?
            .try_into()
            .map_err(|_| ParsingError::from("take.lua returns seven values for each entry"))?;
        let [id, times, conference_id, conference_id_bytes, union_id, union_id_bytes, died] = fields;
        let field = |start: Value, bytes: Value| {
            let start: Option<Vec<u8>> = from_redis_value(start)?;
            let bytes = from_redis_value(bytes)?;
            Ok::<_, ParsingError>(start.map(|start| Field { start, bytes }))
        };
        Ok(Self {
            id: from_redis_value(id)?,
            times: from_redis_value(times)?,
            conference_id: field(conference_id, conference_id_bytes)?,
            union_id: field(union_id, union_id_bytes)?,
            died: from_redis_value(died)?,
        })
    }
}

impl RedisQueue {
    /// Nothing is asked yet.
    pub fn new(link: Link, settings: &QueueSettings, worker: String, clock: Clock) -> Self {
        let stream = settings.stream.clone();
        Self {
            link,
            waiting: format!("{stream}:waiting"),
            since: format!("{stream}:since"),
            server: format!("{stream}:server"),
            dead: settings.dead_letter_stream.clone(),
            group: settings.group.clone(),
            stream,
            worker,
            claim_after: settings.claim_after,
            clock,
            joined: Mutex::default(),
            on_reconnection: None,
        }
    }

    /// The same, which calls this whenever a lost connection has come back and before anything is asked on it: others may
    /// have been handed what this worker held.
    #[must_use]
    pub fn on_reconnection(self, call: impl Fn() + Send + Sync + 'static) -> Self {
        Self { on_reconnection: Some(Box::new(call)), ..self }
    }

    /// Joins: the stream and the group are there afterwards.
    pub async fn join(&self) -> Result<(), BrokerError> {
        self.joined().await.map(|_| ())
    }

    /// A connection on which the stream and the group are known to be there.
    pub(super) async fn joined(&self) -> Result<(Connected, Joined), BrokerError> {
        let mut connected = self.link.connected().await?;
        let joined = *self.joined.lock();
        if joined.connection == connected.number {
            return Ok((connected, joined));
        }
        let mut script = scripts::JOIN.key(&self.stream);
        script.key(&self.server).arg(&self.group);
        let (version, doubt): (String, String) = self.link.run(&mut connected, &script).await?;
        self.check(&version)?;
        let is_back = joined.connection > 0;
        if is_back && let Some(call) = &self.on_reconnection {
            call();
        }
        let joined = Joined { connection: connected.number, doubt: self.id(&doubt)? };
        *self.joined.lock() = joined;
        Ok((connected, joined))
    }

    fn check(&self, version: &str) -> Result<(), BrokerError> {
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < OLDEST {
            let problem = format!("it is version {version}, and 6.2 or newer is needed");
            return Err(self.link.error(problem, None));
        }
        Ok(())
    }

    /// In milliseconds, as the scripts have it.
    fn gone_after(&self) -> String {
        self.claim_after.as_millis().to_string()
    }

    pub(super) fn id(&self, text: &str) -> Result<EntryId, BrokerError> {
        text.parse().map_err(|_| self.link.error(format!("{text:?} is not the id of an entry"), None))
    }

    fn delivery(&self, taken: TakenEntry, doubt: EntryId) -> Result<Delivery, BrokerError> {
        let TakenEntry { id, times, conference_id, union_id, died } = taken;
        let id = self.id(&id)?;
        Ok(Delivery { id, times, in_doubt: times > 1 || died || id <= doubt, conference_id, union_id })
    }
}

impl Broker for RedisQueue {
    async fn take(&self, most: usize) -> Result<TakenBatch, BrokerError> {
        let (mut connected, joined) = self.joined().await?;
        let mut script = scripts::TAKE.key(&self.stream);
        script.key(&self.since).key(&self.server).arg(&self.group).arg(&self.worker).arg(RELEASED);
        script.arg(most).arg(self.gone_after());
        let (entries, held, taken): (u64, u64, Vec<TakenEntry>) =
            self.link.run(&mut connected, &script).await?;
        let deliveries = taken.into_iter().map(|taken| self.delivery(taken, joined.doubt));
        Ok(TakenBatch { deliveries: deliveries.collect::<Result<_, _>>()?, entries, held })
    }

    async fn renew(&self, ids: &[EntryId]) -> Result<Renewed, BrokerError> {
        let (mut connected, _) = self.joined().await?;
        let mut script = scripts::RENEW.key(&self.stream);
        script.key(&self.server).arg(&self.group).arg(&self.worker).arg(self.gone_after());
        for id in ids {
            script.arg(id.to_string());
        }
        let (anothers, gone): (Vec<String>, Vec<String>) = self.link.run(&mut connected, &script).await?;
        let ids = |ids: Vec<String>| ids.iter().map(|id| self.id(id)).collect::<Result<_, _>>();
        Ok(Renewed { anothers: ids(anothers)?, gone: ids(gone)? })
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BrokerError> {
        let (mut connected, _) = self.joined().await?;
        let mut script = scripts::SETTLE.key(&self.stream);
        script.key(&self.dead).key(&self.waiting).key(&self.since);
        script.arg(&self.group).arg(&self.worker).arg(RELEASED);
        for Settled { id, settlement } in settled {
            match settlement {
                Settlement::Acknowledge => script.arg("acknowledge").arg(id.to_string()),
                Settlement::Bury { cells, fields } => {
                    script.arg("bury").arg(id.to_string()).arg(&cells.conference_id).arg(&cells.union_id);
                    script.arg(2 * fields.len());
                    for (name, value) in fields {
                        script.arg(*name).arg(value);
                    }
                    &mut script
                }
                Settlement::Release { times } => script.arg("release").arg(id.to_string()).arg(*times),
            };
        }
        self.link.run(&mut connected, &script).await
    }

    async fn leave(&self) -> Result<u64, BrokerError> {
        let (mut connected, _) = self.joined().await?;
        let mut script = scripts::LEAVE.key(&self.stream);
        self.link.run(&mut connected, script.arg(&self.group).arg(&self.worker)).await
    }
}
