//! The hash chain: an altered or swapped record breaks it, and so does a missing one that has others behind it.
//!
//! With a key the hashes are HMACs. Without the key, no one can write a record that verifies. But anyone can cut off the end,
//! and what is left verifies: only the head hash, kept elsewhere, shows that.
//!
//! Invariant: [`Hasher::check`] accepts only lines that [`Chain::seal`] wrote under the same key, byte for byte.

use std::fmt;
use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// `,"hash":"` + 64 digits + `"}`.
const SEAL_BYTES: usize = HASH_KEY.len() + 64 + 2;
const HASH_KEY: &str = ",\"hash\":\"";

/// A SHA-256 or HMAC-SHA-256 as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// `prev` of the first record.
    pub const ZERO: Self = Self([0; 32]);

    /// Parses the form that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_hash = text.len() == 64 && text.bytes().all(is_digit);
        if is_hash { const_hex::decode_to_array(text).ok().map(Self) } else { None }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

/// Hashes records, with or without a key.
#[derive(Clone, Default)]
pub struct Hasher(Option<Hmac<Sha256>>);

impl Hasher {
    /// Plain SHA-256.
    pub const PLAIN: Self = Self(None);

    /// HMAC-SHA-256 under this key.
    pub fn keyed(key: &[u8]) -> Self {
        Self(Some(Hmac::new_from_slice(key).expect("HMAC takes keys of any length")))
    }

    /// HMAC-SHA-256 under the key in a file. A byte order mark and a final line break are no part of the key.
    pub fn from_key_file(path: &Path) -> io::Result<Self> {
        let content = std::fs::read(path)?;
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
        match content.trim_ascii_end() {
            [] => Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty")),
            key => Ok(Self::keyed(key)),
        }
    }

    /// Whether the hashes are HMACs.
    pub fn is_keyed(&self) -> bool {
        self.0.is_some()
    }

    /// A line's hash, if it matches the one in the line.
    pub fn check(&self, line: &str) -> Option<Hash> {
        let cut = line.len().checked_sub(SEAL_BYTES)?;
        let (open, seal) = (line.get(..cut)?, line.get(cut..)?);
        let claimed = seal.strip_prefix(HASH_KEY)?.strip_suffix("\"}")?;
        let hash = self.hash([open, "}"]);
        (Hash::parse(claimed)? == hash).then_some(hash)
    }

    /// The hash of a text in two pieces.
    fn hash(&self, text: [&str; 2]) -> Hash {
        let [start, end] = text;
        match &self.0 {
            None => Hash(Sha256::new().chain_update(start).chain_update(end).finalize().into()),
            Some(keyed) => {
                Hash(keyed.clone().chain_update(start).chain_update(end).finalize().into_bytes().into())
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_keyed() { "Hasher(keyed)" } else { "Hasher(plain)" })
    }
}

/// The state of a chain: how many records it has, and the hash of the last.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The last record's number; 0 before the first.
    pub seq: u64,
    /// The last record's hash.
    pub head: Hash,
    hasher: Hasher,
}

impl Chain {
    /// A chain without records.
    pub fn new(hasher: Hasher) -> Self {
        Self { seq: 0, head: Hash::ZERO, hasher }
    }

    /// Returns a record's line, without a line break, and adds it to the chain. `canonical` is the record's canonical text,
    /// an object with [`Chain::head`] as its `prev`.
    pub fn seal(&mut self, canonical: &str) -> String {
        let open = &canonical[..canonical.len() - 1];
        self.advance(self.hasher.hash([open, "}"]));
        format!("{open}{HASH_KEY}{}\"}}", self.head)
    }

    /// Adds a record with this hash.
    pub(super) fn advance(&mut self, hash: Hash) {
        self.head = hash;
        self.seq += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains() -> [Chain; 2] {
        [Chain::new(Hasher::PLAIN), Chain::new(Hasher::keyed(b"key"))]
    }

    #[test]
    fn a_hash_is_exactly_64_lower_case_hex_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(Hash::parse(&text).map(|hash| hash.to_string()), Some(text.clone()));
        let others = [
            String::new(),
            text[1..].to_owned(),
            format!("{text}0"),
            format!("0x{text}"),
            format!("0x{}", &text[2..]),
            text.to_uppercase(),
            format!("{}g", &text[1..]),
            format!("{}é", &text[2..]),
        ];
        for other in others {
            assert_eq!(Hash::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn a_sealed_line_passes_the_check_and_holds_its_text() {
        for chain in chains() {
            let (mut writer, mut reader) = (chain.clone(), chain);
            for canonical in [r#"{"a":1}"#, r#"{"b":"会议"}"#] {
                let line = writer.seal(canonical);
                reader.advance(reader.hasher.check(&line).unwrap());
                assert!(line.starts_with(&canonical[..canonical.len() - 1]));
            }
            assert_eq!((writer.seq, writer.head), (2, reader.head));
        }
    }

    #[test]
    fn the_hash_is_the_sha_256_of_the_line_without_it() {
        let line = Chain::new(Hasher::PLAIN).seal(r#"{"a":1}"#);
        let hash = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
        assert_eq!(line, format!(r#"{{"a":1,"hash":"{hash}"}}"#));
    }

    #[test]
    fn a_keyed_hash_is_the_hmac_and_passes_the_check_only_under_its_key() {
        let [plain, mut keyed] = chains();
        let line = keyed.seal(r#"{"a":1}"#);
        assert!(line.contains("88a67f24bbcdaed0e6c997404bb79a74"), "{line}");
        assert_eq!(plain.hasher.check(&line), None);
        assert_eq!(Chain::new(Hasher::keyed(b"other")).hasher.check(&line), None);
        assert!(!format!("{keyed:?}").contains("key\""));
    }

    #[test]
    fn a_line_with_any_changed_byte_fails_the_check() {
        for chain in chains() {
            let line = chain.clone().seal(r#"{"a":1,"b":"x"}"#);
            for position in 0..line.len() {
                for flip in [1, 2, 0x20] {
                    let mut bytes = line.clone().into_bytes();
                    bytes[position] ^= flip;
                    let Ok(altered) = String::from_utf8(bytes) else { continue };
                    assert_eq!(chain.hasher.check(&altered), None, "{altered}");
                }
                assert_eq!(chain.hasher.check(&line[..position]), None);
            }
        }
    }

    #[test]
    fn an_empty_key_file_is_refused_and_a_line_break_is_no_part_of_the_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Hasher::from_key_file(file.path()).is_err());
        std::fs::write(file.path(), "key\n").unwrap();
        let mut chain = Chain::new(Hasher::from_key_file(file.path()).unwrap());
        assert_eq!(chain.seal("{}"), Chain::new(Hasher::keyed(b"key")).seal("{}"));
    }
}
