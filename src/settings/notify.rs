//! `[notify]`: who is told how a run ended.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::dingtalk::is_loopback;
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

impl NotifyWhen {
    /// Whether a run that ended with this exit code is worth a message.
    pub const fn wants(self, exit_code: u8) -> bool {
        match self {
            Self::Always => true,
            Self::Failure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// The robot as its webhook and secret are right now.
#[derive(Debug, Clone)]
pub struct RobotAccess {
    /// A URL that was checked; the token in it makes it a secret.
    pub webhook: SecretString,
    /// The key with which messages are signed, where the robot asks for that.
    pub secret: Option<SecretString>,
    /// Whether the webhook is on this machine.
    pub is_loopback: bool,
}

impl NotifySettings {
    /// The robot, where one is configured and any run is worth a message. Files are read at each call.
    pub fn robot(&self) -> Result<Option<RobotAccess>, SettingsError> {
        let webhook = match (&self.robot_webhook, self.when) {
            (None, _) | (Some(_), NotifyWhen::Never) => return Ok(None),
            (Some(webhook), NotifyWhen::Always | NotifyWhen::Failure) => webhook.read()?,
        };
        let is_loopback = check_webhook(webhook.expose_secret())?;
        let secret = self.robot_secret.as_ref().map(Secret::read).transpose()?;
        Ok(Some(RobotAccess { webhook, secret, is_loopback }))
    }
}

/// Whether the webhook is on this machine. No error shows it: it holds a token, which must not cross a network in the
/// clear.
fn check_webhook(webhook: &str) -> Result<bool, SettingsError> {
    let wrong = |found: &str, expected| {
        Err(SettingsError::Value { key: "notify.robot_webhook", found: found.to_owned(), expected })
    };
    let Ok(url) = Url::parse(webhook.trim()) else {
        return wrong("no URL", "https://oapi.dingtalk.com/robot/send?access_token=\u{2026} is expected");
    };
    match url.scheme() {
        "https" | "http" if is_loopback(&url) => Ok(true),
        "https" => Ok(false),
        "http" => {
            wrong("an http URL", "https is expected; the token in it would cross the network in the clear")
        }
        _ => wrong("neither an https nor an http URL", "https is expected"),
    }
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
    use super::*;
    use crate::settings::tests::load_text;

    fn robot(webhook: &str, more: &str) -> Result<Option<RobotAccess>, SettingsError> {
        load_text(&format!("[notify]\nrobot_webhook = \"{webhook}\"\n{more}")).unwrap().notify.robot()
    }

    #[test]
    fn a_webhook_is_https_but_for_loopback_and_no_error_shows_it() {
        for (webhook, loopback) in [
            ("https://oapi.dingtalk.com/robot/send?access_token=hunter2", false),
            ("http://127.0.0.1:80/robot/send?access_token=hunter2", true),
            ("https://localhost/?access_token=hunter2", true),
        ] {
            let robot = robot(webhook, "robot_secret = \"hunter3\"").unwrap().unwrap();
            assert_eq!((robot.webhook.expose_secret(), robot.is_loopback), (webhook, loopback));
            assert!(!format!("{robot:?}").contains("hunter"));
        }
        for (webhook, expected) in [
            (
                "hunter2",
                "notify.robot_webhook is no URL: https://oapi.dingtalk.com/robot/send?access_token=\u{2026}",
            ),
            (
                "http://oapi.dingtalk.com/?access_token=hunter2",
                "notify.robot_webhook is an http URL: https is expected",
            ),
            ("ftp://hunter2", "notify.robot_webhook is neither an https nor an http URL: https is expected"),
        ] {
            let error = robot(webhook, "").unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(!format!("{error}{error:?}{:?}", error.hint()).contains("hunter2"));
        }
    }

    #[test]
    fn a_robot_that_never_speaks_needs_no_file() {
        let files = "robot_secret_file = \"/nowhere\"";
        let webhook = "https://oapi.dingtalk.com/robot/send?access_token=t";
        assert!(robot(webhook, &format!("when = \"never\"\n{files}")).unwrap().is_none());
        let error = robot(webhook, files).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nowhere, which notify.robot_secret_file names"), "{error}");
        assert!(load_text("").unwrap().notify.robot().unwrap().is_none());
    }

    #[test]
    fn a_run_is_told_of_as_often_as_was_asked() {
        let wants = |when: NotifyWhen| [0, 1, 4].map(|code| when.wants(code));
        assert_eq!(wants(NotifyWhen::Always), [true, true, true]);
        assert_eq!(wants(NotifyWhen::Failure), [false, true, true]);
        assert_eq!(wants(NotifyWhen::Never), [false, false, false]);
    }

    #[test]
    fn an_unknown_occasion_is_refused_with_the_known_ones() {
        let error = load_text("[notify]\nwhen = \"sometimes\"").unwrap_err().to_string();
        assert!(error.contains("always") && error.contains("failure") && error.contains("never"), "{error}");
    }
}
