//! Lists as the command line names them.

use std::path::{Path, PathBuf};

use super::ListError;

/// A list, not opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListName {
    /// The path, or `-` for standard input.
    pub path: PathBuf,
    /// The sheet of a workbook; without one, the first that can be seen. A CSV file has none.
    pub sheet: Option<String>,
}

impl From<PathBuf> for ListName {
    fn from(path: PathBuf) -> Self {
        Self { path, sheet: None }
    }
}

impl ListName {
    /// These lists, of whose workbooks this sheet is meant. A sheet without a workbook is an error: it was meant for
    /// another list.
    pub(crate) fn all(paths: &[PathBuf], sheet: Option<&str>) -> Result<Vec<Self>, ListError> {
        if let Some(sheet) = sheet
            && !paths.iter().any(|path| is_workbook(path))
        {
            let option = format!("--sheet {sheet:?}").into();
            return Err(ListError::new(&option, "none of the lists is a workbook (.xlsx)")
                .hint("name a list that ends in .xlsx, or leave --sheet out"));
        }
        let name = |path: &PathBuf| Self {
            path: path.clone(),
            sheet: sheet.filter(|_| is_workbook(path)).map(ToOwned::to_owned),
        };
        Ok(paths.iter().map(name).collect())
    }
}

/// Whether a list is an Excel workbook: its ending says so.
pub(super) fn is_workbook(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_makes_a_workbook_whatever_its_letter_case() {
        for (path, expected) in [
            ("a.xlsx", true),
            ("a.XLSX", true),
            ("b/a.b.Xlsx", true),
            ("a.xls", false),
            ("xlsx", false),
            ("-", false),
        ] {
            assert_eq!(is_workbook(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_sheet_is_of_the_workbooks_alone_and_needs_one() {
        let names = ListName::all(&["a.csv".into(), "b.xlsx".into()], Some("Tonight")).unwrap();
        assert_eq!((names[0].sheet.as_deref(), names[1].sheet.as_deref()), (None, Some("Tonight")));
        let error = ListName::all(&["a.csv".into()], Some("Tonight")).unwrap_err().to_string();
        assert_eq!(error, "--sheet \"Tonight\": none of the lists is a workbook (.xlsx)");
        assert!(ListName::all(&[], Some("Tonight")).is_err());
    }
}
