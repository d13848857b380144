//! `[audit]`: where runs are kept.

use std::path::PathBuf;

use serde::Deserialize;

use super::{SettingsError, text};

/// `[audit]`, checked.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// The folder that holds a folder for each run.
    pub dir: PathBuf,
    /// The key of the journal's hashes.
    pub hmac_key_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    dir: String,
    hmac_key_file: String,
}

impl Raw {
    pub(super) fn check(self) -> Result<AuditSettings, SettingsError> {
        let dir = text::optional_path(&self.dir)
            .ok_or(SettingsError::Missing { key: "audit.dir", needed_for: "the audit" })?;
        Ok(AuditSettings { dir, hmac_key_file: text::optional_path(&self.hmac_key_file) })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::tests::load_text;

    #[test]
    fn an_audit_has_a_folder() {
        let error = load_text("[audit]\ndir = \"\"").unwrap_err().to_string();
        assert_eq!(error, "audit.dir is not set, and the audit needs it");
    }
}
