//! Finds the encoding of a list's text.
//!
//! A byte order mark decides. Without one, the encoding is UTF-8 if all bytes are valid UTF-8. Otherwise it is GB18030, in
//! which Excel in Chinese saves CSV, or UTF-8 with a few broken bytes, as of a file that was cut or joined in the middle of
//! a character. Invariant: broken bytes are said with their lines.

use std::io::{self, Read};
use std::sync::Arc;

use encoding_rs::{Encoding, GB18030, UTF_8};

use super::error::ListError;
use super::format::Format;
use super::skipped::Lines;

/// A text's encoding, and whether some of its bytes are broken in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextEncoding {
    pub(super) encoding: &'static Encoding,
    /// Whether some bytes are not text in it. If so, they must be replaced when the text is read.
    pub(super) has_broken_bytes: bool,
}

impl TextEncoding {
    pub(super) const UTF_8: Self = Self { encoding: UTF_8, has_broken_bytes: false };
}

/// Looks at the pieces of a text.
#[derive(Debug, Default)]
pub(super) struct Sniffer {
    start: Vec<u8>,
    utf8: Utf8Census,
    has_nul: bool,
    has_text: bool,
}

impl Sniffer {
    pub(super) fn look_at(&mut self, piece: &[u8]) {
        let room = Format::BYTES - self.start.len();
        self.start.extend_from_slice(&piece[..piece.len().min(room)]);
        self.has_nul |= piece.contains(&0);
        self.has_text |= piece.iter().any(|byte| !byte.is_ascii_whitespace());
        self.utf8.look_at(piece);
    }

    pub(super) fn format(&self) -> Option<Format> {
        Format::of(&self.start)
    }

    /// The encodings that the text may have, the likeliest first. `text` is the text again, from its beginning.
    pub(super) fn encodings(
        mut self,
        source: &Arc<str>,
        bytes: u64,
        text: impl Read,
    ) -> Result<Vec<TextEncoding>, ListError> {
        let refuse = |problem: &str| Err(ListError::new(source, problem));
        let mark = Encoding::for_bom(&self.start);
        if !self.has_text || mark.is_some_and(|(_, length)| length as u64 == bytes) {
            return refuse("expected a header row, found an empty list");
        }
        if self.has_nul && mark.is_none() {
            return refuse("expected a CSV file, found binary data");
        }
        self.utf8.end();
        let has_broken_bytes = self.utf8.broken > 0;
        if let Some((encoding, _)) = mark {
            return Ok(vec![TextEncoding {
                encoding,
                has_broken_bytes: has_broken_bytes && encoding == UTF_8,
            }]);
        }
        if !has_broken_bytes {
            return Ok(vec![TextEncoding::UTF_8]);
        }
        let utf8 = TextEncoding { encoding: UTF_8, has_broken_bytes: true };
        let gb18030 = TextEncoding { encoding: GB18030, has_broken_bytes: false };
        let broken_gb18030 =
            broken_in_gb18030(text).map_err(|error| ListError::damaged_copy(source, &error))?;
        let prefers_utf8 = self.utf8.is_likely()
            || (self.utf8.broken <= broken_gb18030 && self.utf8.two_bytes + self.utf8.more_bytes > 0);
        Ok(if prefers_utf8 { vec![utf8, gb18030] } else { vec![gb18030, utf8] })
    }
}

/// Says what is unusual about the encoding in which a list is read.
pub(super) fn say(source: &Arc<str>, encoding: TextEncoding, text: impl Read) -> Result<(), ListError> {
    if encoding.has_broken_bytes {
        let lines = broken_lines(text).map_err(|error| ListError::damaged_copy(source, &error))?.named();
        tracing::warn!(list = %source, "the list is UTF-8 with broken bytes in {lines}; an id that holds some is invalid");
    } else if encoding.encoding == GB18030 {
        tracing::info!(list = %source, "the list is not UTF-8; reading it as GB18030");
    }
    Ok(())
}

/// Counts characters of several bytes, and broken bytes.
#[derive(Debug, Default)]
struct Utf8Census {
    /// The first bytes of a character that the next piece completes.
    split: Vec<u8>,
    broken: u64,
    two_bytes: u64,
    more_bytes: u64,
}

impl Utf8Census {
    fn look_at(&mut self, piece: &[u8]) {
        if self.split.is_empty() && piece.is_ascii() {
            return;
        }
        let mut text = std::mem::take(&mut self.split);
        text.extend_from_slice(piece);
        self.split = text.split_off(whole(&text));
        self.count(&text);
    }

    fn end(&mut self) {
        let rest = std::mem::take(&mut self.split);
        self.count(&rest);
    }

    fn count(&mut self, text: &[u8]) {
        for chunk in text.utf8_chunks() {
            for byte in chunk.valid().bytes() {
                self.two_bytes += u64::from(matches!(byte, 0xc0..=0xdf));
                self.more_bytes += u64::from(byte >= 0xe0);
            }
            self.broken += u64::from(!chunk.invalid().is_empty());
        }
    }

    /// Chinese text in GB18030 has hardly a sequence that is a character of three bytes in UTF-8, and many that are
    /// broken. One of two bytes comes about by chance, for one character in seven.
    fn is_likely(&self) -> bool {
        self.more_bytes >= self.broken || self.two_bytes >= 4 * self.broken
    }
}

/// Where a piece of UTF-8 ends without the beginning of a character that the next piece completes.
fn whole(text: &[u8]) -> usize {
    let starts = (1..=text.len().min(3)).map(|back| text.len() - back);
    starts.into_iter().find(|start| needs_more(&text[*start..])).unwrap_or(text.len())
}

/// Whether these bytes are the beginning of a character, and not all of it.
fn needs_more(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

fn broken_in_gb18030(text: impl Read) -> io::Result<u64> {
    let mut decoder = GB18030.new_decoder_without_bom_handling();
    let (mut broken, mut text_read) = (0, String::with_capacity(1 << 18));
    each_piece(text, |piece, last| {
        let mut rest = piece;
        loop {
            text_read.clear();
            let (result, read, _) = decoder.decode_to_string(rest, &mut text_read, last);
            broken += text_read.chars().filter(|c| *c == '\u{fffd}').count() as u64;
            rest = &rest[read..];
            if result == encoding_rs::CoderResult::InputEmpty {
                return;
            }
        }
    })?;
    Ok(broken)
}

/// The lines with bytes that are not UTF-8.
fn broken_lines(text: impl Read) -> io::Result<Lines> {
    let (mut lines, mut line, mut after_carriage_return) = (Lines::default(), 1, false);
    let mut rest: Vec<u8> = vec![];
    each_piece(text, |piece, last| {
        let mut text = std::mem::take(&mut rest);
        text.extend_from_slice(piece);
        if !last {
            rest = text.split_off(whole(&text));
        }
        for chunk in text.utf8_chunks() {
            for byte in chunk.valid().bytes() {
                line += u64::from(byte == b'\r' || (byte == b'\n' && !after_carriage_return));
                after_carriage_return = byte == b'\r';
            }
            if !chunk.invalid().is_empty() {
                lines.add_once(line);
                after_carriage_return = false;
            }
        }
    })?;
    Ok(lines)
}

/// Reads a text in pieces. The last piece is empty, and is said to be the last.
fn each_piece(mut text: impl Read, mut take: impl FnMut(&[u8], bool)) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match text.read(&mut buffer)? {
            0 => {
                take(&[], true);
                return Ok(());
            }
            length => take(&buffer[..length], false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encodings(text: &[u8], pieces: usize) -> Vec<(&'static str, bool)> {
        let mut sniffer = Sniffer::default();
        for piece in text.chunks(pieces) {
            sniffer.look_at(piece);
        }
        let found = sniffer.encodings(&"list.csv".into(), text.len() as u64, text).unwrap();
        found.into_iter().map(|found| (found.encoding.name(), found.has_broken_bytes)).collect()
    }

    #[test]
    fn one_broken_byte_does_not_make_another_encoding_of_the_whole() {
        let whole = "会议ID,主持人unionId,标题\nconfA1,u1,周会\nconfA2,u2,周会".as_bytes();
        for pieces in [1, 2, 3, 5, 1000] {
            assert_eq!(encodings(whole, pieces), [("UTF-8", false)]);
            // The last character is cut off, and then one in the middle.
            assert_eq!(encodings(&whole[..whole.len() - 1], pieces)[0], ("UTF-8", true));
            assert_eq!(encodings(&[&whole[..4], &whole[5..]].concat(), pieces)[0], ("UTF-8", true));
        }
        for text in [
            "会议ID,主持人\nabc,张三\n",
            "conf_id,host,title\na,u,今晚的产品周会\n",
            "conf_id,host,title\na,u,中\n",
        ] {
            for pieces in [1, 2, 3, 1000] {
                assert_eq!(encodings(&GB18030.encode(text).0, pieces)[0], ("gb18030", false), "{text}");
            }
        }
    }

    #[test]
    fn the_lines_with_broken_bytes_are_named() {
        let text = b"a\r\nb\xe4\xbd\r\xffc\xff\n\xe4\xbd\xa0\n\xe4";
        assert_eq!(broken_lines(text.as_slice()).unwrap().named(), "lines 2, 3, 5");
        let long = [vec![b'\n'; 70_000], b"\xff\n".to_vec()].concat();
        assert_eq!(broken_lines(long.as_slice()).unwrap().named(), "line 70001");
    }
}
