//! `[guard]`: the limits of a run.

use std::time::Duration;

use serde::Deserialize;

use super::error::SettingsError;
use super::text;

#[derive(Debug, Clone, Copy, Default)]
pub struct GuardSettings {
    /// The most meetings that the lists may hold.
    pub max_meetings: Option<u64>,
    /// The time after which no new work starts.
    pub deadline: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    max_meetings: i64,
    deadline: String,
}

impl Raw {
    pub(super) fn check(self) -> Result<GuardSettings, SettingsError> {
        let max_meetings = u64::try_from(self.max_meetings).map_err(|_| SettingsError::Value {
            key: "guard.max_meetings",
            found: self.max_meetings.to_string(),
            expected: "expected a whole number from 0 (0: no limit)",
        })?;
        Ok(GuardSettings {
            max_meetings: (max_meetings > 0).then_some(max_meetings),
            deadline: text::optional(&self.deadline)
                .map(|deadline| text::duration("guard.deadline", deadline))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::settings::tests::load_text;

    #[test]
    fn zero_and_empty_text_mean_no_limit() {
        let guard = load_text("").unwrap().guard;
        assert_eq!((guard.max_meetings, guard.deadline), (None, None));
        let guard = load_text("[guard]\nmax_meetings = 5\ndeadline = \"30m\"").unwrap().guard;
        assert_eq!((guard.max_meetings, guard.deadline), (Some(5), Some(Duration::from_secs(1800))));
    }

    #[test]
    fn a_negative_limit_is_refused() {
        let error = load_text("[guard]\nmax_meetings = -1").unwrap_err().to_string();
        assert!(error.starts_with("guard.max_meetings is -1: "), "{error}");
    }
}
