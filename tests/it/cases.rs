//! Lists as people have them (`tests/data/cases/README.md`), through the real binary.

use std::path::Path;

use meeting_closer::Sandbox;

use crate::support::{Closer, CommandOutput, fast_sandbox};

/// What became of a list.
struct Case {
    closer: Closer,
    sandbox: Sandbox,
    ran: CommandOutput,
}

impl Case {
    async fn close(list: &str, options: &[&str]) -> Self {
        let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
        let closer = Closer::at(&sandbox);
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
        for case in std::fs::read_dir(cases).unwrap().map(Result::unwrap) {
            std::fs::copy(case.path(), closer.folder.path().join(case.file_name())).unwrap();
        }
        let ran = closer.run(&[&["close", "--yes"], options, &[list]].concat()).await;
        Self { closer, sandbox, ran }
    }

    /// The pairs of ids that DingTalk was asked about, in order.
    fn asked(&self) -> Vec<String> {
        let calls = self.sandbox.statistics().calls;
        let mut asked: Vec<String> =
            calls.into_iter().map(|call| format!("{} {}", call.conference_id, call.union_id)).collect();
        asked.sort();
        asked
    }

    /// Each row as its line and its outcome, and the reason of an invalid one.
    fn rows(&self) -> Vec<String> {
        let row = |row: std::collections::HashMap<String, String>| {
            let place = format!("{} {}", row["line"], row["outcome"]);
            match row["outcome"].as_str() {
                "invalid" => format!("{place}: {}", row["message"].replace("[sandbox] ", "")),
                _ => place,
            }
        };
        self.closer.audit().into_iter().map(row).collect()
    }

    fn said(&self, text: &str) -> bool {
        self.ran.stderr.contains(text)
    }

    /// Asserts the exit code, the calls, and that each row begins with what is expected of it.
    fn expect(&self, code: i32, asked: &[&str], rows: &[&str]) {
        assert_eq!(self.ran.code, code, "{}", self.ran.printed());
        assert_eq!(self.asked(), asked);
        let found = self.rows();
        let fits = found.iter().zip(rows).all(|(found, expected)| found.starts_with(expected));
        assert!(found.len() == rows.len() && fits, "{found:#?}");
    }

    /// Asserts that the run was refused, and that nothing was called.
    fn refused(&self, error: &str) {
        assert_eq!(self.ran.code, 2, "{}", self.ran.printed());
        assert!(self.said(error), "{}", self.ran.printed());
        assert!(self.asked().is_empty() && self.closer.run_folders().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusion_that_is_not_certain_refuses_the_run() {
    for (file, error) in [
        (
            "ex-ragged.csv",
            "error: ex-ragged.csv:2: the row has 3 cells, the header 2: \"Board\", \" confidential\", \"confA1\"",
        ),
        (
            "ex-invisible.csv",
            "error: ex-invisible.csv:2: column \"conferenceId\" contains the invisible character U+200E",
        ),
        ("ex-errors.csv", "error: ex-errors.csv:2: column \"conferenceId\" is the formula error #N/A"),
    ] {
        Case::close("two.csv", &["--exclude", file]).await.refused(error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_shifted_or_has_broken_quotes_is_invalid_and_the_others_are_closed() {
    Case::close("ragged.csv", &[]).await.expect(
        1,
        &["confA2 u2"],
        &[
            "2 invalid: the row has 4 cells, the header 3: \"Weekly\", \" ops\", \"confA1\", \"u1\"",
            "3 closed",
        ],
    );
    let case = Case::close("quote-after-blank.csv", &[]).await;
    case.expect(
        1,
        &[],
        &[
            "2 invalid: cell 2 has a blank before its quote",
            "3 invalid: cell 2 has text after its closing quote",
        ],
    );
    assert!(
        case.closer.audit().iter().all(|row| row["conference_id"].is_empty() && row["union_id"].is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_of_a_shifted_row_read_as_a_list_closes_nothing() {
    let case = Case::close("ragged.csv", &["--run-id", "first"]).await;
    let again = case.closer.run(&["close", "--yes", "--run-id", "again", "audit/first/audit.csv"]).await;
    assert_eq!(again.code, 1, "{}", again.printed());
    assert_eq!(case.asked(), ["confA2 u2", "confA2 u2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_exports_in_one_file_are_two_meetings() {
    let case = Case::close("put-together.csv", &[]).await;
    case.expect(0, &["confA1 u1", "confB1 u2"], &["2 closed", "4 closed"]);
    assert!(case.said("line 3 repeats the header and is skipped"), "{}", case.ran.printed());
    assert_eq!(case.ran.stderr.matches("repeats the header").count(), 1, "{}", case.ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_stand_for_no_value_are_never_asked_for() {
    let rows: Vec<String> = (2..=10).map(|line| format!("{line} invalid: column ")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    Case::close("errors-as-ids.csv", &[]).await.expect(1, &[], &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formula_without_a_value_is_an_invalid_row_and_verify_counts_it() {
    let case = Case::close("formulas-without-values.xlsx", &[]).await;
    let reason = "3 invalid: column \"conferenceId\" is a formula, and the file was saved without its value";
    case.expect(1, &["confA1 u1", "confA3 u3"], &["2 closed", reason, "4 closed"]);
    let verified = case.closer.run(&["verify", "latest", "--input", "formulas-without-values.xlsx"]).await;
    assert_eq!(verified.code, 0, "{}", verified.printed());
    assert!(verified.stdout.contains("every row has exactly one outcome: 3 rows"), "{}", verified.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_excel_and_people_put_above_a_header_is_no_row() {
    Case::close("sep-line.csv", &[]).await.expect(0, &["confA1 u1"], &["3 closed"]);
    let case = Case::close("title-above-header.csv", &[]).await;
    case.expect(0, &["confA1 u1"], &["4 closed"]);
    assert!(case.said("the header is line 3"), "{}", case.ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_byte_is_named_and_no_other_encoding_is_guessed() {
    let case = Case::close("one-bad-byte.csv", &[]).await;
    case.expect(0, &["confA1 u1", "confA2 u2"], &["2 closed", "3 closed"]);
    assert!(
        case.said("UTF-8 with broken bytes in line 3") && !case.said("GB18030"),
        "{}",
        case.ran.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_rows_is_empty_and_no_failure() {
    let case = Case::close("header-only.csv", &[]).await;
    assert_eq!(case.ran.code, 0, "{}", case.ran.printed());
    assert!(case.asked().is_empty());
    assert!(case.said("the list is empty") && case.said("header-only.csv"), "{}", case.ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_archive_is_no_workbook() {
    let case = Case::close("a-zip.xlsx", &[]).await;
    case.refused(
        "a-zip.xlsx: expected an Excel workbook (.xlsx), found a zip archive that is not a workbook",
    );
    assert!(case.said("unpack the archive") && case.said("tonight.csv"), "{}", case.ran.printed());
}

#[test]
fn every_case_is_tested() {
    let source = include_str!("cases.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
    for case in std::fs::read_dir(folder).unwrap() {
        let name = case.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || source.contains(&format!("\"{name}\"")), "{name}");
    }
}
