//! An entry of the queue as a row of a run.
//!
//! Invariant: every entry becomes a row. An entry that cannot be a meeting becomes an `invalid` row with the reason.

use std::sync::Arc;

use crate::lists::TriagedRow;
use crate::meeting::{Cells, CloseRequest, ConferenceId, IdProblem, MAX_ID_BYTES, Origin, UnionId};
use crate::outcome::OutcomeKind;
use crate::queue::{Delivery, EntryId, Field};

/// An entry counts as a list with one row.
const LINE: u64 = 1;

/// The row of an entry. Its origin is the stream and the entry's id, which are the same in the journals of all workers.
pub(crate) fn entry_row(delivery: &Delivery, stream: &str) -> TriagedRow {
    let origin = Origin { source: format!("{stream}/{}", delivery.id).into(), line: LINE };
    match request(delivery) {
        Ok(request) => TriagedRow::ToClose { origin, request },
        Err(reason) => {
            let cells = Cells {
                conference_id: shortened(delivery.conference_id.as_ref()),
                union_id: shortened(delivery.union_id.as_ref()),
            };
            TriagedRow::Unasked { origin, cells, kind: OutcomeKind::Invalid, reason }
        }
    }
}

/// What the entry asks for, or why it cannot be a meeting.
fn request(delivery: &Delivery) -> Result<CloseRequest, String> {
    Ok(CloseRequest {
        conference_id: id("conference_id", delivery.conference_id.as_ref(), ConferenceId::parse)?,
        union_id: id("union_id", delivery.union_id.as_ref(), UnionId::parse)?,
    })
}

fn id<T>(name: &str, field: Option<&Field>, parse: fn(&str) -> Result<T, IdProblem>) -> Result<T, String> {
    let Some(field) = field else { return Err(format!("the field {name} is missing")) };
    let problem = if field.bytes > field.start.len() {
        IdProblem::TooLong(field.bytes)
    } else {
        let Ok(text) = std::str::from_utf8(&field.start) else {
            return Err(format!("the field {name} is not text in UTF-8"));
        };
        match parse(text.trim()) {
            Ok(id) => return Ok(id),
            Err(problem) => problem,
        }
    };
    // The problem's own hint is about spreadsheets, and does not fit an entry.
    Err(match problem {
        IdProblem::MangledNumber(_) => {
            format!("the field {name} {problem}; add it again as it is in DingTalk")
        }
        IdProblem::Empty
        | IdProblem::ControlCharacter(_)
        | IdProblem::TooLong(_)
        | IdProblem::InvisibleCharacter(_)
        | IdProblem::ForeignCharacter(_)
        | IdProblem::Formula(_)
        | IdProblem::Placeholder(_)
        | IdProblem::NoValue
        | IdProblem::Number(_)
        | IdProblem::Date(_)
        | IdProblem::TruthValue(_)
        | IdProblem::FailedFormula(_) => {
            format!("the field {name} {problem}")
        }
    })
}

/// A field for the journal, cut to the length of an id. The dead-letter stream keeps the whole field.
fn shortened(field: Option<&Field>) -> String {
    let Some(field) = field else { return String::new() };
    let text = String::from_utf8_lossy(&field.start);
    let text = text.trim();
    if field.bytes == field.start.len() && text.len() <= MAX_ID_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_ID_BYTES);
    format!("{}…", &text[..end])
}

/// The entry from which a row came.
pub(crate) fn entry_id(source: &Arc<str>) -> Option<EntryId> {
    source.rsplit_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(conference_id: Option<&[u8]>, union_id: Option<&[u8]>) -> Delivery {
        let field =
            |bytes: &[u8]| Field { start: bytes[..bytes.len().min(1024)].to_vec(), bytes: bytes.len() };
        Delivery {
            id: "1764000000000-2".parse().unwrap(),
            times_delivered: 1,
            in_doubt: false,
            conference_id: conference_id.map(field),
            union_id: union_id.map(field),
        }
    }

    #[test]
    fn an_entry_with_both_fields_becomes_a_row_whose_source_is_the_entry() {
        let TriagedRow::ToClose { origin, request } = entry_row(&delivery(Some(b" a/b "), Some(b"u")), "s")
        else {
            panic!()
        };
        assert_eq!(origin.to_string(), "s/1764000000000-2:1");
        assert_eq!((request.conference_id.as_str(), request.union_id.as_str()), ("a/b", "u"));
        assert_eq!(entry_id(&origin.source).unwrap().to_string(), "1764000000000-2");
    }

    #[test]
    fn an_entry_that_cannot_be_a_meeting_becomes_an_invalid_row_with_a_reason_and_short_cells() {
        let long = vec![b'x'; 5000];
        for (conference_id, union_id, expected) in [
            (None, Some(b"u".as_slice()), "the field conference_id is missing"),
            (Some(b"a".as_slice()), None, "the field union_id is missing"),
            (Some(b" "), Some(b"u"), "the field conference_id is empty"),
            (Some(&long), Some(b"u"), "the field conference_id has 5000 bytes; an id has at most 256"),
            (Some(&long[..300]), Some(b"u"), "the field conference_id has 300 bytes; an id has at most 256"),
            (Some(b"\xff"), Some(b"u"), "the field conference_id is not text in UTF-8"),
            (Some(b"NULL"), Some(b"u"), "the field conference_id is \"NULL\", which is no id"),
            (Some(b"a"), Some(b"u\""), "the field union_id contains '\"' (U+0022), which no id contains"),
            (
                Some("a\u{200e}".as_bytes()),
                Some(b"u"),
                "the field conference_id contains the invisible character U+200E",
            ),
            (
                Some(b"6.07E+23"),
                Some(b"u"),
                "the field conference_id is 6.07E+23, a number that a spreadsheet rounded; add it again as it is in DingTalk",
            ),
        ] {
            let TriagedRow::Unasked { cells, kind, reason, .. } =
                entry_row(&delivery(conference_id, union_id), "s")
            else {
                panic!()
            };
            assert_eq!((kind, reason.as_str()), (OutcomeKind::Invalid, expected));
            assert!(cells.conference_id.len() <= MAX_ID_BYTES + 3, "{reason}");
        }
    }
}
