//! An entry of the queue as a row of a run.

use std::sync::Arc;

use crate::lists::TriagedRow;
use crate::meeting::{Cells, CloseRequest, ConferenceId, IdProblem, MAX_ID_BYTES, Origin, UnionId};
use crate::outcome::OutcomeKind;
use crate::queue::{Delivery, EntryId, Field};

/// An entry is a list of one row.
const LINE: u64 = 1;

impl Delivery {
    /// Where the row stood: the stream and the entry's id, by which the journals of all workers can be joined.
    pub(super) fn origin(&self, stream: &str) -> Origin {
        Origin { source: format!("{stream}/{}", self.id).into(), line: LINE }
    }

    /// What the entry asks for, or why it cannot be a meeting.
    pub(super) fn row(&self, stream: &str) -> TriagedRow {
        let origin = self.origin(stream);
        let request =
            id("conference_id", self.conference_id.as_ref(), ConferenceId::parse).and_then(|conference_id| {
                let union_id = id("union_id", self.union_id.as_ref(), UnionId::parse)?;
                Ok(CloseRequest { conference_id, union_id })
            });
        match request {
            Ok(request) => TriagedRow::ToClose { origin, request },
            Err(reason) => {
                let cells = Cells {
                    conference_id: shown(self.conference_id.as_ref()),
                    union_id: shown(self.union_id.as_ref()),
                };
                TriagedRow::Unasked { origin, cells, kind: OutcomeKind::Invalid, reason }
            }
        }
    }
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
    // What the hint says of a list's lines does not fit here.
    Err(match problem {
        IdProblem::MangledNumber(_) => {
            format!("the field {name} {problem}; add it again as it is in DingTalk")
        }
        IdProblem::Empty
        | IdProblem::ControlCharacter(_)
        | IdProblem::TooLong(_)
        | IdProblem::DotSegment(_)
        | IdProblem::Number(_)
        | IdProblem::Date(_)
        | IdProblem::TruthValue(_)
        | IdProblem::FailedFormula(_) => {
            format!("the field {name} {problem}")
        }
    })
}

/// A field for the journal: no longer than an id, however long it is. The dead-letter stream keeps it whole.
fn shown(field: Option<&Field>) -> String {
    let Some(field) = field else { return String::new() };
    let text = String::from_utf8_lossy(&field.start);
    let text = text.trim();
    if field.bytes == field.start.len() && text.len() <= MAX_ID_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_ID_BYTES);
    format!("{}…", &text[..end])
}

/// The stream's entry from which a row came.
pub(super) fn entry_id(source: &Arc<str>) -> Option<EntryId> {
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
            times: 1,
            in_doubt: false,
            conference_id: conference_id.map(field),
            union_id: union_id.map(field),
        }
    }

    #[test]
    fn an_entry_with_both_fields_is_a_row_at_its_own_id() {
        let TriagedRow::ToClose { origin, request } = delivery(Some(b" a/b "), Some(b"u")).row("s") else {
            panic!()
        };
        assert_eq!(origin.to_string(), "s/1764000000000-2:1");
        assert_eq!((request.conference_id.as_str(), request.union_id.as_str()), ("a/b", "u"));
        assert_eq!(entry_id(&origin.source).unwrap().to_string(), "1764000000000-2");
    }

    #[test]
    fn an_entry_that_cannot_be_a_meeting_says_why_and_stays_short() {
        let long = vec![b'x'; 5000];
        for (conference_id, union_id, expected) in [
            (None, Some(b"u".as_slice()), "the field conference_id is missing"),
            (Some(b"a".as_slice()), None, "the field union_id is missing"),
            (Some(b" "), Some(b"u"), "the field conference_id is empty"),
            (Some(&long), Some(b"u"), "the field conference_id has 5000 bytes; an id has at most 256"),
            (Some(&long[..300]), Some(b"u"), "the field conference_id has 300 bytes; an id has at most 256"),
            (Some(b"\xff"), Some(b"u"), "the field conference_id is not text in UTF-8"),
            (
                Some(b"6.07E+23"),
                Some(b"u"),
                "the field conference_id is 6.07E+23, a number that a spreadsheet rounded; add it again as it is in DingTalk",
            ),
        ] {
            let TriagedRow::Unasked { cells, kind, reason, .. } = delivery(conference_id, union_id).row("s")
            else {
                panic!()
            };
            assert_eq!((kind, reason.as_str()), (OutcomeKind::Invalid, expected));
            assert!(cells.conference_id.len() <= MAX_ID_BYTES + 3, "{reason}");
        }
    }
}
