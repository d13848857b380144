//! The workers' one quota, in a key of Redis.

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

/// The quota of one Redis.
pub struct RedisQuota {
    queue: Arc<RedisQueue>,
    pace: PaceSettings,
}

impl RedisQuota {
    /// Asked under the worker's name, and only where it has joined the queue: after an outage nothing leaves before what was
    /// found out about it.
    pub fn new(queue: Arc<RedisQueue>, pace: PaceSettings) -> Self {
        Self { queue, pace }
    }

    async fn try_ask(&self, ask: &Ask, now: Instant) -> Result<Answer, BrokerError> {
        let (mut connected, _) = self.queue.met().await?;
        let pace = &self.pace;
        let mut script = scripts::QUOTA.key(KEY);
        script
            .arg(&self.queue.worker)
            .arg(ask.permits)
            .arg(micros(ask.lateness))
            .arg(pace.requests_per_second);
        script.arg(pace.burst.get()).arg(pace.min_requests_per_second).arg(u8::from(pace.adaptive));
        for Told { heard, sent_at } in &ask.told {
            let (kind, wait) = match heard {
                Heard::LetIn => ("let_in", Duration::ZERO),
                Heard::Nothing => ("trouble", Duration::ZERO),
                Heard::Refused { retry_after, .. } => ("refused", retry_after.unwrap_or_default()),
                Heard::Banned(pause) => ("banned", *pause),
            };
            script.arg(kind).arg(micros(refusing_window(*heard))).arg(micros(wait));
            script.arg(micros(now.saturating_duration_since(*sent_at)));
        }
        let (count, first, between, why, per_second, is_probe): (u32, f64, f64, String, f64, u8) =
            self.queue.link.run(&mut connected, &script).await?;
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

impl Book for RedisQuota {
    async fn ask(&self, ask: &Ask, now: Instant) -> Result<Answer, String> {
        self.try_ask(ask, now).await.map_err(|error| error.to_string())
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
