//! Lays the layers over each other, and checks the result.
//!
//! Invariant: no error shows a value, because a value under a wrong key can be a secret.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, File, FileFormat, Value};
use serde::Deserialize;

use super::audit::AuditSettings;
use super::dingtalk::DingTalkSettings;
use super::error::{SettingsError, VARIABLE_PREFIX};
use super::guard::GuardSettings;
use super::input::InputSettings;
use super::metrics::MetricsSettings;
use super::notify::NotifySettings;
use super::pace::PaceSettings;
use super::queue::QueueSettings;
use super::retry::RetrySettings;
use super::{audit, dingtalk, guard, input, metrics, notify, pace, queue, retry, text};
use crate::wording::printable;

/// Every key with its default and a comment.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The whole configuration. Every value in it is valid.
#[derive(Debug, Clone)]
pub struct Settings {
    /// DingTalk's address, and the credentials.
    pub dingtalk: DingTalkSettings,
    /// The rate and concurrency of requests.
    pub pace: PaceSettings,
    /// How many retries there are, and the waits between them.
    pub retry: RetrySettings,
    /// The names of the lists' columns.
    pub input: InputSettings,
    /// The folder of the runs.
    pub audit: AuditSettings,
    /// The limits of a run.
    pub guard: GuardSettings,
    /// The queue's address and names.
    pub queue: QueueSettings,
    /// The robot that reports the end of a run.
    pub notify: NotifySettings,
    /// Where metrics are served or written.
    pub metrics: MetricsSettings,
}

/// The layers above the defaults.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// The variables of the environment.
    pub environment: HashMap<String, String>,
    /// The command's options: `section.key` and value.
    pub options: Vec<(&'static str, Value)>,
    /// The folder of `--audit-dir`, in place of `audit.dir`. It stands apart because a path need not be text.
    pub audit_dir: Option<PathBuf>,
}

/// Those variables of the environment that are ours. A value that is not UTF-8 is an error that names its variable alone.
pub(crate) fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<HashMap<String, String>, SettingsError> {
    let is_ours = |name: &OsString| {
        let prefix = format!("{VARIABLE_PREFIX}__");
        let start = name.as_encoded_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let text = |(name, value): (OsString, OsString)| match (name.into_string(), value.into_string()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        (Ok(variable), Err(_)) => Err(SettingsError::NotUtf8 { variable }),
        (Err(name), _) => Err(SettingsError::NotUtf8 { variable: name.to_string_lossy().into_owned() }),
    };
    variables.filter(|(name, _)| is_ours(name)).map(text).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    dingtalk: dingtalk::RawDingTalk,
    pace: pace::RawPace,
    retry: retry::RawRetry,
    input: input::RawInput,
    audit: audit::RawAudit,
    guard: guard::RawGuard,
    queue: queue::RawQueue,
    notify: notify::RawNotify,
    metrics: metrics::RawMetrics,
}

impl Settings {
    /// Lays the layers over each other and checks the result.
    pub fn load(layers: &Layers) -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = &layers.file {
            builder = builder.add_source(File::from_str(&read_toml(path)?, FileFormat::Toml));
        }
        builder = builder.add_source(
            Environment::with_prefix(VARIABLE_PREFIX)
                .prefix_separator("__")
                .separator("__")
                .source(Some(layers.environment.clone().into_iter().collect())),
        );
        for (key, value) in &layers.options {
            builder = builder.set_override(*key, value.clone()).map_err(|error| key_error(&error))?;
        }
        let raw: RawSettings =
            builder.build().and_then(Config::try_deserialize).map_err(|error| key_error(&error))?;
        let mut audit = raw.audit.check()?;
        if let Some(dir) = &layers.audit_dir {
            audit.dir.clone_from(dir);
        }
        Ok(Self {
            dingtalk: raw.dingtalk.check()?,
            pace: raw.pace.check()?,
            retry: raw.retry.check()?,
            input: raw.input.check(),
            audit,
            guard: raw.guard.check()?,
            queue: raw.queue.check()?,
            notify: raw.notify.check()?,
            metrics: raw.metrics.check()?,
        })
    }

    /// The settings that affect a run, as text for its journal. They contain no secret.
    pub fn for_journal(&self) -> BTreeMap<String, String> {
        let (dingtalk, pace, retry) = (&self.dingtalk, &self.pace, &self.retry);
        let entries = [
            ("dingtalk.base_url", dingtalk.base_url.to_string()),
            ("dingtalk.auth", dingtalk.auth_name().to_owned()),
            ("dingtalk.request_timeout", text::human(dingtalk.request_timeout)),
            ("pace.requests_per_second", pace.requests_per_second.to_string()),
            ("pace.burst", pace.burst.to_string()),
            ("pace.concurrency", pace.concurrency.to_string()),
            ("pace.adaptive", pace.adaptive.to_string()),
            ("pace.ban_pause", text::human(pace.ban_pause)),
            ("retry.max_attempts", retry.max_attempts.to_string()),
            ("retry.initial_interval", text::human(retry.initial_interval)),
            ("retry.multiplier", retry.multiplier.to_string()),
            ("retry.max_interval", text::human(retry.max_interval)),
            ("retry.budget", retry.budget.to_string()),
        ];
        entries.map(|(key, value)| (key.to_owned(), value)).into()
    }
}

/// Reads a TOML file and checks that it parses. The error names the line, and leaves out the parser's excerpt of it.
fn read_toml(path: &Path) -> Result<String, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
    match text.parse::<toml::Table>() {
        Ok(_) => Ok(text),
        Err(error) => {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            Err(SettingsError::Syntax {
                path: path.to_owned(),
                line: text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1,
                problem: error.message().to_owned(),
            })
        }
    }
}

/// The `config` crate's error without values.
fn key_error(error: &ConfigError) -> SettingsError {
    let sentence = match error {
        ConfigError::Type { expected, key, origin, .. } => {
            let key = key.as_deref().unwrap_or("a value");
            format!("{key} has the wrong type: expected {expected}{}", from(origin.as_deref()))
        }
        ConfigError::At { error, origin, key } => {
            let key = key.as_deref().map(|key| format!("{key}: ")).unwrap_or_default();
            format!("{key}{}{}", without_value(&error.to_string()), from(origin.as_deref()))
        }
        ConfigError::NotFound(key) => format!("{key} is missing"),
        other => without_value(&other.to_string()),
    };
    SettingsError::Key(format!("the configuration is invalid: {}", printable(&sentence)))
}

/// serde's text without the value, which it quotes: `invalid type: string "…", expected struct RawPace`.
fn without_value(text: &str) -> String {
    match text.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            let expected = if expected.starts_with("struct Raw") { "a section with keys" } else { expected };
            format!("it has the wrong type: expected {expected}")
        }
        Some(_) | None => text.to_owned(),
    }
}

fn from(origin: Option<&str>) -> String {
    origin.map(|origin| format!(" (from {origin})")).unwrap_or_default()
}
