//! Tests of lists as people write them.

use std::path::PathBuf;

use proptest::prelude::*;

use super::cell::clean;
use super::*;
use crate::meeting::{Cells, ConferenceId, Row, UnionId};
use crate::settings::InputSettings;

fn open(bytes: &[u8]) -> Result<(tempfile::NamedTempFile, Lists), ListError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let lists = Lists::open(&[PathBuf::from(file.path())], &InputSettings::default())?;
    Ok((file, lists))
}

fn rows(bytes: &[u8]) -> Vec<Row> {
    let (_file, lists) = open(bytes).unwrap();
    lists.rows().collect::<Result<_, _>>().unwrap()
}

/// Each row's line, with the two ids of a valid row, or the reason of an invalid one.
fn brief(text: &str) -> Vec<(u64, String)> {
    let brief = |row: Row| match row.request {
        Ok(request) => (row.origin.line, format!("{}+{}", request.conference_id, request.union_id)),
        Err(invalid) => (row.origin.line, invalid.reason),
    };
    rows(text.as_bytes()).into_iter().map(brief).collect()
}

fn expect(text: &str, expected: &[(u64, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
    assert_eq!(brief(text), expected, "{text:?}");
}

#[test]
fn a_rows_line_is_the_line_on_which_it_begins() {
    expect("\n\nconf_id,host\n\na,u\n,\n\n  \nb,u", &[(5, "a+u"), (9, "b+u")]);
    expect("  \n\u{3000}\nconf_id,host\na,u\n", &[(4, "a+u")]);
    expect("conf_id,host\r\na,u\r\n\r\nb,u\r\n", &[(2, "a+u"), (4, "b+u")]);
    expect("conf_id,host\ra,u\r\rb,u\r", &[(2, "a+u"), (4, "b+u")]);
    expect("conf_id,host,t\na,u,\"x\ny\n\nz\"\n\nb,u,\n", &[(2, "a+u"), (7, "b+u")]);
    expect("conf_id,host,t\r\na,u,\"x\r\ny\"\r\nb,u,\r\n", &[(2, "a+u"), (4, "b+u")]);
}

#[test]
fn quotes_and_delimiters_within_cells_are_read() {
    expect("conf_id;host\n\"a;1\";\"say \"\"u\"\"\"\n", &[(2, "a;1+say \"u\"")]);
    expect("title\thost\tconf_id\nx\tu\ta\n", &[(2, "a+u")]);
}

#[test]
fn an_invalid_row_has_a_reason_and_the_other_rows_are_read() {
    expect(
        "conf_id,host\na,u\n,u\nb,\nc\n6.07E+23,u\nd,\"x\ny\"\ne,u\n",
        &[
            (2, "a+u"),
            (3, "column \"conf_id\" is empty"),
            (4, "column \"host\" is empty"),
            (5, "column \"host\" is missing: it is column 2, and the row has 1 column"),
            (6, "column \"conf_id\" is 6.07E+23, a number that a spreadsheet rounded"),
            (7, "column \"host\" contains the control character U+000A (the row spans 2 lines)"),
            (9, "e+u"),
        ],
    );
    let long = format!("conf_id,host\n{},u\n", "x".repeat(300));
    expect(&long, &[(2, "column \"conf_id\" has 300 bytes; an id has at most 256")]);
}

#[test]
fn an_invalid_row_keeps_its_cells_and_may_have_a_hint() {
    let rows = rows(b"conf_id,host\n 6.07E+23 ,u\n");
    assert_eq!(rows[0].cells, Cells { conference_id: "6.07E+23".into(), union_id: "u".into() });
    assert!(rows[0].request.as_ref().unwrap_err().hint.unwrap().contains("format the column as text"));
}

#[test]
fn a_list_in_gb18030_is_read() {
    let text = "会议ID,主持人,标题\nabc,张三,周会\n";
    let rows = rows(&encoding_rs::GB18030.encode(text).0);
    assert_eq!(rows[0].cells, Cells { conference_id: "abc".into(), union_id: "张三".into() });
}

#[test]
fn a_cell_that_is_not_text_makes_its_row_invalid() {
    let rows = rows(b"conf_id,host\na,\xff\xff\nb,u\n");
    assert!(rows[0].request.as_ref().unwrap_err().reason.contains("neither UTF-8 nor GB18030 text"));
    assert!(rows[1].request.is_ok());
}

#[test]
fn a_list_is_refused_if_a_quote_would_take_in_other_rows() {
    let (_file, lists) = open(b"conf_id,host,t\na,u,\"x\nb,u,\"y\"\nc,u,\n").unwrap();
    let error = lists.rows().find_map(Result::err).unwrap();
    assert!(error.to_string().ends_with(":2: this row opens a quote and does not close it"), "{error}");
}

#[test]
fn a_header_without_rows_is_a_list_without_rows() {
    assert!(rows(b"conf_id,host\n").is_empty());
    assert!(rows(b"conf_id,host").is_empty());
}

#[test]
fn standard_input_can_be_named_once() {
    let error = Lists::open(&[PathBuf::from("-"), "-".into()], &InputSettings::default()).unwrap_err();
    assert_eq!(error.to_string(), "standard input: it is named twice, but it can be read only once");
}

#[test]
fn the_digest_depends_on_the_bytes_and_the_order_of_the_lists() {
    let digest = |texts: &[&[u8]]| {
        let files: Vec<_> = texts.iter().map(|text| open(text).unwrap().0).collect();
        let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
        Lists::open(&paths, &InputSettings::default()).unwrap().digest()
    };
    let (a, b) = (b"conf_id,host\na,u\n".as_slice(), b"conf_id,host\nb,u\n".as_slice());
    assert_eq!(digest(&[a, b]), digest(&[a, b]));
    assert_ne!(digest(&[a, b]), digest(&[b, a]));
    assert_ne!(digest(&[a]), digest(&[a, a]));
}

proptest! {
    #[test]
    fn any_ids_written_as_csv_are_read_back_in_order(
        ids in proptest::collection::vec(("[a-zA-Z0-9/?#&%+._~\"',;|会议 -]{1,40}", "[a-zA-Z0-9\",;\t]{1,40}"), 0..40),
        delimiter in proptest::sample::select(b",;\t".to_vec()),
    ) {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(vec![]);
        writer.write_record(["conferenceId", "unionId"]).unwrap();
        let ids: Vec<(String, String)> = ids
            .into_iter()
            .map(|(conference_id, union_id)| (clean(&conference_id).to_owned(), clean(&union_id).to_owned()))
            .filter(|(conference_id, union_id)| clean(conference_id) == conference_id && clean(union_id) == union_id)
            .filter(|(conference_id, union_id)| ConferenceId::parse(conference_id).is_ok() && UnionId::parse(union_id).is_ok())
            .collect();
        for (conference_id, union_id) in &ids {
            writer.write_record([conference_id, union_id]).unwrap();
        }
        let read: Vec<_> = rows(&writer.into_inner().unwrap())
            .into_iter()
            .map(|row| (row.cells.conference_id, row.cells.union_id))
            .collect();
        prop_assert_eq!(read, ids);
    }

    #[test]
    fn any_bytes_give_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = [b"conf_id,host\n".as_slice(), &bytes].concat();
        for input in [bytes, text] {
            if let Ok((_file, lists)) = open(&input) {
                let lines: Vec<u64> = lists.rows().map_while(Result::ok).map(|row| row.origin.line).collect();
                prop_assert!(lines.is_sorted());
            }
        }
    }
}
