//! `[guard]`: the limits of a run.

use std::time::Duration;

use serde::Deserialize;

use super::error::{MAX_MEETINGS, SettingsError};
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
pub(super) struct RawGuard {
    max_meetings: String,
    deadline: String,
}

impl RawGuard {
    pub(super) fn check(self) -> Result<GuardSettings, SettingsError> {
        let max_meetings = text::optional(&self.max_meetings).map(most_meetings).transpose()?;
        Ok(GuardSettings {
            max_meetings,
            deadline: text::optional(&self.deadline)
                .map(|deadline| text::duration("guard.deadline", deadline))
                .transpose()?,
        })
    }
}

/// A limit of 0 would stop every run. Who writes it may also mean that there is no limit, so it is an error.
fn most_meetings(text: &str) -> Result<u64, SettingsError> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| SettingsError::Value {
        key: MAX_MEETINGS,
        found: if text.parse::<f64>().is_ok() { text.to_owned() } else { format!("{text:?}") },
        expected: "expected a whole number from 1, or \"\" for no limit",
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::settings::tests::load_text;

    #[test]
    fn empty_text_means_no_limit() {
        for text in ["", "[guard]\nmax_meetings = \"\"", "[guard]\nmax_meetings = \" \""] {
            let guard = load_text(text).unwrap().guard;
            assert_eq!((guard.max_meetings, guard.deadline), (None, None), "{text}");
        }
        for number in ["5", "\"5\""] {
            let text = format!("[guard]\nmax_meetings = {number}\ndeadline = \"30m\"");
            let guard = load_text(&text).unwrap().guard;
            assert_eq!((guard.max_meetings, guard.deadline), (Some(5), Some(Duration::from_secs(1800))));
        }
    }

    #[test]
    fn a_limit_below_one_is_refused_and_the_hint_says_how_to_have_none() {
        for (value, shown) in [("0", "0"), ("-1", "-1"), ("\"0\"", "0"), ("1.5", "1.5"), ("\"no\"", "\"no\"")]
        {
            let error = load_text(&format!("[guard]\nmax_meetings = {value}")).unwrap_err();
            let expected = "expected a whole number from 1, or \"\" for no limit";
            assert_eq!(error.to_string(), format!("guard.max_meetings is {shown}: {expected}"));
            assert!(error.hint().contains("leave out --max-meetings"), "{}", error.hint());
        }
    }
}
