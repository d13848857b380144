//! `[queue]`: where requests wait.

use reqwest::Url;
use serde::Deserialize;

use super::{SettingsError, text};

/// `[queue]`, checked.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// The Redis, `redis://` or `rediss://`; it may hold a password, so it is not printed.
    pub url: Option<secrecy::SecretString>,
    /// The stream of requests.
    pub stream: String,
    /// The consumer group.
    pub group: String,
    /// The stream of entries that cannot be done.
    pub dead_letter_stream: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    url: String,
    stream: String,
    group: String,
    dead_letter_stream: String,
}

impl Raw {
    pub(super) fn check(self) -> Result<QueueSettings, SettingsError> {
        let url = text::optional(&self.url).map(check_url).transpose()?;
        let name = |key, value: &str| {
            let value =
                text::optional(value).ok_or(SettingsError::Missing { key, needed_for: "the queue" })?;
            Ok(value.to_owned())
        };
        Ok(QueueSettings {
            url,
            stream: name("queue.stream", &self.stream)?,
            group: name("queue.group", &self.group)?,
            dead_letter_stream: name("queue.dead_letter_stream", &self.dead_letter_stream)?,
        })
    }
}

fn check_url(text: &str) -> Result<secrecy::SecretString, SettingsError> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "redis" | "rediss") && url.has_host() => Ok(text.into()),
        _ => Err(SettingsError::Value {
            key: "queue.url",
            found: "not the address of a Redis".into(),
            expected: "redis://host:port or rediss://host:port is expected",
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::tests::load_text;

    #[test]
    fn the_url_names_a_redis_and_is_never_shown() {
        let queue = load_text("[queue]\nurl = \"rediss://me:hunter2@redis:6380/2\"").unwrap().queue;
        assert!(!format!("{queue:?}").contains("hunter2"));
        let error = load_text("[queue]\nurl = \"http://me:hunter2@redis\"").unwrap_err();
        assert!(
            error.to_string().starts_with("queue.url is not the address of a Redis: redis://"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
