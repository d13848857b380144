//! `[pace]`: how fast requests are sent.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::error::SettingsError;
use super::text;

/// `[pace]`.
#[derive(Debug, Clone, Copy)]
pub struct PaceSettings {
    /// Requests a second, retries included: from 0.001 to 1,000,000.
    pub requests_per_second: f64,
    /// Requests that may be sent at once after a quiet time.
    pub burst: NonZeroU32,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Whether the rate is lowered when DingTalk throttles.
    pub adaptive: bool,
    /// The lowest rate, at most `requests_per_second`.
    pub min_requests_per_second: f64,
    /// The pause after DingTalk bans this address.
    pub ban_pause: Duration,
}

impl PaceSettings {
    /// The pause after a ban. It is longer if DingTalk asks for a longer one.
    pub fn pause_after_ban(&self, retry_after: Option<Duration>) -> Duration {
        retry_after.map_or(self.ban_pause, |named| named.max(self.ban_pause))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPace {
    requests_per_second: f64,
    burst: i64,
    concurrency: i64,
    adaptive: bool,
    min_requests_per_second: f64,
    ban_pause: String,
}

/// A higher number is a typing error. With DingTalk's highest known rate, only answers that take minutes could need it.
const MAX_CONCURRENCY: usize = 10_000;

impl RawPace {
    pub(super) fn check(self) -> Result<PaceSettings, SettingsError> {
        let burst =
            u32::try_from(self.burst).ok().and_then(NonZeroU32::new).ok_or_else(|| SettingsError::Value {
                key: "pace.burst",
                found: self.burst.to_string(),
                expected: "expected a whole number from 1",
            })?;
        let concurrency = usize::try_from(self.concurrency)
            .ok()
            .filter(|number| (1..=MAX_CONCURRENCY).contains(number))
            .ok_or_else(|| SettingsError::Value {
                key: "pace.concurrency",
                found: self.concurrency.to_string(),
                expected: "expected a whole number from 1 to 10000",
            })?;
        let requests_per_second = rate("pace.requests_per_second", self.requests_per_second)?;
        let lowest = rate("pace.min_requests_per_second", self.min_requests_per_second)?;
        Ok(PaceSettings {
            requests_per_second,
            burst,
            concurrency,
            adaptive: self.adaptive,
            min_requests_per_second: lowest.min(requests_per_second),
            ban_pause: text::duration("pace.ban_pause", &self.ban_pause)?,
        })
    }
}

fn rate(key: &'static str, rate: f64) -> Result<f64, SettingsError> {
    if (0.001..=1_000_000.0).contains(&rate) {
        return Ok(rate);
    }
    Err(SettingsError::Value {
        key,
        found: rate.to_string(),
        expected: "expected a number of requests a second from 0.001 to 1000000",
    })
}

#[cfg(test)]
mod tests {
    use crate::settings::tests::load_text;

    #[test]
    fn numbers_out_of_range_are_refused_with_key_and_value() {
        for (line, key) in [
            ("requests_per_second = 0", "pace.requests_per_second is 0:"),
            ("requests_per_second = nan", "pace.requests_per_second is NaN:"),
            ("requests_per_second = -3.5", "pace.requests_per_second is -3.5:"),
            ("min_requests_per_second = inf", "pace.min_requests_per_second is inf:"),
            ("burst = 0", "pace.burst is 0:"),
            ("concurrency = -1", "pace.concurrency is -1:"),
            ("concurrency = 100000", "pace.concurrency is 100000:"),
            ("ban_pause = \"soon\"", "pace.ban_pause is \"soon\":"),
        ] {
            let error = load_text(&format!("[pace]\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }

    #[test]
    fn the_lowest_rate_is_never_above_the_rate() {
        let pace = load_text("[pace]\nrequests_per_second = 0.2").unwrap().pace;
        assert!(pace.min_requests_per_second <= pace.requests_per_second);
    }
}
