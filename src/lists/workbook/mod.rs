//! Reads one sheet of an Excel workbook as a list.
//!
//! The sheet is read once, when the list is opened, and its rows are rewritten as CSV. After that it is a list like any
//! other. Only while it is opened does calamine keep the workbook's texts in memory. Invariant: a damaged workbook is
//! refused whole.

use std::io::BufReader;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use calamine::{Reader as _, Sheet, SheetType, SheetVisible, Xlsx, XlsxError};

use self::sheet::SheetRows;
use super::error::ListError;
use super::format::Format;
use super::list::{List, Purpose};
use super::list_name::ListName;
use super::spool::{self, CopyFile, CopyReader, Original, Spool};
use crate::settings::InputSettings;
use crate::wording::count;

mod sheet;
mod sheet_cell;

type Workbook = Xlsx<BufReader<CopyReader>>;

/// Copies a workbook and rewrites the rows of its sheet.
pub(super) fn open(
    name: &ListName,
    columns: &InputSettings,
    purpose: Purpose,
    copies: &CopyFile,
) -> Result<List, ListError> {
    let source: Arc<str> = name.path.to_string_lossy().into();
    // The workbook itself is read once, so it has a copy of its own, which the system removes at the end of this function.
    let (original, format) = copy(&name.path, &source)?;
    // calamine computes with the row numbers of a damaged workbook without checking for overflow, and can panic.
    let read = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut workbook: Workbook = Xlsx::new(BufReader::new(original.copy.clone()))
            .map_err(|error| not_opened(&source, format, &error))?;
        let sheet = choose(&source, &mut workbook, name.sheet.as_deref(), purpose)?;
        let rows = rows_of(&source, &mut workbook, &sheet)?;
        let (header, rewritten) = sheet::rewrite(&source, &sheet, rows, columns, purpose)?;
        Ok((sheet, header, rewritten))
    }));
    let (sheet, header, rewritten) = read
        .unwrap_or_else(|_| Err(ListError::damaged_workbook(&source, &"its cells have invalid positions")))?;
    let spool = Spool::of_sheet(source, &sheet, original, rewritten, copies)?;
    Ok(List { spool, header, first_line: 1 })
}

/// Copies the file. The error says what the file is if it is not a workbook.
fn copy(path: &Path, source: &Arc<str>) -> Result<(Original, Format), ListError> {
    let mut start = vec![];
    let original = CopyFile::default().copy(source, spool::open(path, source)?, |piece| {
        let room = Format::BYTES - start.len();
        start.extend_from_slice(&piece[..piece.len().min(room)]);
    })?;
    match Format::of(&start) {
        Some(format) => {
            format.not_workbook(source, original.copy.clone()).map_or(Ok((original, format)), Err)
        }
        None if start.is_empty() => {
            Err(ListError::new(source, "expected an Excel workbook (.xlsx), found an empty file"))
        }
        None => Err(ListError::new(source, "expected an Excel workbook (.xlsx), found another format")
            .hint("if the list is CSV, rename it so that its name ends in .csv")),
    }
}

/// The name of the sheet to read: the named sheet, or else the first visible one. Exclusions on other sheets would be
/// missed, so a workbook of exclusions may have only one sheet with rows.
fn choose(
    source: &Arc<str>,
    workbook: &mut Workbook,
    named: Option<&str>,
    purpose: Purpose,
) -> Result<String, ListError> {
    let is_list = |sheet: &&Sheet| sheet.typ == SheetType::WorkSheet;
    let sheets: Vec<Sheet> = workbook.sheets_metadata().iter().filter(is_list).cloned().collect();
    if let Some(named) = named {
        let same = |sheet: &&Sheet| sheet.name.to_lowercase() == named.to_lowercase();
        return sheets.iter().find(same).map(|sheet| sheet.name.clone()).ok_or_else(|| {
            ListError::new(source, format!("the workbook has no sheet {named:?}"))
                .hint(format!("its sheets are {}", in_words(&sheets)))
        });
    }
    let visible: Vec<Sheet> =
        sheets.into_iter().filter(|sheet| sheet.visible == SheetVisible::Visible).collect();
    let first = visible.first().ok_or_else(|| ListError::new(source, "the workbook has no visible sheet"))?;
    if visible.len() > 1 {
        match purpose {
            Purpose::ToClose => {
                let sheets = count(visible.len() as u64, "visible sheet");
                tracing::info!(list = %source, "the workbook has {sheets}; reading {:?} (choose another with --sheet)", first.name);
            }
            Purpose::Exclusions => refuse_other_sheets(source, workbook, &visible)?,
        }
    }
    Ok(first.name.clone())
}

/// Refuses a workbook of exclusions if a visible sheet after the first has rows.
fn refuse_other_sheets(
    source: &Arc<str>,
    workbook: &mut Workbook,
    visible: &[Sheet],
) -> Result<(), ListError> {
    for sheet in &visible[1..] {
        if rows_of(source, workbook, &sheet.name)?.next().is_some() {
            let problem = format!(
                "the workbook has several sheets ({}), and exclusions on all but the first would be missed",
                in_words(visible)
            );
            return Err(ListError::new(source, problem)
                .hint("keep the exclusions in a workbook with one sheet, or save their sheet as CSV"));
        }
    }
    Ok(())
}

fn rows_of<'w>(
    source: &Arc<str>,
    workbook: &'w mut Workbook,
    sheet: &str,
) -> Result<SheetRows<'w, BufReader<CopyReader>>, ListError> {
    let damaged = |error| ListError::damaged_workbook(source, &error);
    let formulas = workbook.worksheet_cells_reader(sheet).map_err(damaged)?;
    let without_value = sheet::formulas_without_value(formulas).map_err(damaged)?;
    let cells = workbook.worksheet_cells_reader(sheet).map_err(damaged)?;
    Ok(SheetRows::of(cells, without_value))
}

fn in_words(sheets: &[Sheet]) -> String {
    sheets.iter().map(|sheet| format!("{:?}", sheet.name)).collect::<Vec<_>>().join(", ")
}

/// The error if calamine cannot open the workbook.
fn not_opened(source: &Arc<str>, format: Format, error: &XlsxError) -> ListError {
    match (format, error) {
        (_, XlsxError::Password) => {
            ListError::new(source, "the workbook is encrypted").hint("save it in Excel without a password")
        }
        (Format::CompoundFile, _) => {
            ListError::new(source, "expected an Excel workbook (.xlsx), found an old one (.xls)")
                .hint("save it in Excel as \"Excel Workbook (.xlsx)\"")
        }
        (Format::Zip | Format::Gzip | Format::Pdf | Format::Markup, error) => {
            ListError::damaged_workbook(source, error)
        }
    }
}

#[cfg(test)]
mod tests;
