//! The configuration: layers in, a checked [`Settings`] out.
//!
//! Lowest to highest: `config/default.toml` (built in), a file, `MEETING_CLOSER__SECTION__KEY` in the environment, the
//! command's options. Invariant: a [`Settings`] that exists is right, and no error about one shows a secret.

mod audit;
mod dingtalk;
mod guard;
mod input;
mod metrics;
mod notify;
mod pace;
mod queue;
mod retry;
mod secret;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, File, FileFormat, Value};
use serde::Deserialize;
use thiserror::Error;

use crate::exit::{ExitCode, Failure};

pub(crate) use audit::AuditSettings;
pub(crate) use dingtalk::{Auth, BaseUrl, DingTalkSettings};
pub(crate) use guard::GuardSettings;
pub(crate) use input::InputSettings;
pub(crate) use metrics::MetricsSettings;
pub(crate) use notify::{NotifySettings, RobotAccess};
pub use pace::PaceSettings;
pub(crate) use queue::QueueSettings;
pub(crate) use retry::RetrySettings;
pub(crate) use secret::Secret;

/// Every key with its default and its explanation.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The environment variable that names a configuration file.
pub(crate) const FILE_VARIABLE: &str = "MEETING_CLOSER_CONFIG";

const VARIABLE_PREFIX: &str = "MEETING_CLOSER";

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where and as whom DingTalk is asked.
    pub dingtalk: DingTalkSettings,
    /// How fast.
    pub pace: PaceSettings,
    /// How often again.
    pub retry: RetrySettings,
    /// How lists are read.
    pub input: InputSettings,
    /// Where runs are kept.
    pub audit: AuditSettings,
    /// What a run may not exceed.
    pub guard: GuardSettings,
    /// The queue's place and names.
    pub queue: QueueSettings,
    /// Who is told how a run ended.
    pub notify: NotifySettings,
    /// Where figures are served.
    pub metrics: MetricsSettings,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The configuration file is not TOML. The line itself is not shown: it may hold a secret.
    #[error("the configuration file {}, line {line}, is not TOML: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's reason.
        problem: String,
    },
    /// A key that does not exist, or a value of another type.
    #[error("{0}")]
    Key(String),
    /// A value that cannot be used.
    #[error("{key} is {found}: {expected}")]
    Value {
        /// `section.key`.
        key: &'static str,
        /// What it is.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A key that has to be set is empty.
    #[error("{key} is not set, and {needed_for} needs it")]
    Missing {
        /// `section.key`.
        key: &'static str,
        /// What asked for it.
        needed_for: &'static str,
    },
    /// A key and the key that names a file for it.
    #[error("{key} and {key}_file are both set")]
    Twins {
        /// `section.key`.
        key: &'static str,
    },
    /// A file that holds a secret cannot be read.
    #[error("cannot read {path}, which {key}_file names: {problem}", path = path.display())]
    SecretFile {
        /// `section.key`, without `_file`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        problem: String,
    },
}

impl SettingsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some(format!("name a file that can be read with --config or {FILE_VARIABLE}")),
            Self::Syntax { .. } => Some("values are written in TOML: text in double quotes, numbers without".into()),
            Self::Key(_) | Self::Value { .. } => {
                Some("config/default.toml lists every key with what it means; --config and the environment use the same names".into())
            }
            Self::Missing { key, .. } => Some(format!("set {key} in the configuration file, or {} in the environment", variable(key))),
            Self::Twins { key } => Some(format!("keep {key}_file and remove {key}")),
            Self::SecretFile { key, .. } => Some(format!("{key}_file names a file that can be read and holds the secret alone")),
        }
    }
}

/// The environment variable that sets `section.key`.
fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}__{}", key.replace('.', "__").to_uppercase())
}

/// The layers above the defaults.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The configuration file, if one is named.
    pub file: Option<PathBuf>,
    /// The environment's variables.
    pub environment: HashMap<String, String>,
    /// The command's options: `section.key` and value.
    pub options: Vec<(&'static str, Value)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    dingtalk: dingtalk::Raw,
    pace: pace::Raw,
    retry: retry::Raw,
    input: input::Raw,
    audit: audit::Raw,
    guard: guard::Raw,
    queue: queue::Raw,
    notify: notify::Raw,
    metrics: metrics::Raw,
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
        let raw: Raw =
            builder.build().and_then(Config::try_deserialize).map_err(|error| key_error(&error))?;
        Ok(Self {
            dingtalk: raw.dingtalk.check()?,
            pace: raw.pace.check()?,
            retry: raw.retry.check()?,
            input: raw.input.check(),
            audit: raw.audit.check()?,
            guard: raw.guard.check()?,
            queue: raw.queue.check()?,
            notify: raw.notify.check()?,
            metrics: raw.metrics.check()?,
        })
    }
}

impl Settings {
    /// The settings that shape a run, as text, for its journal. No secret is among them.
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

/// Reads a TOML file and proves that it parses, so that a syntax error can be told without the parser's excerpt.
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

/// The `config` crate's error, without values: a value under a wrong key may be a secret.
fn key_error(error: &ConfigError) -> SettingsError {
    let sentence = match error {
        ConfigError::Type { expected, key, origin, .. } => {
            let key = key.as_deref().unwrap_or("a value");
            format!("{key} has the wrong type: {expected} is expected{}", from(origin.as_deref()))
        }
        ConfigError::At { error, origin, key } => {
            let key = key.as_deref().map(|key| format!("{key}: ")).unwrap_or_default();
            format!("{key}{error}{}", from(origin.as_deref()))
        }
        ConfigError::NotFound(key) => format!("{key} is missing"),
        other => other.to_string(),
    };
    SettingsError::Key(format!("the configuration is wrong: {sentence}"))
}

fn from(origin: Option<&str>) -> String {
    origin.map(|origin| format!(" (from {origin})")).unwrap_or_default()
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Settings of `file`'s text over the defaults.
    pub(crate) fn load_text(text: &str) -> Result<Settings, SettingsError> {
        load(text, &[])
    }

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, text).unwrap();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::load(&Layers { file: Some(file), environment, options: vec![] })
    }

    #[test]
    fn the_defaults_are_valid() {
        let settings = Settings::load(&Layers::default()).unwrap();
        assert!((settings.pace.requests_per_second - 18.0).abs() < f64::EPSILON);
    }

    #[test]
    fn options_stand_above_the_environment_above_the_file_above_the_defaults() {
        let file = "[pace]\nburst = 2\nconcurrency = 3\nrequests_per_second = 4";
        let environment = [
            ("MEETING_CLOSER__PACE__CONCURRENCY", "5"),
            ("MEETING_CLOSER__PACE__REQUESTS_PER_SECOND", "6.5"),
        ];
        let settings = load(file, &environment).unwrap();
        assert_eq!((settings.pace.burst.get(), settings.pace.concurrency), (2, 5));
        let layers = Layers {
            environment: environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            options: vec![("pace.requests_per_second", 7.0.into())],
            file: None,
        };
        assert!((Settings::load(&layers).unwrap().pace.requests_per_second - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (file, environment) in [("[pace]\nrqs = 1", None), ("", Some(("MEETING_CLOSER__PACE__RQS", "1")))]
        {
            let error = load(file, environment.as_slice()).unwrap_err().to_string();
            assert!(error.contains("pace") && error.contains("rqs"), "{error}");
        }
        assert!(load_text("[speed]\na = 1").unwrap_err().to_string().contains("speed"));
    }

    #[test]
    fn a_value_of_another_type_is_told_with_its_key_and_without_the_value() {
        let error = load_text("[pace]\nconcurrency = \"SECRET\"").unwrap_err().to_string();
        assert!(error.contains("pace.concurrency") && !error.contains("SECRET"), "{error}");
        let error = load_text("[dingtalk.app_secret]\nvalue = \"SECRET\"").unwrap_err().to_string();
        assert!(error.contains("app_secret") && !error.contains("SECRET"), "{error}");
    }

    #[test]
    fn a_line_that_is_not_toml_is_named_and_not_shown() {
        let error = load_text("[dingtalk]\napp_secret = \"SECRET\nauth = \"x\"").unwrap_err();
        assert!(matches!(error, SettingsError::Syntax { line: 2, .. }), "{error}");
        assert!(!format!("{error}{error:?}").contains("SECRET"), "{error}");
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let layers = Layers { file: Some("/nowhere/x.toml".into()), ..Layers::default() };
        let error = Settings::load(&layers).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the configuration file /nowhere/x.toml"));
        assert!(error.hint().unwrap().contains("--config"));
    }
}
