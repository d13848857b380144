//! What an id is. This file is the only place that decides it: for lists, exclusions and the entries of a queue.
//!
//! DingTalk documents no format. Its conference ids look like 24 hex digits, its union ids like `n7YGPhYSw5iEiE` or
//! `$:LWCP_v1:$4Xq2bA==`. So the rule is wide: ASCII letters and digits, and the signs of base64, of URLs and of those
//! prefixes. Whatever else stands in such a cell came from a spreadsheet, a chat or a program that failed, and the id
//! under it is unknown. Sending it would ask DingTalk about a meeting that nobody named. In an exclusion list it would be
//! worse: the meeting that was meant would be closed. Nothing is repaired either, because a repair is a guess.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest accepted id, in bytes. DingTalk documents no limit, and its ids have 24 to 40 characters. A much longer
/// text is a paragraph pasted into the wrong cell.
pub(crate) const MAX_ID_BYTES: usize = 256;

/// The signs that an id may contain beside ASCII letters and digits.
const SIGNS: &str = "+/=-_.:$@~";

/// Words that programs and people write where there is no id, in lower case.
const PLACEHOLDERS: [&str; 30] = [
    "null",
    "(null)",
    "<null>",
    "[null]",
    "\\n",
    "nil",
    "none",
    "(none)",
    "<none>",
    "undefined",
    "nan",
    "nat",
    "na",
    "n/a",
    "n.a.",
    "n.a",
    "<na>",
    "inf",
    "-inf",
    "infinity",
    "empty",
    "(empty)",
    "blank",
    "(blank)",
    "missing",
    "unknown",
    "tbd",
    "total",
    "sum",
    "subtotal",
];

/// The errors that Excel shows in a cell, in upper case.
const FORMULA_ERRORS: [&str; 16] = [
    "#N/A",
    "#REF!",
    "#NAME?",
    "#VALUE!",
    "#DIV/0!",
    "#NUM!",
    "#NULL!",
    "#SPILL!",
    "#CALC!",
    "#GETTING_DATA",
    "#FIELD!",
    "#BLOCKED!",
    "#CONNECT!",
    "#UNKNOWN!",
    "#BUSY!",
    "#EXTERNAL!",
];

/// Why a cell is not an id. The text says what was found; [`IdProblem::hint`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdProblem {
    /// An empty cell.
    #[error("is empty")]
    Empty,
    /// A line break, a NUL or another control character.
    #[error("contains the control character U+{0:04X}")]
    ControlCharacter(u32),
    /// A character without width, such as a direction mark from a chat.
    #[error("contains the invisible character U+{0:04X}")]
    InvisibleCharacter(u32),
    /// Another character that no id contains.
    #[error("contains {0:?} (U+{code:04X}), which no id contains", code = *.0 as u32)]
    ForeignCharacter(char),
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
    /// TRUE or FALSE.
    #[error("is the truth value {0}")]
    TruthValue(String),
    /// A formula that failed.
    #[error("is the formula error {0}")]
    FailedFormula(String),
    /// A formula in a sheet that was saved without its value.
    #[error("is a formula, and the file was saved without its value")]
    NoValue,
    /// A formula in place of its value.
    #[error("is the formula {0:?}, not its value")]
    Formula(String),
    /// A word or sign that stands for "no value".
    #[error("is {0:?}, which is no id")]
    Placeholder(String),
}

impl IdProblem {
    /// What to do, if that is not obvious.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MangledNumber(_) | Self::Number(_) | Self::Date(_) | Self::TruthValue(_) => Some(
                "format the column as text in the spreadsheet, paste the ids again, and save the list again",
            ),
            Self::TooLong(_) => Some("look for a missing quote or delimiter on this line"),
            Self::ControlCharacter(_) | Self::InvisibleCharacter(_) => {
                Some("remove the line break or invisible character from the cell")
            }
            Self::ForeignCharacter(_) => {
                Some("an id has only ASCII letters, digits and the signs + / = - _ . : $ @ ~")
            }
            Self::FailedFormula(_) | Self::Formula(_) => {
                Some("fix the formula, or replace it with the id as text")
            }
            Self::NoValue => Some("open the workbook in Excel, which calculates it, and save it again"),
            Self::Empty | Self::Placeholder(_) => None,
        }
    }
}

/// The id of one video meeting: DingTalk's `conferenceId`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConferenceId(Arc<str>);

/// The id of a person within one developer account: DingTalk's `unionId`. Here it is the meeting's host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnionId(Arc<str>);

impl ConferenceId {
    /// Parses a trimmed cell.
    pub fn parse(cell: &str) -> Result<Self, IdProblem> {
        check(cell)?;
        Ok(Self(cell.into()))
    }

    /// The id as it is sent to DingTalk.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the id may be a room code, which people see and dial (`42261597832`): only digits, and less than 20.
    pub fn looks_like_room_code(&self) -> bool {
        self.0.len() < 20 && self.0.bytes().all(|byte| byte.is_ascii_digit())
    }
}

impl std::borrow::Borrow<str> for ConferenceId {
    fn borrow(&self) -> &str {
        &self.0
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
    if is_mangled_number(cell) {
        return Err(IdProblem::MangledNumber(cell.to_owned()));
    }
    if FORMULA_ERRORS.iter().any(|error| error.eq_ignore_ascii_case(cell)) {
        return Err(IdProblem::FailedFormula(cell.to_owned()));
    }
    if ["true", "false"].iter().any(|truth| truth.eq_ignore_ascii_case(cell)) {
        return Err(IdProblem::TruthValue(cell.to_owned()));
    }
    // A formula that refers to an empty cell shows 0.
    let says_nothing = cell.bytes().all(|byte| byte.is_ascii_punctuation() || byte == b'0');
    if says_nothing || PLACEHOLDERS.iter().any(|word| word.eq_ignore_ascii_case(cell)) {
        return Err(IdProblem::Placeholder(cell.to_owned()));
    }
    if let Some(foreign) = cell.chars().find(|c| !c.is_ascii_alphanumeric() && !SIGNS.contains(*c)) {
        return Err(match foreign {
            c if c.is_control() => IdProblem::ControlCharacter(c as u32),
            c if is_invisible(c) => IdProblem::InvisibleCharacter(c as u32),
            c => IdProblem::ForeignCharacter(c),
        });
    }
    // In base64, `=` stands at the end only.
    if cell.starts_with('=') {
        return Err(IdProblem::Formula(cell.to_owned()));
    }
    Ok(())
}

/// Characters that take no room, or look like an ordinary blank: soft hyphen, joiners, direction marks, special spaces,
/// fillers, variation selectors, tags.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{1680}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3000}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What both kinds of id make of a cell.
    fn parse(cell: &str) -> Result<String, IdProblem> {
        let id = ConferenceId::parse(cell).map(|id| id.to_string());
        assert_eq!(UnionId::parse(cell).map(|id| id.to_string()), id);
        id
    }

    #[test]
    fn an_id_is_accepted_unchanged() {
        for id in [
            "607452e01401526ee39609e1",
            "n7YGPhYSw5CBKzPTCBYdLJiEiE",
            "$:LWCP_v1:$4Xq2bA==",
            "aGk+Lz8/Pw==",
            "../x",
            "a/b",
            "-4a238740253bbdcbfdc2830",
            "user@corp~1.x",
            "6e23",
            "1E5",
            "nullable",
            "42261597832",
        ] {
            assert_eq!(parse(id).unwrap(), id);
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_with_its_reason() {
        assert_eq!(parse(""), Err(IdProblem::Empty));
        assert_eq!(parse("a\nb"), Err(IdProblem::ControlCharacter(10)));
        assert_eq!(parse(&"x".repeat(256)).unwrap().len(), 256);
        assert_eq!(parse(&"x".repeat(257)), Err(IdProblem::TooLong(257)));
        assert_eq!(parse("x\u{7f}"), Err(IdProblem::ControlCharacter(0x7f)));
        assert_eq!(parse("=A1"), Err(IdProblem::Formula("=A1".into())));
        for cell in ["a b", "会议", "\"u1\"", "u1\"", "a,b", "a?b", "a#b", "a&b", "%2e", "x\\y", "é", "🎉a"]
        {
            assert!(matches!(parse(cell), Err(IdProblem::ForeignCharacter(_))), "{cell}");
        }
        let problem = parse("ａbc").unwrap_err();
        assert_eq!(problem.to_string(), "contains 'ａ' (U+FF41), which no id contains");
    }

    #[test]
    fn a_character_that_cannot_be_seen_is_named() {
        for code in [
            0xad, 0xa0, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x202a, 0x202e, 0x2060, 0x2066,
            0x2069, 0xfeff, 0x3000, 0x3164, 0xfe0f, 0xe0041,
        ] {
            let hidden = char::from_u32(code).unwrap();
            for cell in [format!("conf{hidden}A1"), format!("{hidden}confA1"), format!("confA1{hidden}")] {
                assert_eq!(parse(&cell), Err(IdProblem::InvisibleCharacter(code)), "{code:x}");
            }
        }
    }

    #[test]
    fn what_stands_for_no_value_is_never_an_id_in_any_letter_case() {
        for cell in [
            "NULL",
            "(null)",
            "Nil",
            "none",
            "undefined",
            "NaN",
            "N/A",
            "-",
            "--",
            "---",
            "...",
            "..",
            ".",
            "?",
            "0",
            "000",
            "0-0",
            "Total",
            "SUM",
            "tbd",
            "/",
            "=",
        ] {
            assert_eq!(parse(cell), Err(IdProblem::Placeholder(cell.into())), "{cell}");
        }
        for cell in ["TRUE", "false", "True"] {
            assert_eq!(parse(cell), Err(IdProblem::TruthValue(cell.into())));
        }
        for cell in FORMULA_ERRORS.iter().copied().chain(["#n/a", "#ref!"]) {
            assert_eq!(parse(cell), Err(IdProblem::FailedFormula(cell.into())));
        }
        for cell in ["#NV", "#BEZUG!", "####", "合计"] {
            assert!(parse(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn a_number_that_a_spreadsheet_rounded_is_refused_with_a_hint() {
        for cell in ["6.07E+23", "6,07E+23", "6.07452E23", "6E+23", "1.5e-7"] {
            let problem = parse(cell).unwrap_err();
            assert_eq!(problem, IdProblem::MangledNumber(cell.into()));
            assert!(problem.hint().unwrap().contains("format the column as text"));
        }
    }

    #[test]
    fn a_short_number_looks_like_a_room_code_and_a_hex_id_does_not() {
        let looks = |id| ConferenceId::parse(id).unwrap().looks_like_room_code();
        assert!(looks("42261597832"));
        assert!(!looks("607452e01401526ee39609e1"));
        assert!(!looks("607452001401526003960901"));
    }

    proptest! {
        #[test]
        fn an_id_has_only_letters_digits_and_signs(cell in ".{0,40}") {
            if let Ok(id) = parse(&cell) {
                prop_assert_eq!(&id, &cell);
                prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || SIGNS.as_bytes().contains(&byte)));
            }
        }
    }
}
