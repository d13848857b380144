//! Cleans a cell: people and spreadsheets add characters around an id.
//!
//! Invariant: only characters around the id are removed, never characters within it.

/// The id in a cell. It removes white space of any width around the id. It also removes what people add so that a
/// spreadsheet does not take an id for a number: a leading tab or apostrophe, or `="…"`.
pub(super) fn clean(cell: &str) -> &str {
    let cell = cell.trim_matches(is_blank);
    let cell = cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(cell);
    cell.strip_prefix('\'').unwrap_or(cell).trim_matches(is_blank)
}

/// White space, and the characters without width.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_characters_around_an_id_are_removed() {
        for cell in [
            "id",
            "  id ",
            "\tid",
            "'id",
            " 'id ",
            "\u{3000}id\u{a0}",
            "\u{feff}id\u{200b}",
            "=\"id\"",
            "=\"'id\"",
            "\u{2003}\u{202f}id\r\n",
        ] {
            assert_eq!(clean(cell), "id", "{cell:?}");
        }
    }

    #[test]
    fn the_characters_within_an_id_stay() {
        for cell in ["i'd", "a b", "=1", "''"] {
            let expected = if cell == "''" { "'" } else { cell };
            assert_eq!(clean(cell), expected);
        }
    }
}
