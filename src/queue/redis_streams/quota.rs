//! The workers' one quota, in a key of Redis.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::scripts;
use super::worker::RedisQueue;
use crate::pace::{Answer, Ask, Book, Grant, Heard, Told, Why, refusing_window};
use crate::queue::BrokerError;
use crate::settings::PaceSettings;

/// The key: workers that share a database of a Redis share one quota.
const KEY: &str = "meeting-closer:quota";

/// The script, for a place that runs it.
pub const QUOTA_SCRIPT: &str = include_str!("scripts/quota.lua");

/// What the script returns, as it says at its head.
pub type QuotaReply = (u32, f64, f64, String, f64, u8);

/// Where the script runs: on the server, or wherever its time can be told.
pub trait QuotaHost: Send + Sync + 'static {
    /// Runs it once, with the arguments as they are at the moment when it is sent. An error means that nobody knows whether it
    /// ran.
    fn run(
        &self,
        arguments: impl FnOnce(Instant) -> Vec<String> + Send,
    ) -> impl Future<Output = Result<QuotaReply, String>> + Send;
}

impl QuotaHost for RedisQueue {
    /// Only where the queue was joined: after an outage nothing leaves before what was found out about it.
    async fn run(&self, arguments: impl FnOnce(Instant) -> Vec<String> + Send) -> Result<QuotaReply, String> {
        let run = async {
            let (mut connected, _) = self.met().await?;
            let arguments = arguments(self.clock.now());
            self.link.run(&mut connected, scripts::QUOTA.key(KEY).arg(arguments)).await
        };
        run.await.map_err(|error: BrokerError| error.to_string())
    }
}

/// The quota of one Redis, for one worker.
pub struct RedisQuota<H = RedisQueue> {
    host: Arc<H>,
    worker: String,
    pace: PaceSettings,
}

impl<H: QuotaHost> RedisQuota<H> {
    /// Asked under the worker's name.
    pub fn new(host: Arc<H>, worker: String, pace: PaceSettings) -> Self {
        Self { host, worker, pace }
    }

    fn arguments(&self, ask: &Ask, now: Instant) -> Vec<String> {
        let pace = &self.pace;
        let mut arguments = vec![
            self.worker.clone(),
            ask.permits.to_string(),
            micros(ask.lateness).to_string(),
            pace.requests_per_second.to_string(),
            pace.burst.to_string(),
            pace.min_requests_per_second.to_string(),
            u8::from(pace.adaptive).to_string(),
        ];
        for Told { heard, sent_at } in &ask.told {
            let (kind, wait) = match heard {
                Heard::LetIn => ("let_in", Duration::ZERO),
                Heard::Nothing => ("trouble", Duration::ZERO),
                Heard::Refused { retry_after, .. } => ("refused", retry_after.unwrap_or_default()),
                Heard::Banned(pause) => ("banned", *pause),
            };
            arguments.push(kind.to_owned());
            let spans = [refusing_window(*heard), wait, now.saturating_duration_since(*sent_at)];
            arguments.extend(spans.map(|span| micros(span).to_string()));
        }
        arguments
    }
}

impl<H: QuotaHost> Book for RedisQuota<H> {
    async fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        let reply = self.host.run(|now| self.arguments(ask, now)).await?;
        let (count, first, between, why, per_second, is_probe) = reply;
        let span = |micros: f64| Duration::try_from_secs_f64(micros / 1e6).unwrap_or_default();
        let grant = match (count, why.as_str()) {
            _ if ask.permits == 0 => Grant::Nothing,
            (0, why) => Grant::Wait { wait: span(first), why: reason(why) },
            (count, _) => {
                Grant::Permits { count, first: span(first), between: span(between), is_probe: is_probe == 1 }
            }
        };
        Ok(Answer { grant, per_second })
    }
}

fn reason(why: &str) -> Why {
    match why {
        "banned" => Why::Banned,
        "refused" => Why::Refused,
        "probe" => Why::Probe,
        _ => Why::Pace,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
