//! A row of a list: the meeting to close (a conference id) and its host (a union id).
//!
//! Invariant: every [`ConferenceId`] and [`UnionId`] can be sent to DingTalk unchanged. `id.rs` says what an id is.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

mod id;

pub(crate) use id::IdProblem;
pub(crate) use id::MAX_ID_BYTES;
pub use id::{ConferenceId, UnionId};

/// A request to close one meeting in its host's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseRequest {
    /// The meeting.
    pub conference_id: ConferenceId,
    /// The meeting's host. DingTalk lets only the host close a meeting.
    pub union_id: UnionId,
}

impl CloseRequest {
    /// Identifies this request, in these lists and in a continued run.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.conference_id.as_str(), self.union_id.as_str())
    }

    /// Identifies the meeting, whatever host the row names.
    pub fn meeting(&self) -> Fingerprint {
        Fingerprint::of(self.conference_id.as_str(), "")
    }
}

/// 128 bits of the SHA-256 of a row's two ids. It takes 16 bytes of memory, and different ids never have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(u128);

pub(crate) type FingerprintSet = HashSet<Fingerprint, BuildHasherDefault<IdentityHasher>>;

pub(crate) type FingerprintMap<T> = HashMap<Fingerprint, T, BuildHasherDefault<IdentityHasher>>;

/// Uses half of the fingerprint as its hash: a fingerprint is a hash already, so hashing it again would only cost time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint passes half of itself to write_u64 and nothing else")
    }
}

impl Hash for Fingerprint {
    #[expect(clippy::cast_possible_truncation, reason = "half of the fingerprint is enough for a hash table")]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
    }
}

impl Fingerprint {
    /// The fingerprint of two ids. It includes the length of the first, so that `ab`+`c` differs from `a`+`bc`.
    pub fn of(conference_id: &str, union_id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((conference_id.len() as u64).to_le_bytes());
        hash.update(conference_id);
        hash.update(union_id);
        let digest = hash.finalize();
        let half: [u8; 16] = digest[..16].try_into().expect("a SHA-256 digest has 32 bytes");
        Self(u128::from_le_bytes(half))
    }
}

/// A row's place in its list, for people who look it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The list: its path as the user gave it, or `-` for standard input.
    pub source: Arc<str>,
    /// The line on which the row begins, counted from 1 with the header; in a workbook, the row's number in its sheet.
    pub line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}

/// One row of a list: its place, its cells, and the request that they give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub origin: Origin,
    /// Kept even if they are invalid.
    pub cells: Cells,
    /// The request to send, or why there is none.
    pub request: Result<CloseRequest, InvalidRow>,
}

/// The two cells of a row, trimmed, before they are parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cells {
    /// The conference id column.
    pub conference_id: String,
    /// The union id column.
    pub union_id: String,
}

/// Why a row is invalid: the message of its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct InvalidRow {
    /// Names the column as the list does.
    pub reason: String,
    /// What to do, if that is not obvious.
    pub hint: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_ids_have_different_fingerprints() {
        assert_eq!(Fingerprint::of("a", "b"), Fingerprint::of("a", "b"));
        assert_ne!(Fingerprint::of("ab", "c"), Fingerprint::of("a", "bc"));
        assert_ne!(Fingerprint::of("a", "B"), Fingerprint::of("a", "b"));
    }
}
