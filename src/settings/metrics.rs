//! `[metrics]`: where metrics are served or written.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::error::SettingsError;
use super::text;

#[derive(Debug, Clone)]
pub struct MetricsSettings {
    /// The address at which the worker serves its metrics.
    pub listen: Option<SocketAddr>,
    /// The Prometheus textfile that `close` writes at the end of a run.
    pub textfile: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetrics {
    listen: String,
    textfile: String,
}

impl RawMetrics {
    pub(super) fn check(self) -> Result<MetricsSettings, SettingsError> {
        let listen =
            text::optional(&self.listen).map(str::parse).transpose().map_err(|_| SettingsError::Value {
                key: "metrics.listen",
                found: format!("{:?}", self.listen),
                expected: "expected an address and port such as \"127.0.0.1:9464\"",
            })?;
        Ok(MetricsSettings { listen, textfile: text::optional_path(&self.textfile) })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::tests::load_text;

    #[test]
    fn an_address_without_a_port_is_refused() {
        let error = load_text("[metrics]\nlisten = \"localhost\"").unwrap_err().to_string();
        assert!(
            error.starts_with("metrics.listen is \"localhost\": expected an address and port"),
            "{error}"
        );
    }
}
