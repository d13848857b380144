//! Parses text values of the configuration: durations, choices, and "" for "not set".

use std::path::PathBuf;
use std::time::Duration;

use jiff::fmt::friendly::{Designator, SpanParser, SpanPrinter};

use super::error::SettingsError;

/// A duration as people write it: `500ms`, `10s`, `1h30m`. Zero is an error.
pub(super) fn duration(key: &'static str, text: &str) -> Result<Duration, SettingsError> {
    match SpanParser::new().parse_unsigned_duration(text.trim()) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(SettingsError::Value {
            key,
            found: format!("{text:?}"),
            expected: "expected a duration such as \"500ms\", \"10s\" or \"1h30m\"",
        }),
    }
}

/// A duration as people write it.
pub(super) fn human(duration: Duration) -> String {
    SpanPrinter::new().designator(Designator::Compact).unsigned_duration_to_string(&duration)
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    key: &'static str,
    text: &str,
    words: &[(&'static str, T)],
    expected: &'static str,
) -> Result<T, SettingsError> {
    let found = words.iter().find(|(word, _)| *word == text.trim());
    found.map(|(_, choice)| *choice).ok_or_else(|| SettingsError::Value {
        key,
        found: format!("{text:?}"),
        expected,
    })
}

/// `None` if the text is empty.
pub(super) fn optional_path(text: &str) -> Option<PathBuf> {
    optional(text).map(PathBuf::from)
}

/// `None` if the text is empty.
pub(super) fn optional(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_people_write_them() {
        let parse = |text| duration("pace.ban_pause", text).ok();
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("5 minutes"), Some(Duration::from_secs(300)));
    }

    #[test]
    fn an_invalid_duration_is_an_error_with_key_and_value() {
        for wrong in ["", "5", "5x", "-5s", "0s"] {
            let error = duration("pace.ban_pause", wrong).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("pace.ban_pause is {wrong:?}: expected a duration such as")),
                "{error}"
            );
        }
    }
}
