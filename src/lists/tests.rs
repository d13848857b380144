//! Tests of lists as people write them.

use std::path::PathBuf;

use proptest::prelude::*;

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
    expect("conf_id;host;title\n\"a1\";\"u\";\"say \"\"u\"\"; x\"\n", &[(2, "a1+u")]);
    expect("title\thost\tconf_id\nx\tu\ta\n", &[(2, "a+u")]);
    expect("conf_id,host\n=\"a1\",'u\n\"b\" ,\tu\n", &[(2, "a1+u"), (3, "b+u")]);
}

#[test]
fn a_row_whose_cells_may_be_shifted_is_invalid_and_yields_no_cell() {
    for (row, reason) in [
        ("Weekly, ops,a,u", "the row has 4 cells, the header 3: \"Weekly\", \" ops\", \"a\", \"u\""),
        ("x,a,\"u\"y", "cell 3 has text after its closing quote: the cells read \"x\", \"a\", \"uy\""),
        ("x,a, \"u\"", "cell 3 has a blank before its quote: the cells read \"x\", \"a\", \" \\\"u\\\"\""),
        (
            "\"x \\\"y\\\", z\",a,u",
            "cell 1 has a backslash before a quote: the cells read \"x \\\\y\\\\\\\"\", \" z\\\"\", \"a\", \"u\"",
        ),
    ] {
        let text = format!("title,conf_id,host\n{row}\nx,b,u\nx,c,u,,\n");
        expect(&text, &[(2, reason), (3, "b+u"), (4, "c+u")]);
        assert_eq!(rows(text.as_bytes())[0].cells, Cells::default());
    }
    let long = format!("title,conf_id,host\n{}{},a,u\n", "x".repeat(60), ",y".repeat(9));
    assert!(brief(&long)[0].1.ends_with("x\"…, \"y\", \"y\", \"y\", \"y\", \"y\", …"), "{:?}", brief(&long));
}

#[test]
fn a_header_that_repeats_and_a_total_at_the_end_are_no_rows() {
    let text = "title,conf_id,host\nx,a,u\n合计,,1\n\u{feff}title,conferenceId,unionId,end\nx,b,u,noon\nTotal,,1\nx,c,u\nTotal: 2,,\n";
    expect(text, &[(2, "a+u"), (5, "b+u"), (6, "column \"conf_id\" is empty"), (7, "c+u")]);
    let (_file, lists) = open(b"conf_id,host\na,u\nhost,conf_id\nu,b\n").unwrap();
    let error = lists.rows().find_map(Result::err).unwrap().to_string();
    assert!(
        error.ends_with(":3: this line is another header, and its id columns stand elsewhere"),
        "{error}"
    );
}

#[test]
fn lines_above_the_header_are_no_rows_and_every_line_keeps_its_number() {
    expect("Meetings of \"today,,\r\n,,\r\ntitle,conf_id,host\r\nx,a,u\r\n", &[(4, "a+u")]);
    expect(&format!("{}conf_id,host\na,u\n", "note\n\n".repeat(20)), &[(42, "a+u")]);
    expect("sep=;\r\nconf_id;host\r\na;u\r\n", &[(3, "a+u")]);
    expect("sep=|\nNote\nconf_id|host\n\na|u\n", &[(5, "a+u")]);
    let refused = |text: &str| open(text.as_bytes()).unwrap_err();
    let error = refused(&format!("{}conf_id,host\na,u\n", "note\n".repeat(21))).to_string();
    assert!(error.contains(":1: no conference id column"), "{error}");
    let error = refused("a1,u\nconf_id,host\nb,u\n").to_string();
    assert!(
        error.ends_with(":1: this line looks like a row, and the header is below it, in line 2"),
        "{error}"
    );
    let error = refused("Note\nconf_id,name\nb,u\n").to_string();
    assert!(error.contains(":2: no union id column"), "{error}");
}

#[test]
fn a_broken_byte_spoils_its_cell_and_nothing_else() {
    let text = "会议ID,主持人,标题\na,u,周会\nb,u,周".as_bytes();
    let read = rows(&text[..text.len() - 1]);
    assert!(read.len() == 2 && read.iter().all(|row| row.request.is_ok()), "{read:?}");
    let in_an_id = [b"conf_id,host,title\na\xe5,u,".as_slice(), "周会\nb,u,\n".as_bytes()].concat();
    let read = rows(&in_an_id);
    assert!(read[0].request.is_err() && read[1].request.is_ok(), "{read:?}");
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
    assert_eq!(
        rows[0].request.as_ref().unwrap_err().reason,
        "column \"主持人\" contains '张' (U+5F20), which no id contains"
    );
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

/// How a list can be written.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Utf8,
    Utf8Mark,
    Utf16Le,
    Utf16Be,
    Gb18030,
}

impl Encoding {
    const ALL: [Self; 5] = [Self::Utf8, Self::Utf8Mark, Self::Utf16Le, Self::Utf16Be, Self::Gb18030];

    fn write(self, text: &str) -> Vec<u8> {
        let utf16 = |to: fn(u16) -> [u8; 2]| format!("\u{feff}{text}").encode_utf16().flat_map(to).collect();
        match self {
            Self::Utf8 => text.into(),
            Self::Utf8Mark => format!("\u{feff}{text}").into(),
            Self::Utf16Le => utf16(u16::to_le_bytes),
            Self::Utf16Be => utf16(u16::to_be_bytes),
            Self::Gb18030 => encoding_rs::GB18030.encode(text).0.into(),
        }
    }
}

proptest! {
    #[test]
    fn a_list_is_read_as_it_was_written_in_every_dialect(
        ids in proptest::collection::vec(
            ("[a-zA-Z0-9+/=_.:$@~-]{1,40}", "[a-zA-Z0-9+/=$:-]{1,40}", "[a-z,;\t\"' |会议\n-]{0,20}"),
            0..30,
        ),
        delimiter in proptest::sample::select(b",;\t".to_vec()),
        quotes in proptest::sample::select(vec![csv::QuoteStyle::Necessary, csv::QuoteStyle::Always]),
        line_end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        encoding in proptest::sample::select(Encoding::ALL.to_vec()),
        names_delimiter in any::<bool>(),
    ) {
        let ids: Vec<_> = ids
            .into_iter()
            .filter(|(conference_id, union_id, _)| {
                ConferenceId::parse(conference_id).is_ok() && UnionId::parse(union_id).is_ok()
            })
            .collect();
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).quote_style(quotes).from_writer(vec![]);
        writer.write_record(["会议ID", "title", "主持人unionId"]).unwrap();
        for (conference_id, union_id, title) in &ids {
            // A blank before a quote is another dialect's.
            writer.write_record([conference_id, title.trim_start_matches([' ', '\t']), union_id]).unwrap();
        }
        let mut text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        if names_delimiter {
            text = format!("sep={}\n{text}", char::from(delimiter));
        }
        let read: Vec<_> = rows(&encoding.write(&text.replace('\n', line_end)))
            .into_iter()
            .map(|row| row.request.map(|read| (read.conference_id.to_string(), read.union_id.to_string())))
            .collect();
        let written: Vec<_> =
            ids.into_iter().map(|(conference_id, union_id, _)| Ok((conference_id, union_id))).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn every_line_of_whatever_bytes_is_a_row(
        lines in proptest::collection::vec(
            proptest::collection::vec(any::<u8>().prop_filter("no line break", |b| !b"\n\r\0".contains(b)), 1..40),
            0..30,
        ),
        quotes in any::<bool>(),
    ) {
        let is_row = |line: &Vec<u8>| line.iter().any(u8::is_ascii_alphanumeric);
        let mut lines: Vec<Vec<u8>> = lines.into_iter().filter(is_row).collect();
        if !quotes {
            for line in &mut lines {
                line.retain(|byte| *byte != b'"');
            }
        }
        let text = [b"conf_id,host".as_slice()]
            .into_iter()
            .chain(lines.iter().map(Vec::as_slice))
            .collect::<Vec<_>>()
            .join(b"\n".as_slice());
        let (_file, lists) = open(&text).unwrap();
        let read: Result<Vec<u64>, ListError> = lists.rows().map(|row| row.map(|row| row.origin.line)).collect();
        match read {
            // The whole list is refused, and nothing is closed.
            Err(error) => prop_assert!(quotes, "{}", error),
            // A quoted cell may hold line breaks.
            Ok(read) if quotes => prop_assert!(read.is_sorted() && read.len() <= lines.len()),
            Ok(read) => prop_assert_eq!(read, (2..).take(lines.len()).collect::<Vec<u64>>()),
        }
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
