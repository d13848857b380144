//! The configuration: a file, and variables of the environment.
//!
//! An input is a file in TOML. Behind a line `---`, each line `KEY=VALUE` is a variable.

use std::collections::HashMap;

use toml::{Table, Value};

use super::{assert_printable, file};
use crate::exit::Failure;
use crate::settings::{DEFAULTS, Layers, Settings};

/// What an input writes where it means a secret.
const SECRET: &str = "hunter2-hunter2";

/// The keys whose values are secrets.
const SECRET_KEYS: [&str; 8] = [
    "dingtalk.app_secret",
    "dingtalk.suite_secret",
    "dingtalk.suite_ticket",
    "dingtalk.access_token",
    "notify.robot_webhook",
    "notify.robot_secret",
    "queue.url",
    "queue.password",
];

/// The bytes as a configuration.
pub fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (toml, variables) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let environment: HashMap<String, String> =
        variables.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let hides = hides_secret(toml) && environment.iter().all(|(key, value)| is_hidden(&dotted(key), value));
    let path = file("settings.toml", toml.as_bytes());
    let shown = match Settings::load(&Layers { file: Some(path), environment, ..Layers::default() }) {
        Ok(settings) => {
            assert_in_range(&settings);
            format!("{settings:?} {:?}", settings.for_journal())
        }
        Err(error) => {
            assert_printable(&error.to_string());
            let shown = format!("{error} {error:?} {}", error.hint());
            format!("{shown} {:?}", Failure::from(error))
        }
    };
    assert!(!hides || !shown.contains(SECRET), "a secret is shown: {shown}");
}

/// Settings that are taken can pace a run: it neither stands still nor runs away.
fn assert_in_range(settings: &Settings) {
    let (pace, retry) = (&settings.pace, &settings.retry);
    assert!(pace.requests_per_second.is_finite() && pace.requests_per_second > 0.0);
    assert!(pace.min_requests_per_second > 0.0);
    assert!(pace.concurrency > 0 && retry.max_attempts > 0);
    assert!(retry.multiplier.is_finite() && retry.multiplier >= 1.0);
    assert!(!settings.dingtalk.request_timeout.is_zero() && !settings.dingtalk.connect_timeout.is_zero());
    for setting in settings.for_journal().values() {
        assert_printable(setting);
    }
}

/// Whether the file holds the secret only where it must never be shown: as the value of a secret key or of an unknown key.
fn hides_secret(toml: &str) -> bool {
    match toml.parse::<Table>() {
        Ok(table) => {
            table.iter().all(|(section, value)| !section.contains(SECRET) && is_value_hidden(section, value))
        }
        // A file that does not parse has no keys. A secret behind `=` is a value, unless it is a key again.
        Err(_) => toml.lines().all(|line| {
            let behind = line.split_once('=').map_or(line, |(_, value)| value);
            !line.contains(SECRET)
                || (line.matches(SECRET).count() == behind.matches(SECRET).count()
                    && !behind.contains(['=', '.', '{', '[']))
        }),
    }
}

fn is_value_hidden(path: &str, value: &Value) -> bool {
    match value {
        Value::Table(table) => table
            .iter()
            .all(|(key, value)| !key.contains(SECRET) && is_value_hidden(&format!("{path}.{key}"), value)),
        Value::Array(values) => values.iter().all(|value| is_value_hidden(path, value)),
        Value::String(text) => is_hidden(path, text),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => true,
    }
}

fn is_hidden(path: &str, value: &str) -> bool {
    !path.contains(SECRET) && (!value.contains(SECRET) || SECRET_KEYS.contains(&path) || !is_known(path))
}

/// A variable's key as `section.key`.
fn dotted(variable: &str) -> String {
    let lower = variable.to_lowercase();
    lower.strip_prefix("meeting_closer__").unwrap_or(&lower).replace("__", ".")
}

fn is_known(path: &str) -> bool {
    let defaults: Table = DEFAULTS.parse().expect("the defaults are TOML");
    let (section, key) = path.split_once('.').unwrap_or((path, ""));
    defaults.get(section).and_then(Value::as_table).is_some_and(|keys| keys.contains_key(key.trim()))
}
