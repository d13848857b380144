//! `[audit]`: where runs are kept, and the key of their journals.

use std::path::PathBuf;

use serde::Deserialize;

use super::error::SettingsError;
use super::text;

#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// The folder that holds one folder for each run.
    pub dir: PathBuf,
    /// The file with the key of the journal's hashes.
    pub hmac_key_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    dir: String,
    hmac_key_file: String,
}

impl RawAudit {
    pub(super) fn check(self) -> Result<AuditSettings, SettingsError> {
        let dir = text::optional_path(&self.dir)
            .ok_or(SettingsError::Missing { key: "audit.dir", needed_for: "every run" })?;
        Ok(AuditSettings { dir, hmac_key_file: text::optional_path(&self.hmac_key_file) })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::tests::load_text;

    #[test]
    fn an_audit_without_a_folder_is_refused() {
        let error = load_text("[audit]\ndir = \"\"").unwrap_err().to_string();
        assert_eq!(error, "audit.dir is not set, but every run needs it");
    }
}
