//! Reads a journal to its last whole record, without a lock.
//!
//! Invariant: nothing is changed, not even a torn end.

use std::path::Path;

use super::run_index::next_whole;
use super::{Hasher, JournalEntry, ReadError, Reader};

/// Calls `learn` with every whole record.
pub(crate) fn replay(
    path: &Path,
    hasher: Hasher,
    mut learn: impl FnMut(JournalEntry),
) -> Result<(), ReadError> {
    let mut reader = Reader::open(path, hasher)?;
    while let Some(entry) = next_whole(&mut reader)? {
        learn(entry);
    }
    Ok(())
}
