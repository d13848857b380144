//! A cell of a spreadsheet: its kind, and its text.
//!
//! Invariant: a number is taken as an id only if its digits are certainly those that were typed.

use calamine::{DataRef, ExcelDateTime};

use crate::lists::cell::clean;
use crate::lists::cell_kind::CellKind;

/// A spreadsheet keeps fifteen digits of a number and rounds the rest.
const FIRST_INEXACT: f64 = 1e15;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SheetCell {
    pub(super) kind: CellKind,
    /// What the spreadsheet shows, or nearly so.
    pub(super) text: String,
}

impl SheetCell {
    pub(super) const BLANK: Self = Self { kind: CellKind::Text, text: String::new() };

    /// A formula that was saved without its value.
    pub(super) const NO_VALUE: Self = Self { kind: CellKind::NoValue, text: String::new() };

    /// A cell's value under its number format.
    pub(super) fn of(value: &DataRef<'_>, format: &str) -> Self {
        let cell = |kind, text| Self { kind, text };
        match value {
            DataRef::Empty => Self::BLANK,
            DataRef::String(text) => cell(CellKind::Text, clean(text).to_owned()),
            DataRef::SharedString(text) => cell(CellKind::Text, clean(text).to_owned()),
            DataRef::Int(number) => number_cell(*number as f64, format),
            DataRef::Float(number) => number_cell(*number, format),
            DataRef::Bool(value) => cell(CellKind::TruthValue, value.to_string().to_uppercase()),
            DataRef::DateTime(date) => cell(CellKind::Date, date_text(date)),
            DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => cell(CellKind::Date, text.clone()),
            DataRef::Error(error) => cell(CellKind::Error, error.to_string()),
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        *self == Self::BLANK
    }
}

/// A whole number of up to fifteen digits is taken as text. Other numbers are not: one that is shown with an exponent
/// may have been typed as `6e12`, one that is shown with leading zeros has lost them, and the rest have lost digits.
fn number_cell(number: f64, format: &str) -> SheetCell {
    let cell = |kind, text| SheetCell { kind, text };
    if is_scientific(format) || !number.is_finite() || number.abs() >= FIRST_INEXACT {
        let text = format!("{number:E}");
        let signed = if text.contains("E-") { text } else { text.replace('E', "E+") };
        return cell(CellKind::Number, signed);
    }
    let digits = number.to_string();
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    let kind =
        if is_whole && least_digits(format) <= digits.len() { CellKind::Text } else { CellKind::Number };
    cell(kind, digits)
}

fn is_scientific(format: &str) -> bool {
    ["E+", "E-", "e+", "e-"].iter().any(|exponent| format.contains(exponent))
}

/// How many digits before the decimal point a number format always shows.
fn least_digits(format: &str) -> usize {
    let positive = format.split(';').next().unwrap_or_default();
    let before_point = positive.split('.').next().unwrap_or_default();
    before_point.matches('0').count()
}

fn date_text(date: &ExcelDateTime) -> String {
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

    fn read(value: &DataRef<'_>, format: &str) -> (CellKind, String) {
        let SheetCell { kind, text } = SheetCell::of(value, format);
        (kind, text)
    }

    fn number(number: f64, format: &str) -> (CellKind, String) {
        read(&DataRef::Float(number), format)
    }

    #[test]
    fn a_whole_number_of_up_to_fifteen_digits_is_text() {
        for format in
            ["General", "GENERAL", "@", "0", "#,##0", "0_ ", "0_);[Red]\\(0\\)", "0;[Red]-0", "0.00", "00000"]
        {
            let expected = (CellKind::Text, "42261597832".to_owned());
            assert_eq!(number(42_261_597_832.0, format), expected, "{format}");
        }
        assert_eq!(number(999_999_999_999_999.0, "General"), (CellKind::Text, "999999999999999".into()));
        assert_eq!(number(0.0, "General"), (CellKind::Text, "0".into()));
    }

    #[test]
    fn a_number_that_may_have_lost_digits_stays_a_number() {
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
            assert_eq!(number(value, format), (CellKind::Number, shown.into()), "{value} {format}");
        }
        assert_eq!(number(f64::NAN, "General").0, CellKind::Number);
        assert_eq!(number(f64::INFINITY, "General").0, CellKind::Number);
    }

    #[test]
    fn dates_truth_values_and_errors_keep_the_text_that_is_shown() {
        let date = |value| DataRef::DateTime(ExcelDateTime::new(value, ExcelDateTimeType::DateTime, false));
        for (value, expected) in [
            (date(46_349.0), (CellKind::Date, "2026-11-23")),
            (date(46_349.75), (CellKind::Date, "2026-11-23 18:00:00")),
            (date(0.5), (CellKind::Date, "12:00:00")),
            (DataRef::DateTimeIso("2026-11-23".into()), (CellKind::Date, "2026-11-23")),
            (DataRef::Bool(true), (CellKind::TruthValue, "TRUE")),
            (DataRef::Error(CellErrorType::NA), (CellKind::Error, "#N/A")),
        ] {
            assert_eq!(read(&value, "General"), (expected.0, expected.1.to_owned()));
        }
    }

    #[test]
    fn text_is_cleaned_and_otherwise_unchanged() {
        for text in ["id", " id\t", "'id", "\u{3000}id"] {
            assert_eq!(read(&DataRef::SharedString(text), "General"), (CellKind::Text, "id".into()));
            assert_eq!(read(&DataRef::String(text.into()), "@"), (CellKind::Text, "id".into()));
        }
        let sixteen = "0012345678901234";
        assert_eq!(read(&DataRef::SharedString(sixteen), "0"), (CellKind::Text, sixteen.into()));
    }
}
