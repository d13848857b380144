//! Finds a second conference id on the line of an exclusion.
//!
//! Invariant: a line names exactly one exclusion. Otherwise a meeting that somebody wanted to keep would be closed.

use crate::meeting::InvalidRow;

/// DingTalk's conference ids have 24 hex digits. Other columns have no text of so many hex digits.
const MIN_HEX_DIGITS: usize = 20;

/// The error about a line with more than one conference id. `id` is the cell of the conference id column, and `cells` are all
/// cells of the line.
pub(super) fn second_id<'a>(id: &str, cells: impl Iterator<Item = &'a str>) -> Option<InvalidRow> {
    let within = || ids_in(id).filter(|other| *other != id).last();
    let other = cells.flat_map(ids_in).find(|other| !id.contains(other)).or_else(within)?;
    Some(InvalidRow {
        reason: format!("the line names more than one conference id: {id:?} and {other:?}"),
        hint: Some("give each id a line of its own"),
    })
}

/// The ids in a cell that holds ids only.
fn ids_in(cell: &str) -> impl Iterator<Item = &str> {
    let parts = || cell.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    let is_id = |part: &str| part.len() >= MIN_HEX_DIGITS && part.bytes().all(|b| b.is_ascii_hexdigit());
    let holds_ids_only = parts().all(is_id);
    parts().filter(move |_| holds_ids_only)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "607452e01401526ee39609e1";
    const B: &str = "61a0bb3c9d2e4f5a6b7c8d9e";

    #[test]
    fn a_second_id_on_the_line_is_found_in_every_cell() {
        let both = format!("{A}; {B}");
        let two_lines = format!("{A}\n{B}");
        for (id, cells) in [
            (A, vec![A, B]),
            (A, vec![B, "Board", A]),
            ("room", vec!["room", B]),
            (A, vec![A, &both]),
            (&both, vec![&both]),
            (&two_lines, vec![&two_lines]),
        ] {
            let invalid = second_id(id, cells.iter().copied()).unwrap();
            assert!(invalid.reason.contains(B), "{}", invalid.reason);
        }
    }

    #[test]
    fn other_columns_of_an_exclusion_are_no_ids() {
        for other in [
            "",
            A,
            "Board meeting",
            "PiiLbS2AqVsiS2Ud6x",
            "2F0A91BC-4E3D-7C11-9A55-0B1C2D3E4F50",
            "see 61a0bb3c9d2e4f5a6b7c8d9e",
        ] {
            assert_eq!(second_id(A, [A, other].into_iter()).map(|invalid| invalid.reason), None, "{other}");
        }
    }
}
