//! Tests of workbooks as people write them.

use std::io::{Cursor, Read as _, Write as _};
use std::path::PathBuf;

use proptest::prelude::*;
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet, XlsxError as WriteError};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::lists::{Exclusions, ListError, ListName, Lists};
use crate::meeting::Row;
use crate::settings::InputSettings;

/// A workbook file in a temporary folder.
struct TestWorkbook {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl TestWorkbook {
    fn of(workbook: &mut Workbook) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.XLSX");
        workbook.save(&path).unwrap();
        Self { _folder: folder, path }
    }

    /// A workbook with one sheet.
    fn with(fill: impl FnOnce(&mut Worksheet) -> Result<(), WriteError>) -> Self {
        let mut workbook = Workbook::new();
        fill(workbook.add_worksheet()).unwrap();
        Self::of(&mut workbook)
    }

    fn open(&self, sheet: Option<&str>) -> Result<Lists, ListError> {
        Lists::open(
            &ListName::all(std::slice::from_ref(&self.path), sheet).unwrap(),
            &InputSettings::default(),
        )
    }

    fn exclusions(&self) -> Result<Exclusions, ListError> {
        Exclusions::read(&self.path, &InputSettings::default())
    }
}

/// Changes the XML of a sheet with two meetings, then opens the workbook and reads all its rows.
fn damaged(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
    let lists = changed(change).open(None).map_err(|error| error.problem)?;
    lists.rows().try_for_each(|row| row.map(drop)).map_err(|error| error.problem)
}

/// A workbook of two meetings with a change in the XML of its sheet.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> TestWorkbook {
    let rows: [(u32, &[&str]); 3] = [(1, &["conf_id", "host"]), (2, &["a", "u"]), (3, &["b", "u"])];
    let mut workbook = Workbook::new();
    write(workbook.add_worksheet(), &rows).unwrap();
    let mut whole = ZipArchive::new(Cursor::new(workbook.save_to_buffer().unwrap())).unwrap();
    let mut changed = ZipWriter::new(Cursor::new(vec![]));
    let mut change = Some(change);
    for index in 0..whole.len() {
        let (mut content, mut file) = (vec![], whole.by_index(index).unwrap());
        file.read_to_end(&mut content).unwrap();
        let name = file.name().unwrap().into_owned();
        if name == "xl/worksheets/sheet1.xml" {
            change.take().unwrap()(&mut content);
        }
        changed.start_file(name, SimpleFileOptions::default()).unwrap();
        changed.write_all(&content).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let workbook = TestWorkbook { path: folder.path().join("list.xlsx"), _folder: folder };
    std::fs::write(&workbook.path, changed.finish().unwrap().into_inner()).unwrap();
    workbook
}

fn write(sheet: &mut Worksheet, rows: &[(u32, &[&str])]) -> Result<(), WriteError> {
    for (row, cells) in rows {
        for (column, cell) in (0..).zip(*cells) {
            sheet.write_string(row - 1, column, *cell)?;
        }
    }
    Ok(())
}

/// Each row's line, with the two ids of a valid row, or the reason of an invalid one.
fn brief(lists: &Lists) -> Vec<(u64, String)> {
    let brief = |row: Row| match row.request {
        Ok(request) => (row.origin.line, format!("{}+{}", request.conference_id, request.union_id)),
        Err(invalid) => (row.origin.line, invalid.reason),
    };
    lists.rows().map(Result::unwrap).map(brief).collect()
}

fn expect(lists: &Lists, expected: &[(u64, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
    assert_eq!(brief(lists), expected);
}

/// The error without the workbook's path, and its hint.
fn refused<T>(workbook: &TestWorkbook, result: Result<T, ListError>) -> (String, String) {
    let error = result.err().unwrap();
    let text = error.to_string().replace(workbook.path.to_str().unwrap(), "list");
    (text, error.hint.unwrap_or_default())
}

#[test]
fn text_ids_are_taken_unchanged_and_blank_rows_are_skipped() {
    let workbook = TestWorkbook::with(|sheet| {
        sheet.write_blank(3, 0, &Format::new().set_bold())?;
        write(
            sheet,
            &[
                (1, &["标题", "会议ID", "主持人"]),
                (2, &["周会", "607452e01401526ee39609e1", "n7YGPhYSw5iEiE"]),
                (3, &["", " ", "\t"]),
                (5, &["", "0012345678901234567", "'u"]),
                (9, &["", "a\nb", "u"]),
            ],
        )
    });
    expect(
        &workbook.open(None).unwrap(),
        &[
            (2, "607452e01401526ee39609e1+n7YGPhYSw5iEiE"),
            (5, "0012345678901234567+u"),
            (9, "column \"会议ID\" contains the control character U+000A"),
        ],
    );
}

#[test]
fn a_row_with_text_in_another_column_only_is_a_row() {
    let workbook = TestWorkbook::with(|sheet| {
        write(sheet, &[(1, &["conf_id", "host", "title"]), (2, &["", "", "kick-off"]), (3, &["a", "", ""])])
    });
    expect(
        &workbook.open(None).unwrap(),
        &[(2, "column \"conf_id\" is empty"), (3, "column \"host\" is empty")],
    );
}

#[test]
fn a_number_is_an_id_only_if_its_digits_are_those_that_were_typed() {
    let workbook = TestWorkbook::with(|sheet| {
        write(sheet, &[(1, &["conf_id", "host"])])?;
        let numbers = [
            (42_261_597_832.0, "General"),
            (999_999_999_999_999.0, "0_ "),
            (607_452_014_015_266.0 * 1e9, "General"),
            (6e12, "0.00E+00"),
            (1.5, "General"),
            (123.0, "00000000"),
        ];
        for (row, (number, format)) in (1..).zip(numbers) {
            sheet.write_number_with_format(row, 0, number, &Format::new().set_num_format(format))?;
            sheet.write_string(row, 1, "u")?;
        }
        sheet.write_number(7, 1, 5_000_000_000_000_000_i64 as f64)?;
        sheet.write_string(7, 0, "a")?;
        Ok(())
    });
    let lists = workbook.open(None).unwrap();
    let reason = |column: &str, number: &str| {
        format!("column \"{column}\" is the number {number}, which may differ from what was typed")
    };
    expect(
        &lists,
        &[
            (2, "42261597832+u"),
            (3, "999999999999999+u"),
            (4, &reason("conf_id", "6.07452014015266E+23")),
            (5, &reason("conf_id", "6E+12")),
            (6, &reason("conf_id", "1.5")),
            (7, &reason("conf_id", "123")),
            (8, &reason("host", "5E+15")),
        ],
    );
    let rows: Vec<Row> = lists.rows().map(Result::unwrap).collect();
    assert_eq!(rows[2].cells.conference_id, "6.07452014015266E+23");
    assert!(rows[2].request.as_ref().unwrap_err().hint.unwrap().starts_with("format the column as text"));
}

#[test]
fn dates_truth_values_and_errors_are_invalid_and_named_as_such() {
    let workbook = TestWorkbook::with(|sheet| {
        write(sheet, &[(1, &["conf_id", "host"]), (2, &["", "u"]), (3, &["", "u"]), (4, &["", "u"])])?;
        let day = Format::new().set_num_format("yyyy-mm-dd");
        sheet.write_datetime_with_format(1, 0, ExcelDateTime::from_ymd(2026, 11, 23)?, &day)?;
        sheet.write_boolean(2, 0, true)?;
        sheet.write_formula(3, 0, Formula::new("=NA()").set_result("#N/A"))?;
        Ok(())
    });
    let lists = workbook.open(None).unwrap();
    expect(
        &lists,
        &[
            (2, "column \"conf_id\" is a date or time: 2026-11-23"),
            (3, "column \"conf_id\" is the truth value TRUE"),
            (4, "column \"conf_id\" is the formula error #N/A"),
        ],
    );
    let hints: Vec<_> = lists.rows().map(|row| row.unwrap().request.unwrap_err().hint.unwrap()).collect();
    assert!(hints[0].starts_with("format the column as text") && hints[2].starts_with("fix the formula"));
}

#[test]
fn a_formula_counts_with_the_value_that_was_saved() {
    let workbook = TestWorkbook::with(|sheet| {
        write(sheet, &[(1, &["conf_id", "host"]), (2, &["", "u"])])?;
        sheet.write_formula(1, 0, Formula::new("=CONCATENATE(\"a\",\"b\")").set_result("ab"))?;
        Ok(())
    });
    expect(&workbook.open(None).unwrap(), &[(2, "ab+u")]);
}

#[test]
fn rows_above_the_header_are_ignored_even_if_hidden() {
    let workbook = TestWorkbook::with(|sheet| {
        sheet.set_row_hidden(0)?;
        write(
            sheet,
            &[
                (1, &["Meetings of the evening", "host"]),
                (4, &["made by", "facilities"]),
                (20, &["host", "conf_id"]),
                (21, &["u", "a"]),
                (30, &["u", "b"]),
            ],
        )
    });
    expect(&workbook.open(None).unwrap(), &[(21, "a+u"), (30, "b+u")]);
}

#[test]
fn the_first_row_that_names_the_columns_is_the_header() {
    let workbook = TestWorkbook::with(|sheet| {
        write(
            sheet,
            &[(2, &["conf_id", "host"]), (3, &["a", "u"]), (5, &["conf_id", "host"]), (6, &["b", "u"])],
        )
    });
    expect(&workbook.open(None).unwrap(), &[(3, "a+u"), (6, "b+u")]);
}

#[test]
fn a_header_that_repeats_and_a_total_at_the_end_are_no_rows() {
    let workbook = TestWorkbook::with(|sheet| {
        write(
            sheet,
            &[
                (1, &["title", "conf_id", "host"]),
                (2, &["Total", "a", "u"]),
                (3, &["合计", "", "1"]),
                (4, &["Title", "Conference ID", "unionId"]),
                (5, &["Total"]),
                (6, &["x", "b", "u"]),
                (8, &["Total:", "2", ""]),
            ],
        )
    });
    expect(&workbook.open(None).unwrap(), &[(2, "a+u"), (5, "column \"conf_id\" is empty"), (6, "b+u")]);
    let swapped = TestWorkbook::with(|sheet| {
        write(
            sheet,
            &[(1, &["conf_id", "host"]), (2, &["a", "u"]), (3, &["host", "conf_id"]), (4, &["u", "b"])],
        )
    });
    let (error, hint) = refused(&swapped, swapped.open(None));
    assert_eq!(error, "list:3: this line is another header, and its id columns stand elsewhere");
    assert_eq!(hint, "make two lists of it, and name both");
}

#[test]
fn a_row_above_the_header_is_refused_and_not_lost() {
    let workbook = TestWorkbook::with(|sheet| {
        write(sheet, &[(1, &["Tonight"]), (2, &["a1", "u"]), (3, &["conf_id", "host"]), (4, &["b", "u"])])
    });
    let (error, _) = refused(&workbook, workbook.open(None));
    assert_eq!(error, "list:2: this row looks like a meeting, and the header is below it, in row 3");
}

#[test]
fn a_formula_without_a_value_is_a_row_that_says_so() {
    let without_values = |xml: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(xml);
        *xml = text
            .replace("<c r=\"A2\" t=\"s\"><v>2</v></c>", "<c r=\"A2\"><f>A1</f><v/></c>")
            .replace(
                "<c r=\"B2\" t=\"s\"><v>3</v></c>",
                "<c r=\"B2\" t=\"str\"><f t=\"shared\" si=\"0\"/></c>",
            )
            .replace("<c r=\"A3\" t=\"s\"><v>4</v></c>", "<c r=\"A3\" t=\"str\"><f>\"\"</f><v></v></c>")
            .into();
        assert!(String::from_utf8_lossy(xml).matches("<f").count() == 3);
    };
    let lists = changed(without_values).open(None).unwrap();
    let reason = "column \"conf_id\" is a formula, and the file was saved without its value";
    // The third row's formula gave an empty text, which is a value.
    expect(&lists, &[(2, reason), (3, "column \"conf_id\" is empty")]);
    let invalid = lists.rows().next().unwrap().unwrap().request.unwrap_err();
    assert_eq!(invalid.hint, Some("open the workbook in Excel, which calculates it, and save it again"));
}

#[test]
fn a_missing_header_is_reported_with_the_row_that_names_most_columns() {
    let workbook = TestWorkbook::with(|sheet| {
        write(sheet, &[(1, &["Title"]), (3, &["id", "host"]), (21, &["conf_id", "host"])])
    });
    let (error, hint) = refused(&workbook, workbook.open(None));
    let expected = "list:3: no conference id column: found \"id\", \"host\"; expected one of conferenceId, \
                    conference_id, conf_id, meeting id, 会议ID (sheet \"Sheet1\")";
    assert_eq!(error, expected);
    assert!(hint.contains("input.conference_id_column"), "{hint}");
    for rows in [&[][..], &[(21, &["conf_id", "host"][..])]] {
        let workbook = TestWorkbook::with(|sheet| write(sheet, rows));
        assert_eq!(refused(&workbook, workbook.open(None)).0, "list: sheet \"Sheet1\" has no header row");
    }
}

fn three_sheets() -> Workbook {
    let mut workbook = Workbook::new();
    for (name, meeting) in [("Drafts", "draft"), ("Today", "today"), ("Über", "over")] {
        let sheet = workbook.add_worksheet().set_name(name).unwrap();
        write(sheet, &[(1, &["conf_id", "host"]), (2, &[meeting, "u"])]).unwrap();
    }
    workbook.worksheet_from_index(1).unwrap().set_active(true);
    workbook.worksheet_from_index(0).unwrap().set_hidden(true);
    workbook
}

#[test]
fn the_first_visible_sheet_or_the_named_sheet_is_read() {
    let workbook = TestWorkbook::of(&mut three_sheets());
    for (sheet, expected) in
        [(None, "today+u"), (Some("Drafts"), "draft+u"), (Some("today"), "today+u"), (Some("über"), "over+u")]
    {
        expect(&workbook.open(sheet).unwrap(), &[(2, expected)]);
    }
    let (error, hint) = refused(&workbook, workbook.open(Some("Tonight")));
    assert_eq!(error, "list: the workbook has no sheet \"Tonight\"");
    assert_eq!(hint, "its sheets are \"Drafts\", \"Today\", \"Über\"");
}

#[test]
fn each_sheet_has_a_digest_of_its_own_named_or_not() {
    let workbook = TestWorkbook::of(&mut three_sheets());
    let digest = |sheet| workbook.open(sheet).unwrap().digest();
    assert_eq!(digest(None), digest(Some("Today")));
    assert_ne!(digest(None), digest(Some("Drafts")));
    let facts = workbook.open(None).unwrap().facts();
    assert_eq!(facts[0].sheet.as_deref(), Some("Today"));
    let bytes = std::fs::read(&workbook.path).unwrap();
    let sha256 = const_hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    assert_eq!((facts[0].bytes, facts[0].sha256.as_str()), (bytes.len() as u64, sha256.as_str()));
}

#[test]
fn a_workbook_of_exclusions_with_several_sheets_is_refused() {
    let workbook = TestWorkbook::of(&mut three_sheets());
    let (error, _) = refused(&workbook, workbook.exclusions());
    assert_eq!(
        error,
        "list: the workbook has several sheets (\"Today\", \"Über\"), and exclusions on all but the first would be missed"
    );

    let mut workbook = Workbook::new();
    write(workbook.add_worksheet(), &[(1, &["meeting id"]), (2, &["vip"])]).unwrap();
    workbook.add_worksheet();
    assert!(TestWorkbook::of(&mut workbook).exclusions().is_ok());

    let workbook = TestWorkbook::with(|sheet| {
        write(sheet, &[(1, &["meeting id"])])?;
        sheet.write_number(1, 0, 6e23)?;
        Ok(())
    });
    let (error, hint) = refused(&workbook, workbook.exclusions());
    assert!(error.starts_with("list:2: column \"meeting id\" is the number 6E+23"), "{error}");
    assert!(hint.starts_with("format the column as text"), "{hint}");
}

#[test]
fn a_cell_in_the_last_row_and_column_costs_no_memory() {
    let workbook = TestWorkbook::with(|sheet| {
        sheet.write_string(1_048_575, 16_383, "x")?;
        write(sheet, &[(1, &["conf_id", "host"]), (2, &["a", "u"])])
    });
    expect(&workbook.open(None).unwrap(), &[(2, "a+u"), (1_048_576, "column \"conf_id\" is empty")]);
}

#[test]
fn a_damaged_workbook_is_refused_and_yields_no_row() {
    assert_eq!(damaged(|_| {}), Ok(()));
    for cut in [200, 400, 500] {
        let error = damaged(|xml| xml.truncate(xml.len() - cut)).unwrap_err();
        assert!(error.starts_with("cannot read the Excel workbook: "), "{error}");
    }
    let error =
        damaged(|xml| *xml = String::from_utf8_lossy(xml).replace("r=\"A3\"", "r=\"A99999999999\"").into());
    assert_eq!(error.unwrap_err(), "cannot read the Excel workbook: its cells have invalid positions");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_damage_gives_rows_or_an_error(
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let change = |xml: &mut Vec<u8>| for (place, byte) in &places {
            let place = place.index(xml.len());
            xml[place] = *byte;
        };
        let _ = damaged(change);
    }
}
