//! Entries of the queue.
//!
//! An input begins with a line of which `c` means that the entry has a conference id and `u` that it has a union id. The two
//! fields follow, with a zero byte between them.

use super::{assert_printable, first_line};
use crate::lists::TriagedRow;
use crate::meeting::{ConferenceId, UnionId};
use crate::outcome::OutcomeKind;
use crate::queue::{Delivery, Field};
use crate::worker::{entry_id, entry_row};

/// How much of a field `take.lua` returns, in bytes.
const KEPT_BYTES: usize = 1024;

/// The longest cell that the journal keeps of an invalid entry: an id's 256 bytes and `…`.
const MAX_CELL_BYTES: usize = 256 + '…'.len_utf8();

/// The bytes as an entry.
pub fn queue_entry(bytes: &[u8]) {
    let (flags, fields) = first_line(bytes);
    let mut fields = fields.splitn(2, |byte| *byte == 0);
    let mut field = |flag| {
        let bytes = fields.next().unwrap_or_default();
        flags
            .contains(flag)
            .then(|| Field { start: bytes[..bytes.len().min(KEPT_BYTES)].to_vec(), bytes: bytes.len() })
    };
    let delivery = Delivery {
        id: "1764000000000-2".parse().expect("it is the id of an entry"),
        times_delivered: 1,
        in_doubt: false,
        conference_id: field('c'),
        union_id: field('u'),
    };
    let holds = |field: &Option<Field>, id: &str| {
        let text = field.as_ref().map(|field| String::from_utf8_lossy(&field.start).into_owned());
        text.is_some_and(|text| text.trim() == id)
    };
    let origin = match entry_row(&delivery, "a/stream") {
        TriagedRow::ToClose { origin, request } => {
            let (conference_id, union_id) = (request.conference_id.as_str(), request.union_id.as_str());
            assert!(holds(&delivery.conference_id, conference_id), "{conference_id:?} is not the entry's");
            assert!(holds(&delivery.union_id, union_id), "{union_id:?} is not the entry's");
            assert!(ConferenceId::parse(conference_id).is_ok() && UnionId::parse(union_id).is_ok());
            origin
        }
        TriagedRow::Unasked { origin, cells, kind, reason } => {
            assert_eq!(kind, OutcomeKind::Invalid);
            assert_printable(&reason);
            assert!(cells.conference_id.len() <= MAX_CELL_BYTES && cells.union_id.len() <= MAX_CELL_BYTES);
            let is_id = |field: &Option<Field>| {
                let field = field.as_ref().filter(|field| field.bytes > 0 && field.bytes <= 256);
                field.is_some_and(|field| field.start.iter().all(u8::is_ascii_lowercase))
            };
            assert!(!is_id(&delivery.conference_id) || !is_id(&delivery.union_id), "{reason}");
            origin
        }
    };
    assert_eq!(entry_id(&origin.source), Some(delivery.id), "the entry cannot be settled");
}
