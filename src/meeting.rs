//! A row of a list: the meeting to close (a conference id) and its host (a union id).
//!
//! Invariant: every [`ConferenceId`] and [`UnionId`] can be sent to DingTalk unchanged.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The longest accepted id, in bytes. DingTalk documents no limit, and its ids have 24 to 40 characters. A much longer
/// text is a paragraph pasted into the wrong cell.
pub(crate) const MAX_ID_BYTES: usize = 256;

/// Why a cell is not an id. The text says what was found; [`IdProblem::hint`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdProblem {
    /// An empty cell.
    #[error("is empty")]
    Empty,
    /// A line break, a NUL or another character that no id contains.
    #[error("contains the control character U+{0:04X}")]
    ControlCharacter(u32),
    /// More than [`MAX_ID_BYTES`].
    #[error("has {0} bytes; an id has at most 256")]
    TooLong(usize),
    /// A spreadsheet took the id for a number, and kept only some of its digits.
    #[error("is {0}, a number that a spreadsheet rounded")]
    MangledNumber(String),
    /// A number in a sheet that may have lost digits or leading zeros.
    #[error("is the number {0}, which may differ from what was typed")]
    Number(String),
    /// A date or time in a sheet. Spreadsheets turn some ids into dates.
    #[error("is a date or time: {0}")]
    Date(String),
    /// TRUE or FALSE in a sheet.
    #[error("is the truth value {0}")]
    TruthValue(String),
    /// A formula in a sheet that failed.
    #[error("is the formula error {0}")]
    FailedFormula(String),
    /// `.` and `..` cannot be written as a segment of a URL's path, not even percent-encoded.
    #[error("is {0:?}, which cannot be sent as an id")]
    DotSegment(String),
}

impl IdProblem {
    /// What to do, if that is not obvious.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MangledNumber(_) | Self::Number(_) | Self::Date(_) | Self::TruthValue(_) => Some(
                "format the column as text in the spreadsheet, paste the ids again, and save the list again",
            ),
            Self::TooLong(_) => Some("look for a missing quote or delimiter on this line"),
            Self::ControlCharacter(_) => Some("remove the line break or invisible character from the cell"),
            Self::FailedFormula(_) => Some("fix the formula, or replace it with the id as text"),
            Self::Empty | Self::DotSegment(_) => None,
        }
    }
}

/// The id of one video meeting: DingTalk's `conferenceId`. DingTalk documents no format, so any text is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConferenceId(Arc<str>);

/// The id of a person within one developer account: DingTalk's `unionId`. Here it is the meeting's host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnionId(Arc<str>);

impl ConferenceId {
    /// Parses a trimmed cell.
    pub fn parse(cell: &str) -> Result<Self, IdProblem> {
        check(cell)?;
        match cell {
            "." | ".." => Err(IdProblem::DotSegment(cell.to_owned())),
            _ => Ok(Self(cell.into())),
        }
    }

    /// The id as it is sent to DingTalk.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the id may be a room code, which people see and dial (`422 615 97832`): only digits, and less than 20.
    pub fn looks_like_room_code(&self) -> bool {
        let digits = self.0.chars().filter(|c| !c.is_whitespace());
        self.0.len() < 20 && digits.clone().count() > 0 && digits.into_iter().all(|c| c.is_ascii_digit())
    }
}

impl UnionId {
    /// Parses a trimmed cell.
    pub fn parse(cell: &str) -> Result<Self, IdProblem> {
        check(cell)?;
        Ok(Self(cell.into()))
    }

    /// The id as it is sent to DingTalk.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConferenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UnionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(cell: &str) -> Result<(), IdProblem> {
    if cell.is_empty() {
        return Err(IdProblem::Empty);
    }
    if cell.len() > MAX_ID_BYTES {
        return Err(IdProblem::TooLong(cell.len()));
    }
    if let Some(control) = cell.chars().find(|c| c.is_control()) {
        return Err(IdProblem::ControlCharacter(control as u32));
    }
    if is_mangled_number(cell) {
        return Err(IdProblem::MangledNumber(cell.to_owned()));
    }
    Ok(())
}

/// A number in scientific notation with a decimal point or a signed exponent (`6.07E+23`, `6,07E+23`). `6e23` is no
/// such number: it can be a hex id.
fn is_mangled_number(cell: &str) -> bool {
    let Some((mantissa, exponent)) = cell.split_once(['e', 'E']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole)
        && fraction.is_none_or(digits)
        && digits(unsigned)
        && (fraction.is_some() || unsigned.len() < exponent.len())
}

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
    fn an_id_is_accepted_unchanged() {
        for id in ["607452e01401526ee39609e1", "../x", "a?unionId=b", "a/b", "a#b", "会议", "6e23", "1E5"] {
            assert_eq!(ConferenceId::parse(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_with_its_reason() {
        assert_eq!(ConferenceId::parse(""), Err(IdProblem::Empty));
        assert_eq!(ConferenceId::parse("a\nb"), Err(IdProblem::ControlCharacter(10)));
        assert_eq!(ConferenceId::parse(&"x".repeat(256)).unwrap().as_str().len(), 256);
        assert_eq!(ConferenceId::parse(&"x".repeat(257)), Err(IdProblem::TooLong(257)));
        assert_eq!(UnionId::parse("\u{7f}"), Err(IdProblem::ControlCharacter(0x7f)));
    }

    #[test]
    fn dot_segments_cannot_be_sent_as_a_conference_id_but_can_as_a_union_id() {
        assert_eq!(ConferenceId::parse(".."), Err(IdProblem::DotSegment("..".into())));
        assert_eq!(ConferenceId::parse("."), Err(IdProblem::DotSegment(".".into())));
        assert!(UnionId::parse("..").is_ok());
    }

    #[test]
    fn a_number_that_a_spreadsheet_rounded_is_refused_with_a_hint() {
        for cell in ["6.07E+23", "6,07E+23", "6.07452E23", "6E+23", "1.5e-7"] {
            let problem = ConferenceId::parse(cell).unwrap_err();
            assert_eq!(problem, IdProblem::MangledNumber(cell.into()));
            assert!(problem.hint().unwrap().contains("format the column as text"));
        }
    }

    #[test]
    fn a_short_number_looks_like_a_room_code_and_a_hex_id_does_not() {
        let looks = |id| ConferenceId::parse(id).unwrap().looks_like_room_code();
        assert!(looks("42261597832"));
        assert!(looks("422 615 97832"));
        assert!(!looks("607452e01401526ee39609e1"));
        assert!(!looks("607452001401526003960901"));
    }

    #[test]
    fn different_ids_have_different_fingerprints() {
        assert_eq!(Fingerprint::of("a", "b"), Fingerprint::of("a", "b"));
        assert_ne!(Fingerprint::of("ab", "c"), Fingerprint::of("a", "bc"));
        assert_ne!(Fingerprint::of("a", "B"), Fingerprint::of("a", "b"));
    }
}
