//! What a row of a list asks for: one meeting, named by its conference id, and its host, named by a union id.
//!
//! Invariant: a [`ConferenceId`] or [`UnionId`] that exists can be sent to DingTalk as it is.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The longest id that is taken, in bytes. DingTalk documents no limit; its ids have 24 to 40 characters, and what is
/// ten times as long is a paragraph pasted into the wrong cell.
pub(crate) const MAX_ID_BYTES: usize = 256;

/// Why a cell is not an id. The text says what was found; advice comes apart, from [`IdProblem::hint`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdProblem {
    /// The cell is empty.
    #[error("is empty")]
    Empty,
    /// The cell holds a line break, a NUL or another character that no id has.
    #[error("holds the control character U+{0:04X}")]
    ControlCharacter(u32),
    /// The cell is longer than [`MAX_ID_BYTES`].
    #[error("has {0} bytes, and an id has at most 256")]
    TooLong(usize),
    /// A spreadsheet took the id for a number and kept seven digits of it.
    #[error("is a number that a spreadsheet has rounded: {0}")]
    MangledNumber(String),
    /// A number in a sheet that may have lost digits, or zeros before it.
    #[error("is the number {0}, which may not be what was typed")]
    Number(String),
    /// A date or a time in a sheet, which is what a spreadsheet makes of some ids.
    #[error("is a date or a time: {0}")]
    Date(String),
    /// TRUE or FALSE in a sheet.
    #[error("is the truth value {0}")]
    TruthValue(String),
    /// A formula in a sheet that came to no value.
    #[error("is the error {0}")]
    FailedFormula(String),
    /// `.` and `..` cannot be written as a segment of a URL's path, not even percent-encoded.
    #[error("is {0:?}, which no request can carry as an id")]
    DotSegment(String),
}

impl IdProblem {
    /// What to do about it, where that is not plain.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MangledNumber(_) | Self::Number(_) | Self::Date(_) | Self::TruthValue(_) => {
                Some("format the column as text in the spreadsheet, paste the ids again and save once more")
            }
            Self::TooLong(_) => Some("look for a missing quote or delimiter on this line"),
            Self::ControlCharacter(_) => Some("remove the line break or invisible character from the cell"),
            Self::FailedFormula(_) => Some("mend the formula, or paste the id in its place, as text"),
            Self::Empty | Self::DotSegment(_) => None,
        }
    }
}

/// The id of one video meeting, DingTalk's `conferenceId`. No format is documented, so none is assumed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConferenceId(Arc<str>);

/// The id of a person within one developer account, DingTalk's `unionId`: here, the meeting's host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnionId(Arc<str>);

impl ConferenceId {
    /// Takes a trimmed cell as a conference id.
    pub fn parse(cell: &str) -> Result<Self, IdProblem> {
        check(cell)?;
        match cell {
            "." | ".." => Err(IdProblem::DotSegment(cell.to_owned())),
            _ => Ok(Self(cell.into())),
        }
    }

    /// The id as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the id may be the room code that people see (`422 615 97832`): digits only, and not 24 of them.
    pub fn looks_like_room_code(&self) -> bool {
        let digits = self.0.chars().filter(|c| !c.is_whitespace());
        self.0.len() < 20 && digits.clone().count() > 0 && digits.into_iter().all(|c| c.is_ascii_digit())
    }
}

impl UnionId {
    /// Takes a trimmed cell as a union id.
    pub fn parse(cell: &str) -> Result<Self, IdProblem> {
        check(cell)?;
        Ok(Self(cell.into()))
    }

    /// The id as it is sent.
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

/// A number in scientific notation with a decimal point or a signed exponent (`6.07E+23`, `6,07E+23`). The bare
/// `6e23` is left alone: it can be a hex id.
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

/// One meeting to be ended, on behalf of its host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseRequest {
    /// Which meeting.
    pub conference_id: ConferenceId,
    /// Whose meeting: DingTalk lets the host alone close it.
    pub union_id: UnionId,
}

impl CloseRequest {
    /// The fingerprint by which this request is known again, in this list and in a continued run.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.conference_id.as_str(), self.union_id.as_str())
    }

    /// The fingerprint of the meeting alone, whoever is named as its host.
    pub fn meeting(&self) -> Fingerprint {
        Fingerprint::of(self.conference_id.as_str(), "")
    }
}

/// 128 bits of SHA-256 over what a row says: 16 bytes of memory a row, and no two rows that differ share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(u128);

/// Fingerprints, each once.
pub(crate) type FingerprintSet = HashSet<Fingerprint, BuildHasherDefault<IdentityHasher>>;

/// Something for each fingerprint.
pub(crate) type FingerprintMap<T> = HashMap<Fingerprint, T, BuildHasherDefault<IdentityHasher>>;

/// A fingerprint is a hash already: half of it tells where it belongs.
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
        unreachable!("a fingerprint is hashed by its half alone")
    }
}

impl Hash for Fingerprint {
    #[expect(clippy::cast_possible_truncation, reason = "half of it is meant")]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
    }
}

impl Fingerprint {
    /// The fingerprint of a row's two cells. The length of the first goes in, so that `ab`+`c` is not `a`+`bc`.
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

/// Where a row came from, as a person would look it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The list: its path as given, or `-` for standard input.
    pub source: Arc<str>,
    /// The line on which the row begins, from 1, the header's line included; in a workbook, the row's number in its sheet.
    pub line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}

/// One row of a list as it was read: where it stood, what it said, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stood.
    pub origin: Origin,
    /// What it said, valid or not.
    pub cells: Cells,
    /// A request that can be sent, or why it cannot.
    pub request: Result<CloseRequest, InvalidRow>,
}

/// The two cells of a row, trimmed, before anything was asked of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cells {
    /// The conference id column.
    pub conference_id: String,
    /// The union id column.
    pub union_id: String,
}

/// Why a row is unusable: an `invalid` outcome's message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct InvalidRow {
    /// One sentence, with the column's name as the list has it.
    pub reason: String,
    /// What to do, where that is not plain.
    pub hint: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_as_it_is() {
        for id in ["607452e01401526ee39609e1", "../x", "a?unionId=b", "a/b", "a#b", "会议", "6e23", "1E5"] {
            assert_eq!(ConferenceId::parse(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn what_is_no_id_is_refused_with_its_reason() {
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
    fn digits_only_look_like_a_room_code_and_hex_ids_do_not() {
        let looks = |id| ConferenceId::parse(id).unwrap().looks_like_room_code();
        assert!(looks("42261597832"));
        assert!(looks("422 615 97832"));
        assert!(!looks("607452e01401526ee39609e1"));
        assert!(!looks("607452001401526003960901"));
    }

    #[test]
    fn fingerprints_tell_the_two_cells_apart() {
        assert_eq!(Fingerprint::of("a", "b"), Fingerprint::of("a", "b"));
        assert_ne!(Fingerprint::of("ab", "c"), Fingerprint::of("a", "bc"));
        assert_ne!(Fingerprint::of("a", "B"), Fingerprint::of("a", "b"));
    }
}
