//! The temporary copy of a list, with the list's digest and encoding.
//!
//! The copy of a workbook holds the rewritten rows of its sheet. Invariant: the copy is a file without a name, so no
//! other program can change it, and the system removes it when the process ends.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use encoding_rs::{Encoding, GB18030, UTF_8};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};
use sha2::{Digest as _, Sha256};

use super::error::ListError;
use super::format::Format;

#[derive(Debug, Clone)]
pub(super) struct Spool {
    pub(super) source: Arc<str>,
    /// The sheet, if the list is a workbook.
    pub(super) sheet: Option<Arc<str>>,
    /// The digest of the original's bytes, not of the copy.
    pub(super) sha256: String,
    /// The length of the original.
    pub(super) bytes: u64,
    file: Arc<File>,
    encoding: &'static Encoding,
}

/// A copy of a list, byte for byte.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) file: File,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl Original {
    /// Copies all of `from`. It passes each piece to `look_at` too.
    pub(super) fn copy(
        source: &Arc<str>,
        mut from: impl Read,
        mut look_at: impl FnMut(&[u8]),
    ) -> Result<Self, ListError> {
        let no_copy = |error: io::Error| ListError::no_copy(source, &error);
        let mut file = tempfile::tempfile().map_err(no_copy)?;
        let (mut digest, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ListError::unreadable(source, &error)),
            };
            digest.update(&buffer[..length]);
            look_at(&buffer[..length]);
            file.write_all(&buffer[..length]).map_err(no_copy)?;
            bytes += length as u64;
        }
        Ok(Self { file, sha256: const_hex::encode(digest.finalize()), bytes })
    }
}

/// Opens a list's file.
pub(super) fn open(path: &Path, source: &Arc<str>) -> Result<File, ListError> {
    let unreadable = |error: &io::Error| ListError::unreadable(source, error);
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    if file.metadata().map_err(|error| unreadable(&error))?.is_dir() {
        return Err(unreadable(&io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}

impl Spool {
    /// Copies a file, or standard input where the path is `-`.
    pub(super) fn of(path: &Path) -> Result<Self, ListError> {
        let source: Arc<str> = path.to_string_lossy().into();
        if &*source == "-" {
            return Self::copy(source, io::stdin().lock());
        }
        let file = open(path, &source)?;
        Self::copy(source, file)
    }

    /// A workbook: `rewritten` holds the rows of its sheet.
    pub(super) fn of_sheet(source: Arc<str>, sheet: &str, original: Original, rewritten: File) -> Self {
        let Original { sha256, bytes, .. } = original;
        let file = Arc::new(rewritten);
        Self { source, sheet: Some(sheet.into()), sha256, bytes, file, encoding: UTF_8 }
    }

    pub(super) fn copy(source: Arc<str>, from: impl Read) -> Result<Self, ListError> {
        let mut sniffer = Sniffer::default();
        let Original { file, sha256, bytes } = Original::copy(&source, from, |piece| sniffer.look_at(piece))?;
        let encoding = sniffer.encoding(&source, bytes)?;
        Ok(Self { source, sheet: None, sha256, bytes, file: Arc::new(file), encoding })
    }

    /// The copy's text from its beginning, as UTF-8 without a byte order mark.
    pub(super) fn text(&self) -> DecodeReaderBytes<CopyReader, Vec<u8>> {
        let from_start = CopyReader { file: Arc::clone(&self.file), offset: 0 };
        let known_utf8 = self.encoding == UTF_8;
        DecodeReaderBytesBuilder::new()
            .encoding(if known_utf8 { None } else { Some(self.encoding) })
            .bom_override(true)
            .strip_bom(true)
            .build(from_start)
    }
}

/// Reads a copy from an offset of its own, so that several readers can read the same copy.
#[derive(Debug)]
pub(super) struct CopyReader {
    file: Arc<File>,
    offset: u64,
}

impl Read for CopyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// Finds a text's encoding from its pieces. A byte order mark decides. Without one, the encoding is UTF-8 if all bytes
/// are valid UTF-8, and otherwise GB18030, in which Excel in Chinese saves CSV.
#[derive(Debug, Default)]
struct Sniffer {
    start: Vec<u8>,
    not_utf8: bool,
    /// The first bytes of a character that the next piece completes.
    split: Vec<u8>,
    has_nul: bool,
    has_text: bool,
}

impl Sniffer {
    fn look_at(&mut self, piece: &[u8]) {
        let room = Format::BYTES - self.start.len();
        self.start.extend_from_slice(&piece[..piece.len().min(room)]);
        self.has_nul |= piece.contains(&0);
        self.has_text |= piece.iter().any(|byte| !byte.is_ascii_whitespace());
        if self.not_utf8 {
            return;
        }
        let mut text = std::mem::take(&mut self.split);
        text.extend_from_slice(piece);
        if let Err(error) = std::str::from_utf8(&text) {
            self.not_utf8 = error.error_len().is_some();
            self.split = text.split_off(error.valid_up_to());
        }
    }

    fn encoding(&self, source: &Arc<str>, bytes: u64) -> Result<&'static Encoding, ListError> {
        let refuse = |problem: &str| Err(ListError::new(source, problem));
        if let Some(format) = Format::of(&self.start) {
            return Err(format.not_csv(source));
        }
        let mark = Encoding::for_bom(&self.start);
        if !self.has_text || mark.is_some_and(|(_, length)| length as u64 == bytes) {
            return refuse("expected a header row, found an empty list");
        }
        if self.has_nul && mark.is_none() {
            return refuse("expected a CSV file, found binary data");
        }
        if let Some((encoding, _)) = mark {
            return Ok(encoding);
        }
        if !self.not_utf8 && self.split.is_empty() {
            return Ok(UTF_8);
        }
        tracing::info!(list = %source, "the list is not UTF-8; reading it as GB18030");
        Ok(GB18030)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(bytes: &[u8]) -> Result<Spool, ListError> {
        Spool::copy("list.csv".into(), bytes)
    }

    fn text(bytes: &[u8]) -> String {
        let mut text = String::new();
        spool(bytes).unwrap().text().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_byte_order_mark_decides_then_utf8_then_gb18030() {
        let expected = "会议ID,主持人\n";
        assert_eq!(text(expected.as_bytes()), expected);
        assert_eq!(text(format!("\u{feff}{expected}").as_bytes()), expected);
        assert_eq!(text(&GB18030.encode(expected).0), expected);
        let utf16 = |to: fn(u16) -> [u8; 2]| expected.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        assert_eq!(text(&[vec![0xff, 0xfe], utf16(u16::to_le_bytes)].concat()), expected);
        assert_eq!(text(&[vec![0xfe, 0xff], utf16(u16::to_be_bytes)].concat()), expected);
    }

    #[test]
    fn a_character_may_be_split_between_two_pieces() {
        let expected = "会议".repeat(50_000);
        assert_eq!(text(expected.as_bytes()), expected);
        assert_eq!(text(format!("a{expected}").as_bytes()), format!("a{expected}"));
    }

    #[test]
    fn the_digest_covers_the_bytes_of_the_original() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(spool(b"abc").unwrap().sha256, digest);
    }

    #[test]
    fn a_copy_can_be_read_more_than_once() {
        let spool = spool(b"a,b\n").unwrap();
        for _ in 0..2 {
            let mut text = String::new();
            spool.text().read_to_string(&mut text).unwrap();
            assert_eq!(text, "a,b\n");
        }
    }

    #[test]
    fn a_file_that_is_no_list_is_refused_with_what_it_is() {
        for (bytes, problem) in [
            (b"".as_slice(), "expected a header row, found an empty list"),
            (b" \r\n\t", "expected a header row, found an empty list"),
            (b"\xef\xbb\xbf", "expected a header row, found an empty list"),
            (b"PK\x03\x04rest", "expected a CSV file, found an Excel workbook"),
            (b"\x7fELF\0\0", "expected a CSV file, found binary data"),
        ] {
            let error = spool(bytes).unwrap_err().to_string();
            assert!(error.starts_with(&format!("list.csv: {problem}")), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = Spool::of(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with(": cannot read the list: it is a directory, not a file"), "{error}");
        let error = Spool::of(Path::new("/nowhere/list.csv")).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/list.csv: cannot read the list: no such file");
    }
}
