//! Recognises a file's format by its content, for files whose name does not fit their content.

use std::borrow::Cow;
use std::io::{Read, Seek};
use std::sync::Arc;

use zip::ZipArchive;

use super::error::ListError;

const AS_CSV: &str = "save it in Excel as .xlsx, or as \"CSV UTF-8 (comma delimited)\"";

/// A format that can be recognised by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A zip file; an `.xlsx` workbook is one. [`ZipContent`] says more.
    Zip,
    /// An old `.xls` workbook, or an `.xlsx` workbook with a password.
    CompoundFile,
    Gzip,
    Pdf,
    /// HTML or XML, which some programs save under the name of a workbook.
    Markup,
}

impl Format {
    /// How many first bytes [`Format::of`] needs.
    pub(super) const BYTES: usize = 8;

    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let formats: [(&[u8], Self); 9] = [
            (b"PK\x03\x04", Self::Zip),
            (b"PK\x05\x06", Self::Zip),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Self::CompoundFile),
            (b"\x1f\x8b", Self::Gzip),
            (b"%PDF-", Self::Pdf),
            (b"<!", Self::Markup),
            (b"<html", Self::Markup),
            (b"<table", Self::Markup),
            (b"<?xml", Self::Markup),
        ];
        let begins =
            |magic: &[u8]| start.get(..magic.len()).is_some_and(|start| start.eq_ignore_ascii_case(magic));
        formats.into_iter().find(|(magic, _)| begins(magic)).map(|(_, format)| format)
    }

    /// The error for such a file in place of a CSV file.
    pub(super) fn not_csv(self, source: &Arc<str>, file: impl Read + Seek) -> ListError {
        let (found, hint) = match self {
            Self::Zip => {
                let content = ZipContent::of(file);
                (content.name(), content.hint())
            }
            Self::CompoundFile => (
                "an old (.xls) or encrypted Excel workbook".to_owned(),
                "save it in Excel as .xlsx without a password, or as \"CSV UTF-8 (comma delimited)\""
                    .to_owned(),
            ),
            Self::Gzip | Self::Pdf | Self::Markup => return self.no_list(source, "a CSV file"),
        };
        ListError::new(source, format!("expected a CSV file, found {found}")).hint(hint)
    }

    /// The error for such a file in place of a workbook, unless it can be one.
    pub(super) fn not_workbook(self, source: &Arc<str>, file: impl Read + Seek) -> Option<ListError> {
        match self {
            Self::CompoundFile => None,
            Self::Gzip | Self::Pdf | Self::Markup => Some(self.no_list(source, "an Excel workbook (.xlsx)")),
            Self::Zip => match ZipContent::of(file) {
                ZipContent::Workbook | ZipContent::OfficeFile | ZipContent::Damaged => None,
                ZipContent::Archive(first) => Some(
                    ListError::new(
                        source,
                        "expected an Excel workbook (.xlsx), found a zip archive that is not a workbook",
                    )
                    .hint(archive_hint(first.as_deref())),
                ),
                content => Some(
                    ListError::new(
                        source,
                        format!("expected an Excel workbook (.xlsx), found {}", content.name()),
                    )
                    .hint(content.hint()),
                ),
            },
        }
    }

    /// The error for a file that is neither.
    fn no_list(self, source: &Arc<str>, expected: &str) -> ListError {
        let (found, hint) = match self {
            Self::Gzip => {
                return ListError::new(source, "the file is compressed with gzip")
                    .hint("unpack it with gzip -d");
            }
            Self::Pdf => ("a PDF document", "export the list as .xlsx or CSV from where it comes from"),
            Self::Markup => ("a web page or XML file", "open it in Excel and save it as .xlsx"),
            Self::Zip | Self::CompoundFile => ("another format", AS_CSV),
        };
        ListError::new(source, format!("expected {expected}, found {found}")).hint(hint)
    }
}

/// What a zip file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ZipContent {
    Workbook,
    BinaryWorkbook,
    OpenDocumentSheet,
    OpenDocument,
    Numbers,
    Word,
    PowerPoint,
    /// A file in the form of Office, of an unknown kind.
    OfficeFile,
    /// Another archive, with the name of its first file.
    Archive(Option<String>),
    Damaged,
}

impl ZipContent {
    fn of(file: impl Read + Seek) -> Self {
        let Ok(mut archive) = ZipArchive::new(file) else { return Self::Damaged };
        let names: Vec<String> = archive.file_names().filter_map(Result::ok).map(Cow::into_owned).collect();
        let has = |name: &str| names.iter().any(|found| found == name);
        let has_in = |folder: &str, ending: &str| {
            names.iter().any(|found| found.starts_with(folder) && found.ends_with(ending))
        };
        if has("xl/workbook.xml") {
            return Self::Workbook;
        }
        if has("xl/workbook.bin") {
            return Self::BinaryWorkbook;
        }
        if has("mimetype") {
            let mut kind = String::new();
            let read = archive.by_name("mimetype").map(|file| file.take(200).read_to_string(&mut kind));
            return match read {
                Ok(Ok(_)) if kind.starts_with("application/vnd.oasis.opendocument.spreadsheet") => {
                    Self::OpenDocumentSheet
                }
                Ok(Ok(_)) if kind.starts_with("application/vnd.oasis.opendocument") => Self::OpenDocument,
                _ => Self::Archive(first_file(&names)),
            };
        }
        if has_in("Index/", ".iwa") || has("Index.zip") {
            return Self::Numbers;
        }
        if has_in("word/", ".xml") {
            return Self::Word;
        }
        if has_in("ppt/", ".xml") {
            return Self::PowerPoint;
        }
        if has("[Content_Types].xml") { Self::OfficeFile } else { Self::Archive(first_file(&names)) }
    }

    fn name(&self) -> String {
        match self {
            Self::Workbook => "an Excel workbook (.xlsx)",
            Self::BinaryWorkbook => "a binary Excel workbook (.xlsb)",
            Self::OpenDocumentSheet => "an OpenDocument spreadsheet (.ods)",
            Self::OpenDocument => "an OpenDocument file",
            Self::Numbers => "a Numbers spreadsheet, or another file of Apple's iWork",
            Self::Word => "a Word document (.docx)",
            Self::PowerPoint => "a PowerPoint presentation (.pptx)",
            Self::OfficeFile => "an Office file of an unknown kind",
            Self::Archive(_) => "a zip archive",
            Self::Damaged => "a damaged zip archive",
        }
        .to_owned()
    }

    fn hint(&self) -> String {
        match self {
            Self::Workbook => {
                "rename the file so that it ends in .xlsx, or save it in Excel as \"CSV UTF-8 (comma delimited)\""
            }
            Self::BinaryWorkbook => "save it in Excel as \"Excel Workbook (.xlsx)\"",
            Self::OpenDocumentSheet => "save it in LibreOffice as \"Excel 2007-365 (.xlsx)\", or as CSV in UTF-8",
            Self::Numbers => "export it from Numbers as Excel (.xlsx) or CSV",
            Self::OpenDocument | Self::Word | Self::PowerPoint => "copy its table to a spreadsheet, and save that as .xlsx",
            Self::OfficeFile => AS_CSV,
            Self::Archive(first) => return archive_hint(first.as_deref()),
            Self::Damaged => "save or download the file again; it may be cut off",
        }
        .to_owned()
    }
}

fn first_file(names: &[String]) -> Option<String> {
    names.iter().find(|name| !name.ends_with('/')).cloned()
}

fn archive_hint(first: Option<&str>) -> String {
    match first {
        Some(first) => {
            format!("unpack the archive, and name the list that is in it: its first file is {first:?}")
        }
        None => "the archive is empty".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn zip(files: &[(&str, &str)]) -> Cursor<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(vec![]));
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap()
    }

    #[test]
    fn a_zip_file_is_named_for_what_it_holds() {
        const ODF: &str = "application/vnd.oasis.opendocument.";
        for (files, name, hint, is_refused) in [
            (&[("xl/workbook.xml", "")][..], "an Excel workbook (.xlsx)", "rename", false),
            (&[("xl/workbook.bin", "")], "a binary Excel workbook (.xlsb)", "save it in Excel as", true),
            (
                &[("mimetype", &format!("{ODF}spreadsheet"))],
                "an OpenDocument spreadsheet (.ods)",
                "save it in LibreOffice",
                true,
            ),
            (&[("mimetype", &format!("{ODF}text"))], "an OpenDocument file", "copy its table", true),
            (
                &[("Index/Document.iwa", "")],
                "a Numbers spreadsheet, or another",
                "export it from Numbers",
                true,
            ),
            (&[("word/document.xml", "")], "a Word document (.docx)", "copy its table", true),
            (&[("ppt/presentation.xml", "")], "a PowerPoint presentation (.pptx)", "copy its table", true),
            (&[("[Content_Types].xml", "")], "an Office file of an unknown kind", "save it in Excel", false),
            (&[("lists/", ""), ("tonight.csv", "")], "a zip archive", "unpack the archive", true),
            (&[], "a zip archive", "the archive is empty", true),
        ] {
            let source = "list".into();
            let error = Format::Zip.not_csv(&source, zip(files));
            assert!(error.problem.starts_with(&format!("expected a CSV file, found {name}")), "{error}");
            assert!(error.hint.unwrap().starts_with(hint), "{name}");
            let error = Format::Zip.not_workbook(&source, zip(files));
            assert_eq!(error.is_some(), is_refused, "{name}");
            if let Some(error) = error {
                assert!(
                    error.problem.starts_with(&format!("expected an Excel workbook (.xlsx), found {name}")),
                    "{error}"
                );
                assert!(error.hint.unwrap().starts_with(hint), "{name}");
            }
        }
    }

    #[test]
    fn formats_are_recognised_by_their_first_bytes_in_any_letter_case() {
        assert_eq!(Format::of(b"<HTML xm"), Some(Format::Markup));
        assert_eq!(Format::of(b"PK\x05\x06\0\0\0\0"), Some(Format::Zip));
        assert_eq!(Format::of(b"PK"), None);
        assert_eq!(Format::of(b""), None);
    }
}
