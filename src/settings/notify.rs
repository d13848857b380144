//! `[notify]`: who is told how a run ended.

use secrecy::SecretString;
use serde::Deserialize;

use super::secret::Secret;
use super::{SettingsError, text};

/// `[notify]`, checked.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// The group robot's address; the token in it makes it a secret.
    pub robot_webhook: Option<Secret>,
    /// The key with which the robot's messages are signed.
    pub robot_secret: Option<Secret>,
    /// Which runs are worth a message.
    pub when: NotifyWhen,
}

/// Which runs are worth a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyWhen {
    /// Every run.
    Always,
    /// Runs whose exit code is not 0.
    Failure,
    /// None.
    Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    robot_webhook: SecretString,
    robot_webhook_file: String,
    robot_secret: SecretString,
    robot_secret_file: String,
    when: String,
}

impl Raw {
    pub(super) fn check(self) -> Result<NotifySettings, SettingsError> {
        Ok(NotifySettings {
            robot_webhook: Secret::from_twins(
                "notify.robot_webhook",
                self.robot_webhook,
                &self.robot_webhook_file,
            )?,
            robot_secret: Secret::from_twins(
                "notify.robot_secret",
                self.robot_secret,
                &self.robot_secret_file,
            )?,
            when: text::choice(
                "notify.when",
                &self.when,
                &[
                    ("always", NotifyWhen::Always),
                    ("failure", NotifyWhen::Failure),
                    ("never", NotifyWhen::Never),
                ],
                "always, failure or never is expected",
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::tests::load_text;

    #[test]
    fn an_unknown_occasion_is_refused_with_the_known_ones() {
        let error = load_text("[notify]\nwhen = \"sometimes\"").unwrap_err().to_string();
        assert!(error.contains("always") && error.contains("failure") && error.contains("never"), "{error}");
    }
}
