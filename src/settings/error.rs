//! Why a configuration is refused.
//!
//! Invariant: no error shows the value of a secret.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::exit::{ExitCode, Failure};

/// The environment variable that names a configuration file.
pub(crate) const FILE_VARIABLE: &str = "MEETING_CLOSER_CONFIG";

/// Variables `MEETING_CLOSER__SECTION__KEY` set a key.
pub(super) const VARIABLE_PREFIX: &str = "MEETING_CLOSER";

/// The key of the limit that an option sets, too.
pub(super) const MAX_MEETINGS: &str = "guard.max_meetings";

/// The key of the address that can hold a password.
pub(super) const QUEUE_URL: &str = "queue.url";

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum SettingsError {
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The line itself is not shown, because it can hold a secret.
    #[error("cannot read the configuration file {}: line {line} is not valid TOML: {problem}", path.display())]
    Syntax {
        path: PathBuf,
        /// From 1.
        line: usize,
        problem: String,
    },
    /// A key that does not exist, or a value of the wrong type.
    #[error("{0}")]
    Key(String),
    #[error("{key} is {found}: {expected}")]
    Value {
        /// `section.key`.
        key: &'static str,
        /// The value, in quotes if it is text.
        found: String,
        /// Starts with "expected", in most errors.
        expected: &'static str,
    },
    /// The variable's value is not shown, because it can be a secret.
    #[error("the environment variable {variable} is not valid UTF-8")]
    NotUtf8 { variable: String },
    /// A required key is empty.
    #[error("{key} is not set, but {needed_for} needs it")]
    Missing {
        /// `section.key`.
        key: &'static str,
        /// The command or the setting that needs the key.
        needed_for: &'static str,
    },
    /// A key and its twin, which names a file, are both set.
    #[error("{key} and {key}_file are both set")]
    Twins {
        /// `section.key`.
        key: &'static str,
    },
    /// The file of a secret cannot be used.
    #[error("cannot read {path}, which {key}_file names: {problem}", path = path.display())]
    SecretFile {
        /// `section.key`, without `_file`.
        key: &'static str,
        path: PathBuf,
        problem: String,
    },
}

impl SettingsError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => format!("name a readable file with --config or {FILE_VARIABLE}"),
            Self::Syntax { .. } => {
                "write values in TOML: text in double quotes, numbers without quotes".into()
            }
            Self::Value { key: MAX_MEETINGS, .. } => {
                "for no limit, leave out --max-meetings, and leave out guard.max_meetings or set it to \"\""
                    .into()
            }
            Self::Value { key: QUEUE_URL, .. } => {
                "keep the password in a file that queue.password_file names; in \
                 the address, write a % of it as %25"
                    .into()
            }
            Self::NotUtf8 { .. } => {
                "write the value in UTF-8, or keep a secret in a file and set the variable that ends in _FILE"
                    .into()
            }
            Self::Key(_) | Self::Value { .. } => {
                "config/default.toml lists and explains every key; the environment uses the same names \
                 (MEETING_CLOSER__SECTION__KEY)"
                    .into()
            }
            Self::Missing { key, .. } => {
                let variable = variable(key);
                format!("set {key} in the configuration file, or {variable} in the environment")
            }
            Self::Twins { key } => format!("keep {key}_file and remove {key}"),
            Self::SecretFile { key, .. } => {
                format!("{key}_file must name a readable file that holds only the secret")
            }
        }
    }
}

/// The environment variable that sets `section.key`.
fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}__{}", key.replace('.', "__").to_uppercase())
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(ExitCode::Usage, &error).hint(error.hint())
    }
}
