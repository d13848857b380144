//! A spreadsheet's cell: the text in it, or what it is instead.
//!
//! Invariant: a number is taken for an id where its digits are those that were typed, and nowhere else.

use calamine::{DataRef, ExcelDateTime};

use crate::lists::cell::clean;
use crate::meeting::IdProblem;

/// Beyond fifteen digits a spreadsheet rounds.
const FIRST_INEXACT: f64 = 1e15;

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lists) enum Kind {
    /// Text, or a number that stands for its digits.
    Text,
    /// A number that may not be what was typed.
    Number,
    /// A date, a time, a duration.
    Date,
    /// TRUE or FALSE.
    TruthValue,
    /// What a formula that failed leaves.
    Error,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Text, Self::Number, Self::Date, Self::TruthValue, Self::Error];

    /// The word for it in a rewritten list.
    pub(in crate::lists) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
            Self::TruthValue => "truth value",
            Self::Error => "error",
        }
    }

    pub(in crate::lists) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Why such a cell is no id.
    pub(in crate::lists) fn problem(self, shown: &str) -> Option<IdProblem> {
        let shown = || shown.to_owned();
        match self {
            Self::Text => None,
            Self::Number => Some(IdProblem::Number(shown())),
            Self::Date => Some(IdProblem::Date(shown())),
            Self::TruthValue => Some(IdProblem::TruthValue(shown())),
            Self::Error => Some(IdProblem::FailedFormula(shown())),
        }
    }
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SheetCell {
    pub(in crate::lists) kind: Kind,
    /// What it shows, or nearly so.
    pub(in crate::lists) text: String,
}

impl SheetCell {
    pub(in crate::lists) const BLANK: Self = Self { kind: Kind::Text, text: String::new() };

    /// A cell's value under its number format.
    pub(in crate::lists) fn of(value: &DataRef<'_>, format: &str) -> Self {
        let cell = |kind, text| Self { kind, text };
        match value {
            DataRef::Empty => Self::BLANK,
            DataRef::String(text) => cell(Kind::Text, clean(text).to_owned()),
            DataRef::SharedString(text) => cell(Kind::Text, clean(text).to_owned()),
            DataRef::Int(number) => number_cell(*number as f64, format),
            DataRef::Float(number) => number_cell(*number, format),
            DataRef::Bool(value) => cell(Kind::TruthValue, value.to_string().to_uppercase()),
            DataRef::DateTime(date) => cell(Kind::Date, written(date)),
            DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => cell(Kind::Date, text.clone()),
            DataRef::Error(error) => cell(Kind::Error, error.to_string()),
        }
    }

    pub(in crate::lists) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }
}

/// A whole number of up to fifteen digits is its digits. One that is shown with an exponent may have been `6e12`, one
/// that is shown with zeros before it has lost them, and of all others digits are missing.
fn number_cell(number: f64, format: &str) -> SheetCell {
    let cell = |kind, text| SheetCell { kind, text };
    if is_scientific(format) || !number.is_finite() || number.abs() >= FIRST_INEXACT {
        let text = format!("{number:E}");
        let signed = if text.contains("E-") { text } else { text.replace('E', "E+") };
        return cell(Kind::Number, signed);
    }
    let digits = number.to_string();
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    let kind = if is_whole && least_digits(format) <= digits.len() { Kind::Text } else { Kind::Number };
    cell(kind, digits)
}

fn is_scientific(format: &str) -> bool {
    ["E+", "E-", "e+", "e-"].iter().any(|exponent| format.contains(exponent))
}

/// How many digits before the point a format always shows.
fn least_digits(format: &str) -> usize {
    let positive = format.split(';').next().unwrap_or_default();
    let before_point = positive.split('.').next().unwrap_or_default();
    before_point.matches('0').count()
}

fn written(date: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
    let (day, time) =
        (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"));
    match date.as_f64() {
        value if value < 1.0 => time,
        value if value.fract() == 0.0 => day,
        _ => format!("{day} {time}"),
    }
}

#[cfg(test)]
mod tests {
    use calamine::{CellErrorType, ExcelDateTimeType};

    use super::*;

    fn said(value: &DataRef<'_>, format: &str) -> (Kind, String) {
        let SheetCell { kind, text } = SheetCell::of(value, format);
        (kind, text)
    }

    fn number(number: f64, format: &str) -> (Kind, String) {
        said(&DataRef::Float(number), format)
    }

    #[test]
    fn a_whole_number_small_enough_to_be_exact_is_its_digits() {
        for format in
            ["General", "GENERAL", "@", "0", "#,##0", "0_ ", "0_);[Red]\\(0\\)", "0;[Red]-0", "0.00", "00000"]
        {
            let expected = (Kind::Text, "42261597832".to_owned());
            assert_eq!(number(42_261_597_832.0, format), expected, "{format}");
        }
        assert_eq!(number(999_999_999_999_999.0, "General"), (Kind::Text, "999999999999999".into()));
        assert_eq!(number(0.0, "General"), (Kind::Text, "0".into()));
    }

    #[test]
    fn a_number_that_may_not_be_what_was_typed_is_none() {
        for (value, format, shown) in [
            (1e15, "General", "1E+15"),
            (1_234_567_890_123_456.0, "0", "1.234567890123456E+15"),
            (6.074_52e23, "0.00E+00", "6.07452E+23"),
            (6e12, "0.00E+00", "6E+12"),
            (6e12, "##0.0E+0", "6E+12"),
            (1.5, "General", "1.5"),
            (1e-7, "0.00E+00", "1E-7"),
            (-5.0, "General", "-5"),
            (-1e20, "General", "-1E+20"),
            (123.0, "00000", "123"),
            (123.0, "0,000;0", "123"),
        ] {
            assert_eq!(number(value, format), (Kind::Number, shown.into()), "{value} {format}");
        }
        assert_eq!(number(f64::NAN, "General").0, Kind::Number);
        assert_eq!(number(f64::INFINITY, "General").0, Kind::Number);
    }

    #[test]
    fn what_is_neither_text_nor_a_number_is_told_as_it_is_shown() {
        let date = |value| DataRef::DateTime(ExcelDateTime::new(value, ExcelDateTimeType::DateTime, false));
        for (value, expected) in [
            (date(46_349.0), (Kind::Date, "2026-11-23")),
            (date(46_349.75), (Kind::Date, "2026-11-23 18:00:00")),
            (date(0.5), (Kind::Date, "12:00:00")),
            (DataRef::DateTimeIso("2026-11-23".into()), (Kind::Date, "2026-11-23")),
            (DataRef::Bool(true), (Kind::TruthValue, "TRUE")),
            (DataRef::Error(CellErrorType::NA), (Kind::Error, "#N/A")),
        ] {
            assert_eq!(said(&value, "General"), (expected.0, expected.1.to_owned()));
        }
    }

    #[test]
    fn text_is_an_id_without_what_surrounds_it() {
        for text in ["id", " id\t", "'id", "\u{3000}id"] {
            assert_eq!(said(&DataRef::SharedString(text), "General"), (Kind::Text, "id".into()));
            assert_eq!(said(&DataRef::String(text.into()), "@"), (Kind::Text, "id".into()));
        }
        let sixteen = "0012345678901234";
        assert_eq!(said(&DataRef::SharedString(sixteen), "0"), (Kind::Text, sixteen.into()));
    }

    #[test]
    fn every_kind_is_known_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named(""), None);
    }
}
