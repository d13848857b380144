//! Recognises a file's format by its first bytes, for files whose name does not fit their content.

use std::sync::Arc;

use super::error::ListError;

/// A format that can be recognised by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A zip file; an `.xlsx` workbook is one.
    Zip,
    /// An old `.xls` workbook, or an `.xlsx` workbook with a password.
    CompoundFile,
    Gzip,
}

impl Format {
    /// How many first bytes [`Format::of`] needs.
    pub(super) const BYTES: usize = 8;

    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let formats: [(&[u8], Self); 3] = [
            (b"PK\x03\x04", Self::Zip),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Self::CompoundFile),
            (b"\x1f\x8b", Self::Gzip),
        ];
        formats.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, format)| format)
    }

    /// The error for such a file in place of a CSV file.
    pub(super) fn not_csv(self, source: &Arc<str>) -> ListError {
        let (problem, hint) = match self {
            Self::Zip => (
                "expected a CSV file, found an Excel workbook (.xlsx)",
                "rename the file so that it ends in .xlsx, or save it in Excel as \"CSV UTF-8 (comma delimited)\"",
            ),
            Self::CompoundFile => (
                "expected a CSV file, found an old (.xls) or encrypted Excel workbook",
                "save it in Excel as .xlsx without a password, or as \"CSV UTF-8 (comma delimited)\"",
            ),
            Self::Gzip => return gzip(source),
        };
        ListError::new(source, problem).hint(hint)
    }
}

pub(super) fn gzip(source: &Arc<str>) -> ListError {
    ListError::new(source, "the file is compressed with gzip").hint("unpack it with gzip -d")
}
