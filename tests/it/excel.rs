//! Lists in Excel workbooks, read by the real binary.

use meeting_closer::Sandbox;
use rust_xlsxwriter::Workbook;

use crate::support::{Closer, fast_sandbox};

/// Writes a workbook with a sheet of that many meetings under each name, m0000 and so on after the sheet's name, the
/// last row a number that was rounded.
fn workbook(closer: &Closer, name: &str, sheets: &[(&str, u32)]) {
    let mut workbook = Workbook::new();
    for (name, meetings) in sheets {
        let sheet = workbook.add_worksheet().set_name(*name).unwrap();
        sheet.write_string(0, 0, "晚间会议").unwrap();
        for (column, title) in (0..).zip(["标题", "会议ID", "主持人unionId"]) {
            sheet.write_string(2, column, title).unwrap();
        }
        for meeting in 0..*meetings {
            sheet.write_string(3 + meeting, 1, format!("{name}{meeting:04}")).unwrap();
            sheet.write_string(3 + meeting, 2, "host").unwrap();
        }
        sheet.write_number(3 + meetings, 1, 6.074_52e23).unwrap();
        sheet.write_string(3 + meetings, 2, "host").unwrap();
    }
    workbook.save(closer.folder.path().join(name)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workbook_can_be_closed_continued_and_verified_like_any_list() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "40");
    workbook(&closer, "list.xlsx", &[("Tonight", 60), ("Other", 1)]);
    let first = closer.run(&["close", "--yes", "--deadline", "500ms", "list.xlsx"]).await;
    assert_eq!(first.code, 4, "{}", first.printed());
    assert!(
        first.stderr.contains("the workbook has 2 visible sheets; reading \"Tonight\""),
        "{}",
        first.printed()
    );
    assert!(first.stderr.contains("the header is row 3"), "{}", first.printed());
    let done = sandbox.statistics().close_calls;
    assert!((1..60).contains(&done));

    let closer = closer.set("PACE__REQUESTS_PER_SECOND", "1000");
    // Another sheet is another list, so it continues no run.
    let other = closer.run(&["close", "--yes", "--run-id", "other", "--sheet", "Other", "list.xlsx"]).await;
    assert_eq!(other.code, 1, "{}", other.printed());
    assert!(!other.stderr.contains("continuing"), "{}", other.printed());
    std::fs::remove_dir_all(closer.folder.path().join("audit/other")).unwrap();

    let second = closer.run(&["close", "--yes", "list.xlsx"]).await;
    assert_eq!(second.code, 1, "{}", second.printed());
    assert!(second.stderr.contains("continuing run "), "{}", second.printed());
    assert_eq!(sandbox.statistics().close_calls, 61);
    let audit = closer.audit();
    let places: Vec<_> =
        audit.iter().map(|row| (row["source"].as_str(), row["line"].parse().unwrap())).collect();
    assert_eq!(places, (4..=64).map(|line| ("list.xlsx", line)).collect::<Vec<(_, u32)>>());
    assert_eq!(
        (audit[60]["outcome"].as_str(), audit[60]["conference_id"].as_str(), audit[60]["message"].as_str()),
        (
            "invalid",
            "6.07452E+23",
            "[sandbox] column \"会议ID\" is the number 6.07452E+23, which may differ from what was typed; format the column \
             as text in the spreadsheet, paste the ids again, and save the list again"
        )
    );
    assert_eq!(closer.summary()["lists"][0]["sheet"], "Tonight");

    let accounted = closer.run(&["verify", "latest", "--input", "list.xlsx"]).await;
    assert_eq!(accounted.code, 0, "{}", accounted.printed());
    assert!(
        accounted.stdout.contains("every row has exactly one outcome: 61 rows"),
        "{}",
        accounted.printed()
    );
    let other = closer.run(&["verify", "latest", "--sheet", "Other", "--input", "list.xlsx"]).await;
    assert_eq!(other.code, 1, "{}", other.printed());
    assert!(
        other.stderr.contains("1 row without an outcome (the first: list.xlsx:4)"),
        "{}",
        other.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_named_sheet_is_resumed_with_that_sheet() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    workbook(&closer, "Evening.XLSX", &[("Drafts", 5), ("Tonight", 5)]);
    closer.list(["from-csv"]);
    let lists = ["close", "--yes", "--deadline", "1ms", "--sheet", "Tonight", "list.csv", "Evening.XLSX"];
    let stopped = closer.run(&lists).await;
    assert_eq!(stopped.code, 4, "{}", stopped.printed());
    let resumed = closer.run(&["close", "--yes", "--resume", "latest"]).await;
    assert_eq!(resumed.code, 1, "{}", resumed.printed());
    assert_eq!(closer.summary()["rows_in"], 7);
    assert!(sandbox.has_ended("Tonight0004") && sandbox.has_ended("from-csv"));
    assert!(!sandbox.has_ended("Drafts0000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workbook_of_exclusions_keeps_its_meetings_open() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "vip"]);
    let mut workbook = Workbook::new();
    workbook.add_worksheet().write_column(0, 0, ["会议ID", "vip"]).unwrap();
    workbook.save(closer.folder.path().join("keep.xlsx")).unwrap();
    let ran = closer.run(&["close", "--yes", "--exclude", "keep.xlsx", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(sandbox.has_ended("a") && !sandbox.has_ended("vip"));
}
