//! `[retry]`: how many attempts a meeting has, and the waits between them.

use std::time::Duration;

use serde::Deserialize;

use super::error::SettingsError;
use super::text;

#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// Attempts for one meeting, the first included.
    pub max_attempts: u32,
    /// The longest wait before the second attempt.
    pub initial_interval: Duration,
    /// The factor by which the longest wait grows with each attempt.
    pub multiplier: f64,
    /// The upper limit of the longest wait.
    pub max_interval: Duration,
    /// The retries that a run may spend in total.
    pub budget: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    max_attempts: i64,
    initial_interval: String,
    multiplier: f64,
    max_interval: String,
    budget: i64,
}

impl RawRetry {
    pub(super) fn check(self) -> Result<RetrySettings, SettingsError> {
        let initial_interval = text::duration("retry.initial_interval", &self.initial_interval)?;
        let max_interval = text::duration("retry.max_interval", &self.max_interval)?;
        if max_interval < initial_interval {
            return Err(SettingsError::Value {
                key: "retry.max_interval",
                found: format!("{:?}", self.max_interval),
                expected: "expected no less than retry.initial_interval",
            });
        }
        let max_attempts = u32::try_from(self.max_attempts).ok().filter(|number| (1..=100).contains(number));
        Ok(RetrySettings {
            max_attempts: max_attempts.ok_or_else(|| SettingsError::Value {
                key: "retry.max_attempts",
                found: self.max_attempts.to_string(),
                expected: "expected a whole number from 1 to 100",
            })?,
            initial_interval,
            multiplier: Some(self.multiplier).filter(|factor| (1.0..=100.0).contains(factor)).ok_or_else(
                || SettingsError::Value {
                    key: "retry.multiplier",
                    found: self.multiplier.to_string(),
                    expected: "expected a number from 1 to 100",
                },
            )?,
            max_interval,
            budget: u32::try_from(self.budget).map_err(|_| SettingsError::Value {
                key: "retry.budget",
                found: self.budget.to_string(),
                expected: "expected a whole number from 0",
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::tests::load_text;

    #[test]
    fn numbers_out_of_range_are_refused_with_key_and_value() {
        for (line, key) in [
            ("max_attempts = 0", "retry.max_attempts is 0:"),
            ("multiplier = 0.5", "retry.multiplier is 0.5:"),
            ("budget = -1", "retry.budget is -1:"),
            ("max_interval = \"1ms\"", "retry.max_interval is \"1ms\": expected no less than"),
            ("initial_interval = \"0s\"", "retry.initial_interval is \"0s\":"),
        ] {
            let error = load_text(&format!("[retry]\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
