//! `[queue]`: the address and names of the queue, and how its workers behave.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;

use super::error::{QUEUE_URL, SettingsError};
use super::secret::Secret;
use super::text;

/// With a shorter time, a worker that only waits for its Redis would count as gone.
const MIN_CLAIM_AFTER: Duration = Duration::from_secs(1);

/// The longest journal of a worker, in MiB.
const MAX_ROTATE_MIB: u64 = 1 << 16;

#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// The address of the Redis, `redis://` or `rediss://`. It is a secret, because it can hold a password.
    pub url: Option<SecretString>,
    /// The password, if the address does not hold it.
    pub password: Option<Secret>,
    /// The stream of requests.
    pub stream: String,
    /// The consumer group.
    pub group: String,
    /// The stream of dead letters: entries that failed for good.
    pub dead_letter_stream: String,
    /// If a worker does not renew the lease of an entry for this long, another worker takes the entry over. At least a
    /// second.
    pub claim_after: Duration,
    /// A worker starts a new run when its journal has this many bytes.
    pub rotate_bytes: u64,
}

impl QueueSettings {
    /// The address of the Redis; an error if it is not set. `needed_for` is the command that needs it.
    pub fn needed_url(&self, needed_for: &'static str) -> Result<&SecretString, SettingsError> {
        self.url.as_ref().ok_or(SettingsError::Missing { key: QUEUE_URL, needed_for })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQueue {
    url: String,
    password: SecretString,
    password_file: String,
    stream: String,
    group: String,
    dead_letter_stream: String,
    claim_after: String,
    rotate_mib: i64,
}

impl RawQueue {
    pub(super) fn check(self) -> Result<QueueSettings, SettingsError> {
        let url = text::optional(&self.url).map(check_url).transpose()?;
        let name = |key, value: &str| {
            let value =
                text::optional(value).ok_or(SettingsError::Missing { key, needed_for: "the queue" })?;
            Ok(value.to_owned())
        };
        let claim_after = text::duration("queue.claim_after", &self.claim_after)?;
        if claim_after < MIN_CLAIM_AFTER {
            return Err(SettingsError::Value {
                key: "queue.claim_after",
                found: format!("{:?}", self.claim_after),
                expected: "expected a second or more",
            });
        }
        let rotate_mib = u64::try_from(self.rotate_mib).ok().filter(|mib| (1..=MAX_ROTATE_MIB).contains(mib));
        let rotate_mib = rotate_mib.ok_or_else(|| SettingsError::Value {
            key: "queue.rotate_mib",
            found: self.rotate_mib.to_string(),
            expected: "expected a whole number from 1 to 65536",
        })?;
        Ok(QueueSettings {
            url,
            password: Secret::from_twins("queue.password", self.password, &self.password_file)?,
            stream: name("queue.stream", &self.stream)?,
            group: name("queue.group", &self.group)?,
            dead_letter_stream: name("queue.dead_letter_stream", &self.dead_letter_stream)?,
            claim_after,
            rotate_bytes: rotate_mib << 20,
        })
    }
}

/// The address as a URL parser takes it. An error does not show it, because it can hold a password.
fn check_url(text: &str) -> Result<SecretString, SettingsError> {
    let encoded = encode_credentials(text);
    let path = |url: &Url| url.path().trim_start_matches('/').to_owned();
    match Url::parse(&encoded) {
        Ok(url)
            if matches!(url.scheme(), "redis" | "rediss")
                && url.host_str().is_some_and(|host| !host.is_empty())
                && url.fragment().is_none()
                && path(&url).bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(encoded.into())
        }
        _ => Err(SettingsError::Value {
            key: QUEUE_URL,
            found: "not the address of a Redis".into(),
            expected: "expected redis://user:password@host:port/database, or rediss:// for TLS",
        }),
    }
}

/// Encodes the characters of user and password that would end them: people write a password as it is. The last `@` ends
/// the password, the first `:` the user. What is encoded already (`%40`) stays.
fn encode_credentials(text: &str) -> String {
    let parts = text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)));
    let Some((scheme, (credentials, place))) = parts else { return text.to_owned() };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let colon = if credentials.contains(':') { ":" } else { "" };
    format!("{scheme}://{}{colon}{}@{place}", encoded(user), encoded(password))
}

fn encoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut encoded = utf8_percent_encode(parts.next().unwrap_or_default(), NON_ALPHANUMERIC).to_string();
    for part in parts {
        let is_code = part.get(..2).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        encoded.push_str(if is_code { "%" } else { "%25" });
        encoded.extend(utf8_percent_encode(part, NON_ALPHANUMERIC));
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::load_text;

    #[test]
    fn the_url_names_a_redis_and_is_never_shown() {
        let queue = load_text("[queue]\nurl = \"rediss://me:hunter2@redis:6380/2\"").unwrap().queue;
        assert!(!format!("{queue:?}").contains("hunter2"));
        let error = load_text("[queue]\nurl = \"http://me:hunter2@redis\"").unwrap_err();
        assert!(
            error.to_string().starts_with("queue.url is not the address of a Redis: expected redis://"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_password_may_be_written_as_it_is_or_encoded() {
        for (text, expected) in [
            ("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
            ("redis://:a#b@/c%?d:e@127.0.0.1:1/", "redis://:a%23b%40%2Fc%25%3Fd%3Ae@127.0.0.1:1/"),
            ("redis://me:12#34@host", "redis://me:12%2334@host"),
            ("rediss://m\u{e9}:x y%40z%4@host:1", "rediss://m%C3%A9:x%20y%40z%254@host:1"),
            ("redis://me@host:1", "redis://me@host:1"),
            ("redis://[::1]:1?protocol=resp3", "redis://[::1]:1?protocol=resp3"),
        ] {
            assert_eq!(encode_credentials(text), expected);
            assert!(check_url(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_address_of_which_a_part_would_be_dropped_is_refused_and_not_shown() {
        for text in [
            "redis://hunter2#x",
            "redis://host:1/hunter2",
            "redis://host:hunter2",
            "redis://me:hunter2@",
            "redis://me:hunter2@host:99999",
            "redis://",
            "host:6379",
        ] {
            let error = check_url(text).unwrap_err();
            assert!(!format!("{error}{error:?}{}", error.hint()).contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_password_is_set_in_one_place_only_and_is_never_shown() {
        let queue = load_text("[queue]\npassword = \"hunter2\"").unwrap().queue;
        assert!(!format!("{queue:?}").contains("hunter2"));
        let error = load_text("[queue]\npassword = \"hunter2\"\npassword_file = \"p\"").unwrap_err();
        assert_eq!(error.to_string(), "queue.password and queue.password_file are both set");
    }

    #[test]
    fn times_and_sizes_out_of_range_are_refused_with_key_and_value() {
        for (line, key) in [
            ("claim_after = \"10ms\"", "queue.claim_after is \"10ms\": expected a second or more"),
            ("rotate_mib = 0", "queue.rotate_mib is 0:"),
            ("rotate_mib = 100000", "queue.rotate_mib is 100000:"),
        ] {
            let error = load_text(&format!("[queue]\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
