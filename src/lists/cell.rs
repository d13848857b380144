//! A cell as people and spreadsheets leave it, and the id in it.

/// The id in a cell: without white space of any width, without the tricks by which spreadsheets are kept from taking an
/// id for a number (a leading tab or apostrophe, `="…"`).
pub(super) fn clean(cell: &str) -> &str {
    let cell = cell.trim_matches(is_blank);
    let cell = cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(cell);
    cell.strip_prefix('\'').unwrap_or(cell).trim_matches(is_blank)
}

/// White space, and the characters that take no room at all.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_among_what_surrounds_it() {
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
    fn what_belongs_to_an_id_stays() {
        for cell in ["i'd", "a b", "=1", "''"] {
            let expected = if cell == "''" { "'" } else { cell };
            assert_eq!(clean(cell), expected);
        }
    }
}
