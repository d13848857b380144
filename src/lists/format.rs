//! What a file is, by its first bytes, where it is not what its name says.

use std::sync::Arc;

use super::ListError;

/// A format that is known by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A zip file, which an `.xlsx` is.
    Zip,
    /// An old `.xls`, or an `.xlsx` under a password.
    CompoundFile,
    /// A file that is compressed as a whole.
    Gzip,
}

impl Format {
    /// How many bytes have to be seen.
    pub(super) const BYTES: usize = 8;

    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let formats: [(&[u8], Self); 3] = [
            (b"PK\x03\x04", Self::Zip),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Self::CompoundFile),
            (b"\x1f\x8b", Self::Gzip),
        ];
        formats.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, format)| format)
    }

    /// Why such a file is not read as CSV.
    pub(super) fn is_no_csv(self, source: &Arc<str>) -> ListError {
        let (problem, hint) = match self {
            Self::Zip => (
                "it is an Excel workbook (.xlsx), and a CSV file is expected",
                "name the file so that it ends in .xlsx, or in Excel, save it as \"CSV UTF-8 (comma delimited)\"",
            ),
            Self::CompoundFile => (
                "it is an old Excel workbook (.xls) or an encrypted one, and a CSV file is expected",
                "in Excel, save it as .xlsx without a password, or as \"CSV UTF-8 (comma delimited)\"",
            ),
            Self::Gzip => return gzip(source),
        };
        ListError::new(source, problem).hint(hint)
    }
}

pub(super) fn gzip(source: &Arc<str>) -> ListError {
    ListError::new(source, "it is compressed with gzip").hint("unpack it with gzip -d")
}
