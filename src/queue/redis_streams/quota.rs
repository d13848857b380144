//! The quota that all workers share, in one key of Redis.
//!
//! Invariant: the script on the server grants every permit, so the workers together never exceed the rate.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, ParsingError, Value, from_redis_value};
use tokio::time::Instant;

use super::redis_queue::RedisQueue;
use super::scripts;
use crate::pace::{Feedback, PermitGrant, PermitRequest, QuotaReply, QuotaStore, RateSignal, WaitReason};
use crate::queue::BrokerError;
use crate::settings::PaceSettings;

/// The quota's key. Workers that use the same Redis database share one quota.
pub(super) const KEY: &str = "meeting-closer:quota";

/// What the script returns. The comment at its top describes the values.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptReply {
    /// How many permits the script grants.
    pub count: u32,
    /// The time until the first slot. Without a permit, how long to wait before the next request.
    pub first_micros: f64,
    /// The time from one slot to the next.
    pub between_micros: f64,
    /// Why the script grants no permit; empty if it grants one.
    pub why: String,
    /// The rate of all workers together, in requests a second.
    pub per_second: f64,
    /// Whether the permit is for a probe: the one request that finds out whether a ban is over.
    pub is_probe: bool,
}

impl FromRedisValue for ScriptReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let fields: [Value; 6] = Vec::<Value>::from_redis_value(value)?
            .try_into()
            .map_err(|_| ParsingError::from("the quota's script returns six values"))?;
        let [count, first, between, why, per_second, is_probe] = fields;
        Ok(Self {
            count: from_redis_value(count)?,
            first_micros: from_redis_value(first)?,
            between_micros: from_redis_value(between)?,
            why: from_redis_value(why)?,
            per_second: from_redis_value(per_second)?,
            is_probe: from_redis_value::<u8>(is_probe)? == 1,
        })
    }
}

/// Runs the quota's script: the Redis server, or a simulation with its own clock.
pub trait QuotaHost: Send + Sync + 'static {
    /// Runs the script once. The arguments are computed at the moment when the script is sent. After an error, the script may
    /// or may not have run.
    fn run(
        &self,
        arguments: impl FnOnce(Instant) -> Vec<String> + Send,
    ) -> impl Future<Output = Result<ScriptReply, String>> + Send;
}

impl QuotaHost for RedisQueue {
    /// Joins the queue first, if the connection is new. So after an outage, the worker knows which of its leases are in doubt
    /// before it gets a permit.
    async fn run(
        &self,
        arguments: impl FnOnce(Instant) -> Vec<String> + Send,
    ) -> Result<ScriptReply, String> {
        let run = async {
            let (mut connected, _) = self.ensure_joined().await?;
            let arguments = arguments(self.clock.now());
            self.link.run(&mut connected, scripts::QUOTA.key(KEY).arg(arguments)).await
        };
        run.await.map_err(|error: BrokerError| error.to_string())
    }
}

/// The shared quota, as one worker uses it.
pub struct RedisQuota<H = RedisQueue> {
    host: Arc<H>,
    worker: String,
    pace: PaceSettings,
}

impl<H: QuotaHost> RedisQuota<H> {
    /// The quota on `host`, for the worker of this name.
    pub fn new(host: Arc<H>, worker: String, pace: PaceSettings) -> Self {
        Self { host, worker, pace }
    }

    fn arguments(&self, request: &PermitRequest, now: Instant) -> Vec<String> {
        let pace = &self.pace;
        let mut arguments = vec![
            self.worker.clone(),
            request.permits.to_string(),
            micros(request.lateness).to_string(),
            pace.requests_per_second.to_string(),
            pace.burst.to_string(),
            pace.min_requests_per_second.to_string(),
            u8::from(pace.adaptive).to_string(),
        ];
        for Feedback { signal, sent_at } in &request.feedback {
            let (kind, wait) = match signal {
                RateSignal::Accepted => ("let_in", Duration::ZERO),
                RateSignal::Nothing => ("trouble", Duration::ZERO),
                RateSignal::Throttled { retry_after, .. } => ("refused", retry_after.unwrap_or_default()),
                RateSignal::Banned(pause) => ("banned", *pause),
            };
            arguments.push(kind.to_owned());
            let spans = [signal.refusing_window(), wait, now.saturating_duration_since(*sent_at)];
            arguments.extend(spans.map(|span| micros(span).to_string()));
        }
        arguments
    }
}

impl<H: QuotaHost> QuotaStore for RedisQuota<H> {
    async fn request(&self, request: &PermitRequest) -> Result<QuotaReply, String> {
        let reply = self.host.run(|now| self.arguments(request, now)).await?;
        let ScriptReply { count, first_micros, between_micros, why, per_second, is_probe } = reply;
        let span = |micros: f64| Duration::try_from_secs_f64(micros / 1e6).unwrap_or_default();
        let grant = match (count, why.as_str()) {
            _ if request.permits == 0 => PermitGrant::Nothing,
            (0, why) => PermitGrant::Wait { wait: span(first_micros), why: reason(why) },
            (count, _) => PermitGrant::Permits {
                count,
                first: span(first_micros),
                between: span(between_micros),
                is_probe,
            },
        };
        Ok(QuotaReply { grant, per_second })
    }
}

fn reason(why: &str) -> WaitReason {
    match why {
        "banned" => WaitReason::Banned,
        "refused" => WaitReason::Throttled,
        "probe" => WaitReason::Probe,
        _ => WaitReason::Pace,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
