//! An Excel workbook as a list: one of its sheets.
//!
//! The sheet is read once, while the list is opened, and its rows are rewritten; from then on it is a list like any
//! other. Meanwhile calamine holds the workbook's texts in memory, and nothing of it afterwards.

use std::fs::File;
use std::io::BufReader;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use calamine::{Reader as _, Sheet, SheetType, SheetVisible, Xlsx, XlsxError};

use self::sheet::SheetRows;
use super::ListError;
use super::format::{self, Format};
use super::list::{List, Purpose};
use super::list_name::ListName;
use super::spool::{self, Original, Spool};
use crate::settings::InputSettings;

mod sheet;
mod sheet_cell;

pub(super) use sheet_cell::Kind;

type Workbook<'a> = Xlsx<BufReader<&'a File>>;

/// Copies a workbook, and rewrites the rows of its sheet.
pub(super) fn open(name: &ListName, columns: &InputSettings, purpose: Purpose) -> Result<List, ListError> {
    let source: Arc<str> = name.path.to_string_lossy().into();
    let (original, format) = copy(&name.path, &source)?;
    // calamine counts on what a damaged workbook says of its rows' numbers, without checking for overflow.
    let read = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut workbook: Workbook<'_> =
            Xlsx::new(BufReader::new(&original.file)).map_err(|error| not_opened(&source, format, &error))?;
        let sheet = choose(&source, &mut workbook, name.sheet.as_deref(), purpose)?;
        let rows = rows_of(&source, &mut workbook, &sheet)?;
        let (header, rewritten) = sheet::rewrite(&source, &sheet, rows, columns, purpose)?;
        Ok((sheet, header, rewritten))
    }));
    let (sheet, header, rewritten) = read
        .unwrap_or_else(|_| Err(ListError::damaged_workbook(&source, &"its cells have no sound places")))?;
    Ok(List { spool: Spool::of_sheet(source, &sheet, original, rewritten), header })
}

/// The workbook's own copy, where it may be a workbook.
fn copy(path: &Path, source: &Arc<str>) -> Result<(Original, Format), ListError> {
    let mut start = vec![];
    let original = Original::copy(source, spool::open(path, source)?, |piece| {
        let room = Format::BYTES - start.len();
        start.extend_from_slice(&piece[..piece.len().min(room)]);
    })?;
    match Format::of(&start) {
        Some(format @ (Format::Zip | Format::CompoundFile)) => Ok((original, format)),
        Some(Format::Gzip) => Err(format::gzip(source)),
        None if start.is_empty() => {
            Err(ListError::new(source, "it is empty, and an Excel workbook is expected"))
        }
        None => Err(ListError::new(source, "it is no Excel workbook (.xlsx)")
            .hint("a list in CSV is taken by a name that ends in .csv")),
    }
}

/// The name of the sheet that is meant: the one that was named, else the first that can be seen. Exclusions on further
/// sheets would be missed, so a workbook of exclusions has one.
fn choose(
    source: &Arc<str>,
    workbook: &mut Workbook<'_>,
    named: Option<&str>,
    purpose: Purpose,
) -> Result<String, ListError> {
    let is_list = |sheet: &&Sheet| sheet.typ == SheetType::WorkSheet;
    let sheets: Vec<Sheet> = workbook.sheets_metadata().iter().filter(is_list).cloned().collect();
    if let Some(named) = named {
        let same = |sheet: &&Sheet| sheet.name.to_lowercase() == named.to_lowercase();
        return sheets.iter().find(same).map(|sheet| sheet.name.clone()).ok_or_else(|| {
            ListError::new(source, format!("it has no sheet {named:?}"))
                .hint(format!("its sheets are {}", in_words(&sheets)))
        });
    }
    let seen: Vec<Sheet> =
        sheets.into_iter().filter(|sheet| sheet.visible == SheetVisible::Visible).collect();
    let first = seen.first().ok_or_else(|| ListError::new(source, "it has no sheet that can be seen"))?;
    if seen.len() > 1 {
        match purpose {
            Purpose::ToClose => {
                tracing::info!(list = %source, "of {} sheets, {:?} is read: --sheet names another", seen.len(), first.name);
            }
            Purpose::Exclusions => refuse_further_sheets(source, workbook, &seen)?,
        }
    }
    Ok(first.name.clone())
}

fn refuse_further_sheets(
    source: &Arc<str>,
    workbook: &mut Workbook<'_>,
    seen: &[Sheet],
) -> Result<(), ListError> {
    for sheet in &seen[1..] {
        if rows_of(source, workbook, &sheet.name)?.next().is_some() {
            let problem =
                format!("it has several sheets, {}, and every exclusion must be readable", in_words(seen));
            return Err(ListError::new(source, problem)
                .hint("keep the exclusions in a workbook with one sheet, or save their sheet as CSV"));
        }
    }
    Ok(())
}

fn rows_of<'w, 'f>(
    source: &Arc<str>,
    workbook: &'w mut Workbook<'f>,
    sheet: &str,
) -> Result<SheetRows<'w, BufReader<&'f File>>, ListError> {
    let cells = workbook
        .worksheet_cells_reader(sheet)
        .map_err(|error| ListError::damaged_workbook(source, &error))?;
    Ok(SheetRows::of(cells))
}

fn in_words(sheets: &[Sheet]) -> String {
    sheets.iter().map(|sheet| format!("{:?}", sheet.name)).collect::<Vec<_>>().join(", ")
}

/// Why a file is not opened as a workbook.
fn not_opened(source: &Arc<str>, format: Format, error: &XlsxError) -> ListError {
    match (format, error) {
        (_, XlsxError::Password) => {
            ListError::new(source, "the workbook is encrypted").hint("in Excel, save it without a password")
        }
        (Format::CompoundFile, _) => ListError::new(source, "it is an old Excel workbook (.xls)")
            .hint("in Excel, save it as \"Excel Workbook (.xlsx)\""),
        (Format::Zip | Format::Gzip, error) => ListError::damaged_workbook(source, error),
    }
}

#[cfg(test)]
mod tests;
