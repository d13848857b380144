//! A secret that can be used but not printed.
//!
//! Invariant: only [`Secret::read`] with `ExposeSecret` gives the value. `Debug` shows neither the value nor its
//! length.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::error::SettingsError;
use super::text;

/// Editors on Windows write it before the text. It is no part of the secret.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A secret: its value, or a file that holds the value.
#[derive(Debug, Clone)]
pub struct Secret {
    key: &'static str,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Value(SecretString),
    File(PathBuf),
}

impl Secret {
    /// A secret with this value, for the stand-in and for tests.
    pub fn value(key: &'static str, value: &str) -> Self {
        Self { key, place: Place::Value(value.into()) }
    }

    /// Takes the values of `key` and `key_file`. At most one may be set.
    pub(super) fn from_twins(
        key: &'static str,
        value: SecretString,
        file: &str,
    ) -> Result<Option<Self>, SettingsError> {
        match (value.expose_secret().is_empty(), text::optional_path(file)) {
            (true, None) => Ok(None),
            (false, None) => Ok(Some(Self { key, place: Place::Value(value) })),
            (true, Some(path)) => Ok(Some(Self { key, place: Place::File(path) })),
            (false, Some(_)) => Err(SettingsError::Twins { key }),
        }
    }

    /// The current value. A file is read at each call, without a byte order mark and its final line break.
    pub fn read(&self) -> Result<SecretString, SettingsError> {
        let path = match &self.place {
            Place::Value(value) => return Ok(value.clone()),
            Place::File(path) => path,
        };
        let wrong =
            |problem: String| SettingsError::SecretFile { key: self.key, path: path.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        match text.trim_start_matches(BYTE_ORDER_MARK).trim() {
            "" => Err(wrong("the file is empty".into())),
            value => Ok(value.into()),
        }
    }

    /// Whether a later read can give another value.
    pub fn can_change(&self) -> bool {
        matches!(self.place, Place::File(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twins(value: &str, file: &str) -> Result<Option<Secret>, SettingsError> {
        Secret::from_twins("dingtalk.app_secret", value.into(), file)
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = twins("hunter2", "").unwrap().unwrap();
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(secret.read().unwrap().expose_secret(), "hunter2");
    }

    #[test]
    fn a_file_is_read_at_each_call_without_its_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = twins("", file.path().to_str().unwrap()).unwrap().unwrap();
        for value in ["one", "two"] {
            std::fs::write(file.path(), format!("{value}\n")).unwrap();
            assert_eq!(secret.read().unwrap().expose_secret(), value);
        }
        for empty in ["\n", "\u{feff}\r\n", ""] {
            std::fs::write(file.path(), empty).unwrap();
            assert!(secret.read().unwrap_err().to_string().ends_with("the file is empty"), "{empty:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_line_breaks_are_no_part_of_a_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = twins("", file.path().to_str().unwrap()).unwrap().unwrap();
        for text in ["\u{feff}hunter2\r\n", "\u{feff}hunter2", "hunter2\r", "hunter2\r\n\r\n"] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(secret.read().unwrap().expose_secret(), "hunter2", "{text:?}");
        }
    }

    #[test]
    fn a_secret_and_its_file_must_not_both_be_set() {
        let error = twins("hunter2", "/run/secret").unwrap_err().to_string();
        assert_eq!(error, "dingtalk.app_secret and dingtalk.app_secret_file are both set");
    }

    #[test]
    fn a_missing_file_is_named_with_its_key() {
        let error = twins("", "/nowhere/secret").unwrap().unwrap().read().unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read /nowhere/secret, which dingtalk.app_secret_file names: "),
            "{error}"
        );
    }
}
