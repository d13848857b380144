//! The hash chain: what makes an altered, missing or swapped record show.
//!
//! Invariant: a line that [`Chain::open`] takes is, byte for byte, one that [`Chain::seal`] gave.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::hex::hex;

/// `,"hash":"` + 64 digits + `"}`.
const SEAL_BYTES: usize = HASH_KEY.len() + 64 + 2;
const HASH_KEY: &str = ",\"hash\":\"";

/// A SHA-256 as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first record names as the hash before it.
    pub const ZERO: Self = Self([0; 32]);

    fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Where a chain stands: how many records it has, and the hash of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The last record's number; 0 before the first.
    pub seq: u64,
    /// The last record's hash.
    pub head: Hash,
}

impl Chain {
    /// A chain without records.
    pub const EMPTY: Self = Self { seq: 0, head: Hash::ZERO };

    /// Turns a record's canonical text (an object that names [`Chain::head`] as `prev`) into its line, without a line
    /// break, and moves on.
    pub fn seal(&mut self, canonical: &str) -> String {
        self.head = Hash::of(canonical);
        self.seq += 1;
        let open = &canonical[..canonical.len() - 1];
        format!("{open}{HASH_KEY}{}\"}}", self.head)
    }

    /// Takes a line apart if its hash is right, and moves on. Whether its `prev` and `seq` are right is the reader's to
    /// see, who reads them.
    pub fn open(&mut self, line: &str) -> Option<String> {
        let cut = line.len().checked_sub(SEAL_BYTES)?;
        let (open, seal) = (line.get(..cut)?, line.get(cut..)?);
        let claimed = seal.strip_prefix(HASH_KEY)?.strip_suffix("\"}")?;
        let canonical = format!("{open}}}");
        let hash = Hash::of(&canonical);
        if hash.to_string() != claimed {
            return None;
        }
        self.head = hash;
        self.seq += 1;
        Some(canonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_opens_to_its_text() {
        let (mut writer, mut reader) = (Chain::EMPTY, Chain::EMPTY);
        for canonical in [r#"{"a":1}"#, r#"{"b":"会议"}"#] {
            assert_eq!(reader.open(&writer.seal(canonical)).unwrap(), canonical);
        }
        assert_eq!(writer, reader);
        assert_eq!(writer.seq, 2);
    }

    #[test]
    fn the_hash_is_the_sha_256_of_the_line_without_it() {
        let line = Chain::EMPTY.clone().seal(r#"{"a":1}"#);
        let hash = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
        assert_eq!(line, format!(r#"{{"a":1,"hash":"{hash}"}}"#));
    }

    #[test]
    fn any_changed_byte_shows() {
        let line = Chain::EMPTY.clone().seal(r#"{"a":1,"b":"x"}"#);
        for position in 0..line.len() {
            for flip in [1, 2, 0x20] {
                let mut bytes = line.clone().into_bytes();
                bytes[position] ^= flip;
                let Ok(altered) = String::from_utf8(bytes) else { continue };
                assert_eq!(Chain::EMPTY.clone().open(&altered), None, "{altered}");
            }
            assert_eq!(Chain::EMPTY.clone().open(&line[..position]), None);
        }
    }
}
