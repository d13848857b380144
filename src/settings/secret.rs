//! A secret that can be used and not printed.
//!
//! Invariant: the value leaves only by [`Secret::read`] and `ExposeSecret`; `Debug` shows neither value nor length.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::SettingsError;

/// A secret as the configuration gives it: the value, or a file that holds it.
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
    /// A secret given in place, for the stand-in and for tests.
    pub fn value(key: &'static str, value: &str) -> Self {
        Self { key, place: Place::Value(value.into()) }
    }

    /// Takes `key` and `key_file`, of which one at most may be set.
    pub(super) fn from_twins(
        key: &'static str,
        value: SecretString,
        file: &str,
    ) -> Result<Option<Self>, SettingsError> {
        match (value.expose_secret().is_empty(), super::text::optional_path(file)) {
            (true, None) => Ok(None),
            (false, None) => Ok(Some(Self { key, place: Place::Value(value) })),
            (true, Some(path)) => Ok(Some(Self { key, place: Place::File(path) })),
            (false, Some(_)) => Err(SettingsError::Twins { key }),
        }
    }

    /// The secret's value as of now: a file is read at each call, its final line break left out.
    pub fn read(&self) -> Result<SecretString, SettingsError> {
        let path = match &self.place {
            Place::Value(value) => return Ok(value.clone()),
            Place::File(path) => path,
        };
        let wrong =
            |problem: String| SettingsError::SecretFile { key: self.key, path: path.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        match text.trim() {
            "" => Err(wrong("it is empty".into())),
            value => Ok(value.into()),
        }
    }

    /// Whether a second look can find another value.
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
        std::fs::write(file.path(), "\n").unwrap();
        assert!(secret.read().unwrap_err().to_string().ends_with("it is empty"));
    }

    #[test]
    fn both_twins_are_an_error_that_names_them() {
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
