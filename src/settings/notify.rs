//! `[notify]`: the group robot that reports how a run ended.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::dingtalk::is_loopback;
use super::error::SettingsError;
use super::secret::Secret;
use super::text;

#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// The robot's address. It is a secret, because it holds the robot's access token.
    pub robot_webhook: Option<Secret>,
    /// The key that signs the messages.
    pub robot_secret: Option<Secret>,
    /// Which runs are reported.
    pub when: NotifyWhen,
}

/// Which runs are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyWhen {
    Always,
    /// Runs whose exit code is not 0.
    Failure,
    Never,
}

impl NotifyWhen {
    /// Whether a run with this exit code is reported.
    pub const fn wants(self, exit_code: u8) -> bool {
        match self {
            Self::Always => true,
            Self::Failure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// The current webhook and secret of the robot.
#[derive(Debug, Clone)]
pub struct RobotAccess {
    /// A valid URL. It is a secret, because it holds the robot's access token.
    pub webhook: SecretString,
    /// The key that signs the messages, if the robot requires signatures.
    pub secret: Option<SecretString>,
    /// Whether the webhook is on this machine.
    pub is_loopback: bool,
}

impl NotifySettings {
    /// The robot, if one is configured and `when` is not never. Files are read at each call.
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

/// Whether the webhook is on this machine. An error does not show the webhook, because it holds an access token. For
/// the same reason, `http` is accepted for loopback only.
fn check_webhook(webhook: &str) -> Result<bool, SettingsError> {
    let wrong = |found: &str, expected| {
        Err(SettingsError::Value { key: "notify.robot_webhook", found: found.to_owned(), expected })
    };
    let Ok(url) = Url::parse(webhook.trim()) else {
        return wrong("no URL", "expected https://oapi.dingtalk.com/robot/send?access_token=\u{2026}");
    };
    match url.scheme() {
        "https" | "http" if is_loopback(&url) => Ok(true),
        "https" => Ok(false),
        "http" => {
            wrong("an http URL", "expected https, because http would show its access token to the network")
        }
        _ => wrong("neither an https nor an http URL", "expected https"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    robot_webhook: SecretString,
    robot_webhook_file: String,
    robot_secret: SecretString,
    robot_secret_file: String,
    when: String,
}

impl RawNotify {
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
                "expected always, failure or never",
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
    fn a_webhook_is_https_except_on_loopback_and_no_error_shows_it() {
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
                "notify.robot_webhook is no URL: expected https://oapi.dingtalk.com/robot/send?access_token=\u{2026}",
            ),
            (
                "http://oapi.dingtalk.com/?access_token=hunter2",
                "notify.robot_webhook is an http URL: expected https",
            ),
            ("ftp://hunter2", "notify.robot_webhook is neither an https nor an http URL: expected https"),
        ] {
            let error = robot(webhook, "").unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(!format!("{error}{error:?}{:?}", error.hint()).contains("hunter2"));
        }
    }

    #[test]
    fn a_robot_that_never_sends_needs_no_file() {
        let files = "robot_secret_file = \"/nowhere\"";
        let webhook = "https://oapi.dingtalk.com/robot/send?access_token=t";
        assert!(robot(webhook, &format!("when = \"never\"\n{files}")).unwrap().is_none());
        let error = robot(webhook, files).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nowhere, which notify.robot_secret_file names: "), "{error}");
        assert!(load_text("").unwrap().notify.robot().unwrap().is_none());
    }

    #[test]
    fn when_decides_by_exit_code_which_runs_are_reported() {
        let wants = |when: NotifyWhen| [0, 1, 4].map(|code| when.wants(code));
        assert_eq!(wants(NotifyWhen::Always), [true, true, true]);
        assert_eq!(wants(NotifyWhen::Failure), [false, true, true]);
        assert_eq!(wants(NotifyWhen::Never), [false, false, false]);
    }

    #[test]
    fn an_unknown_when_is_refused_with_the_known_ones() {
        let error = load_text("[notify]\nwhen = \"sometimes\"").unwrap_err().to_string();
        assert!(error.contains("always") && error.contains("failure") && error.contains("never"), "{error}");
    }
}
