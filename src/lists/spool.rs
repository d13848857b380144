//! The temporary copy of a list, with the list's digest and encoding.
//!
//! The copy of a workbook holds the rewritten rows of its sheet. Invariant: the copy is a file without a name, so no
//! other program can change it, and the system removes it when the process ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use encoding_rs::UTF_8;
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::encoding::{Sniffer, TextEncoding};
use super::error::ListError;

#[derive(Debug, Clone)]
pub(super) struct Spool {
    pub(super) source: Arc<str>,
    /// The sheet, if the list is a workbook.
    pub(super) sheet: Option<Arc<str>>,
    /// The digest of the original's bytes, not of the copy.
    pub(super) sha256: String,
    /// The length of the original.
    pub(super) bytes: u64,
    /// Whether it was said what of the list is no row. It is said once, however often the rows are read.
    pub(super) is_told: Arc<AtomicBool>,
    copy: CopyReader,
    encoding: TextEncoding,
    /// The other encoding that the text may have.
    second_encoding: Option<TextEncoding>,
}

/// The temporary file that holds the copies of several lists, one after the other. One file serves any number of lists,
/// so their number is not limited by the number of open files.
#[derive(Debug, Clone, Default)]
pub(super) struct CopyFile(Arc<Mutex<Option<OpenFile>>>);

/// The file, and where the last copy ends.
#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    end: u64,
}

/// A copy of a list, byte for byte.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) copy: CopyReader,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl CopyFile {
    /// Copies all of `from` to the end of the file. It passes each piece to `look_at` too.
    pub(super) fn copy(
        &self,
        source: &Arc<str>,
        mut from: impl Read,
        mut look_at: impl FnMut(&[u8]),
    ) -> Result<Original, ListError> {
        let no_copy = |error: io::Error| ListError::no_copy(source, &error);
        let mut slot = self.0.lock();
        let (file, start) = match slot.take() {
            Some(OpenFile { file, end }) => (file, end),
            None => (Arc::new(tempfile::tempfile().map_err(no_copy)?), 0),
        };
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
            file.write_all_at(&buffer[..length], start + bytes).map_err(no_copy)?;
            bytes += length as u64;
        }
        let end = start + bytes;
        *slot = Some(OpenFile { file: Arc::clone(&file), end });
        let copy = CopyReader { file, start, offset: start, end };
        Ok(Original { copy, sha256: const_hex::encode(digest.finalize()), bytes })
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
    pub(super) fn of(path: &Path, copies: &CopyFile) -> Result<Self, ListError> {
        let source: Arc<str> = path.to_string_lossy().into();
        if &*source == "-" {
            return Self::copy(source, io::stdin().lock(), copies);
        }
        let file = open(path, &source)?;
        Self::copy(source, file, copies)
    }

    /// A workbook: `rewritten` holds the rows of its sheet.
    pub(super) fn of_sheet(
        source: Arc<str>,
        sheet: &str,
        original: Original,
        rewritten: File,
        copies: &CopyFile,
    ) -> Result<Self, ListError> {
        let Original { sha256, bytes, .. } = original;
        let copy = copies.copy(&source, rewritten, |_| ())?.copy;
        let (encoding, second_encoding) = (TextEncoding::UTF_8, None);
        let (sheet, is_told) = (Some(sheet.into()), Arc::new(AtomicBool::new(true)));
        Ok(Self { source, sheet, sha256, bytes, is_told, copy, encoding, second_encoding })
    }

    pub(super) fn copy(source: Arc<str>, from: impl Read, copies: &CopyFile) -> Result<Self, ListError> {
        let mut sniffer = Sniffer::default();
        let Original { copy, sha256, bytes } = copies.copy(&source, from, |piece| sniffer.look_at(piece))?;
        if let Some(format) = sniffer.format() {
            return Err(format.not_csv(&source, copy));
        }
        let mut encodings = sniffer.encodings(&source, bytes, copy.clone())?.into_iter();
        let encoding = encodings.next().expect("a text has an encoding");
        let (second_encoding, is_told) = (encodings.next(), Arc::default());
        Ok(Self { source, sheet: None, sha256, bytes, is_told, copy, encoding, second_encoding })
    }

    /// The same list, read in the other encoding that it may have.
    pub(super) fn in_second_encoding(&self) -> Option<Self> {
        let encoding = self.second_encoding?;
        Some(Self { encoding, second_encoding: None, ..self.clone() })
    }

    /// Says what is unusual about the list's encoding.
    pub(super) fn say_encoding(&self) -> Result<(), ListError> {
        super::encoding::say(&self.source, self.encoding, self.copy.clone())
    }

    /// The copy's text from its beginning, as UTF-8 without a byte order mark.
    pub(super) fn text(&self) -> DecodeReaderBytes<CopyReader, Vec<u8>> {
        let TextEncoding { encoding, has_broken_bytes } = self.encoding;
        let is_known_utf8 = encoding == UTF_8 && !has_broken_bytes;
        DecodeReaderBytesBuilder::new()
            .encoding(if is_known_utf8 { None } else { Some(encoding) })
            .bom_override(true)
            .strip_bom(true)
            .build(self.copy.clone())
    }
}

/// Reads a copy from an offset of its own, so that several readers can read the same file.
#[derive(Debug, Clone)]
pub(super) struct CopyReader {
    file: Arc<File>,
    start: u64,
    offset: u64,
    end: u64,
}

impl Read for CopyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        let length = self.file.read_at(&mut buffer[..room], self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

impl Seek for CopyReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(offset) => (Some(self.start + offset), 0),
            SeekFrom::End(by) => (Some(self.end), by),
            SeekFrom::Current(by) => (Some(self.offset), by),
        };
        let offset = from.and_then(|from| from.checked_add_signed(by)).filter(|offset| *offset >= self.start);
        self.offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset - self.start)
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::GB18030;

    use super::*;

    fn spool(bytes: &[u8]) -> Result<Spool, ListError> {
        Spool::copy("list.csv".into(), bytes, &CopyFile::default())
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
    fn several_lists_share_one_file_and_keep_apart() {
        let copies = CopyFile::default();
        let lists = ["a,b\n", "c", "d,e\n"]
            .map(|text| Spool::copy("list.csv".into(), text.as_bytes(), &copies).unwrap());
        let read = |spool: &Spool| {
            let mut text = String::new();
            spool.text().read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(lists.each_ref().map(read), ["a,b\n", "c", "d,e\n"]);
        let mut last = lists[2].copy.clone();
        assert_eq!(last.seek(SeekFrom::End(-2)).unwrap(), 2);
        assert_eq!(last.stream_position().unwrap(), 2);
        assert!(last.seek(SeekFrom::Current(-3)).is_err());
    }

    #[test]
    fn a_file_that_is_no_list_is_refused_with_what_it_is() {
        for (bytes, problem) in [
            (b"".as_slice(), "expected a header row, found an empty list"),
            (b" \r\n\t", "expected a header row, found an empty list"),
            (b"\xef\xbb\xbf", "expected a header row, found an empty list"),
            (b"PK\x03\x04rest", "expected a CSV file, found a damaged zip archive"),
            (b"%PDF-1.7", "expected a CSV file, found a PDF document"),
            (b"<html><table>", "expected a CSV file, found a web page or XML file"),
            (b"\x7fELF\0\0", "expected a CSV file, found binary data"),
        ] {
            let error = spool(bytes).unwrap_err().to_string();
            assert!(error.starts_with(&format!("list.csv: {problem}")), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = Spool::of(folder.path(), &CopyFile::default()).unwrap_err().to_string();
        assert!(error.ends_with(": cannot read the list: it is a directory, not a file"), "{error}");
        let error = Spool::of(Path::new("/nowhere/list.csv"), &CopyFile::default()).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/list.csv: cannot read the list: no such file");
    }
}
