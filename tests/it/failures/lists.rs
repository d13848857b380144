//! Unusable lists and exclusions, and the guards.

use std::io::{Cursor, Write as _};

use rust_xlsxwriter::Workbook;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{LIST, assert_failure};
use crate::support::Closer;

/// An OLE compound file with one stream of this name. Old and encrypted workbooks have this form.
fn compound_file(stream: &str) -> Vec<u8> {
    const FREE: [u8; 4] = [0xff; 4];
    const END: [u8; 4] = 0xffff_fffe_u32.to_le_bytes();
    let mut header = vec![0; 512];
    header[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    header[24..34].copy_from_slice(&[0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    header[44] = 1; // sectors of the allocation table
    header[48] = 1; // the directory's sector
    header[56..60].copy_from_slice(&4096_u32.to_le_bytes());
    header[60..64].copy_from_slice(&END);
    header[68..72].copy_from_slice(&END);
    header[80..].fill(0xff);
    let table = [&[0xfd, 0xff, 0xff, 0xff], END.as_slice(), &FREE.repeat(126)].concat();
    let entry = |name: &str, kind: u8| {
        let mut entry = vec![0; 128];
        let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        entry[..utf16.len()].copy_from_slice(&utf16);
        entry[64] = u8::try_from(utf16.len() + 2).unwrap();
        entry[66] = kind;
        entry[116..120].copy_from_slice(&END);
        entry
    };
    header[76..80].fill(0);
    [header, table, entry("Root Entry", 5), entry(stream, 2), vec![0; 256]].concat()
}

/// A zip archive of one file.
fn zip(name: &str, content: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    zip.write_all(content.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn a_file_that_is_no_list_is_refused_and_its_kind_is_named() {
    const ODS: &str = "application/vnd.oasis.opendocument.spreadsheet";
    let workbook = Workbook::new().save_to_buffer().unwrap();
    let long = format!("conferenceId,unionId,title\na,u,x\nb,u,\"{}\"\n", "x".repeat(1 << 20));
    for (name, file, content) in [
        ("list_is_empty", "list.csv", b"".as_slice()),
        ("list_is_an_image", "list.csv", b"\x89PNG\0\0\x0d"),
        ("list_is_a_workbook_by_another_name", "list.csv", &workbook),
        ("list_is_a_damaged_zip", "list.csv", b"PK\x03\x04\0\0"),
        ("list_is_a_pdf", "list.csv", b"%PDF-1.7\n"),
        ("list_is_a_web_page", "list.csv", b"<html><table><tr><td>conferenceId"),
        ("list_is_an_opendocument_spreadsheet", "list.ods", &zip("mimetype", ODS)),
        ("list_is_a_numbers_spreadsheet", "list.numbers", &zip("Index/Document.iwa", "")),
        ("list_is_a_word_document", "list.docx", &zip("word/document.xml", "")),
        ("list_has_a_row_that_is_too_long", "list.csv", long.as_bytes()),
        ("list_has_a_row_above_its_header", "list.csv", b"m1,u\nconferenceId,unionId\nm2,u\n"),
        ("list_has_another_header", "list.csv", b"conferenceId,unionId\na,u\nunionId,conferenceId\nu,b\n"),
        ("list_is_gzip", "list.csv", b"\x1f\x8b\x08\0"),
        ("list_has_no_conference_id_column", "list.csv", b"name,host\nx,y\n"),
        ("list_has_no_union_id_column", "list.csv", b"conferenceId\nx\n"),
        ("list_has_two_conference_id_columns", "list.csv", b"conferenceId,meeting id,host\nx,y,z\n"),
        ("list_has_a_stray_quote", "list.csv", b"conferenceId,unionId,title\na,b,\"x\nc,d,\"y\"\n"),
        ("list_is_an_old_workbook_by_another_name", "list.csv", &compound_file("Workbook")),
        ("workbook_is_empty", "list.xlsx", b""),
        ("workbook_is_csv", "list.xlsx", LIST.as_bytes()),
        ("workbook_is_gzip", "list.xlsx", b"\x1f\x8b\x08\0"),
        ("workbook_is_a_binary_one", "list.xlsx", &zip("xl/workbook.bin", "")),
        ("workbook_is_a_zip", "list.xlsx", &zip("tonight.csv", LIST)),
        ("workbook_is_cut_off", "list.xlsx", b"PK\x03\x04\0\0"),
        ("workbook_is_an_old_one", "list.xlsx", &compound_file("Workbook")),
        ("workbook_is_encrypted", "list.xlsx", &compound_file("EncryptedPackage")),
    ] {
        let closer = Closer::bare();
        closer.file(file, content);
        assert_failure(name, &closer, &["close", "--sandbox", file]).await;
        assert!(closer.run_folders().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_missing_list_is_named() {
    let closer = Closer::bare();
    closer.file("list.csv", LIST);
    std::fs::create_dir(closer.folder.path().join("folder.xlsx")).unwrap();
    for (name, arguments) in [
        ("list_is_missing", &["close", "--sandbox", "list.csv", "nowhere.csv"][..]),
        ("list_is_a_directory", &["close", "--sandbox", "."]),
        ("workbook_is_missing", &["close", "--sandbox", "nowhere.xlsx"]),
        ("workbook_is_a_directory", &["close", "--sandbox", "folder.xlsx"]),
        ("standard_input_is_empty", &["close", "--sandbox", "-"]),
        ("standard_input_is_named_twice", &["close", "--sandbox", "-", "-"]),
        ("sheet_without_a_workbook", &["close", "--sandbox", "--sheet", "Tonight", "list.csv"]),
        ("exclusions_are_missing", &["close", "--sandbox", "--exclude", "keep.csv", "list.csv"]),
    ] {
        assert_failure(name, &closer, arguments).await;
    }
}

#[tokio::test]
async fn a_sheet_that_is_no_list_is_named() {
    let closer = Closer::bare();
    let mut workbook = Workbook::new();
    let header = workbook.add_worksheet().set_name("Header").unwrap();
    header.write_row(4, 0, ["Meeting", "Host", "Room"]).unwrap();
    workbook.add_worksheet().set_name("Empty").unwrap();
    workbook.save(closer.folder.path().join("list.xlsx")).unwrap();
    for (name, sheet) in
        [("sheet_is_unknown", "Tonight"), ("sheet_has_no_column", "Header"), ("sheet_is_empty", "Empty")]
    {
        assert_failure(name, &closer, &["close", "--sandbox", "--sheet", sheet, "list.xlsx"]).await;
    }
}

#[tokio::test]
async fn an_unreadable_exclusion_refuses_the_run() {
    let closer = Closer::bare();
    closer.file("list.csv", LIST);
    closer.file("keep.csv", "conf_id\n6.07E+23\n");
    let mut workbook = Workbook::new();
    for name in ["2025", "2026"] {
        let sheet = workbook.add_worksheet().set_name(name).unwrap();
        sheet.write_column(0, 0, ["meeting id", "vip"]).unwrap();
    }
    workbook.save(closer.folder.path().join("keep.xlsx")).unwrap();
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write_string(0, 0, "meeting id").unwrap();
    sheet.write_boolean(1, 0, true).unwrap();
    workbook.save(closer.folder.path().join("true.xlsx")).unwrap();
    for (name, keep) in [
        ("exclusion_is_rounded", "keep.csv"),
        ("exclusions_are_on_several_sheets", "keep.xlsx"),
        ("exclusion_is_a_truth_value", "true.xlsx"),
    ] {
        assert_failure(name, &closer, &["close", "--sandbox", "--exclude", keep, "list.csv"]).await;
        assert!(closer.run_folders().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn unusable_rows_are_named_before_any_call() {
    let closer = Closer::bare();
    closer.file(
        "list.csv",
        "conferenceId,unionId\n,host\n6.07E+23,host\nc\n\"d\n\",host\n..,host\n42261597832,host\n",
    );
    assert_failure("rows_are_invalid", &closer, &["close", "--dry-run", "list.csv"]).await;
}

#[tokio::test]
async fn guards_refuse_the_run_before_any_call() {
    let closer = Closer::bare().set("DINGTALK__APP_KEY", "k").set("DINGTALK__APP_SECRET", "hunter2");
    closer.file("list.csv", LIST);
    assert_failure("no_terminal_for_the_question", &closer, &["close", "list.csv"]).await;
    assert_failure(
        "more_meetings_than_allowed",
        &closer,
        &["close", "--yes", "--max-meetings", "1", "list.csv"],
    )
    .await;
    assert!(closer.run_folders().is_empty());
}
