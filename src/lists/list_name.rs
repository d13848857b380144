//! Lists as the command line names them: a path, and for a workbook a sheet.

use std::path::{Path, PathBuf};

use super::error::ListError;

/// A list that is not open yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListName {
    /// The path, or `-` for standard input.
    pub path: PathBuf,
    /// The sheet of a workbook; `None`: the first visible sheet. A CSV file has no sheet.
    pub sheet: Option<String>,
}

impl From<PathBuf> for ListName {
    fn from(path: PathBuf) -> Self {
        Self { path, sheet: None }
    }
}

impl ListName {
    /// These lists. `sheet` applies to each workbook among them. A sheet without a workbook is an error, because the
    /// user meant another list.
    pub(crate) fn all(paths: &[PathBuf], sheet: Option<&str>) -> Result<Vec<Self>, ListError> {
        if let Some(sheet) = sheet
            && !paths.iter().any(|path| is_workbook(path))
        {
            let option = format!("--sheet {sheet:?}").into();
            return Err(ListError::new(&option, "none of the lists is a workbook (.xlsx)")
                .hint("name a list that ends in .xlsx, or leave out --sheet"));
        }
        let name = |path: &PathBuf| Self {
            path: path.clone(),
            sheet: sheet.filter(|_| is_workbook(path)).map(ToOwned::to_owned),
        };
        Ok(paths.iter().map(name).collect())
    }
}

/// Whether the file name's ending is that of an Excel workbook.
pub(super) fn is_workbook(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workbook_is_recognised_by_its_ending_in_any_letter_case() {
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
    fn a_sheet_applies_to_workbooks_only_and_needs_one() {
        let names = ListName::all(&["a.csv".into(), "b.xlsx".into()], Some("Tonight")).unwrap();
        assert_eq!((names[0].sheet.as_deref(), names[1].sheet.as_deref()), (None, Some("Tonight")));
        let error = ListName::all(&["a.csv".into()], Some("Tonight")).unwrap_err().to_string();
        assert_eq!(error, "--sheet \"Tonight\": none of the lists is a workbook (.xlsx)");
        assert!(ListName::all(&[], Some("Tonight")).is_err());
    }
}
