//! `[input]`: the names of a list's two id columns.

use serde::Deserialize;

use super::text;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputSettings {
    /// The conference id column's name; it replaces the known names.
    pub conference_id_column: Option<String>,
    /// The union id column's name; it replaces the known names.
    pub union_id_column: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    conference_id_column: String,
    union_id_column: String,
}

impl RawInput {
    pub(super) fn check(self) -> InputSettings {
        InputSettings {
            conference_id_column: text::optional(&self.conference_id_column).map(str::to_owned),
            union_id_column: text::optional(&self.union_id_column).map(str::to_owned),
        }
    }
}
