//! Exclusions: what is said about them before a run, and which lists of exclusions are refused.

use meeting_closer::Sandbox;

use crate::support::{Closer, fast_sandbox};

const ONE: &str = "607452e01401526ee39609e1";
const TWO: &str = "61a0bb3c9d2e4f5a6b7c8d9e";

async fn closer() -> (Sandbox, Closer) {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list([ONE, TWO, "c"]);
    (sandbox, closer)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_says_how_many_exclusions_it_read_and_names_those_in_no_list() {
    let (sandbox, closer) = closer().await;
    closer.file("keep.csv", format!("conferenceId\n{ONE}\ntypo\n42261597832\n"));
    let found = "exclusions: 3 read, 1 of them in the lists";
    let unused = "exclusion keep.csv:3 is in no list: typo\n\
                  exclusion keep.csv:4 is in no list: 42261597832 (only digits: it may be a room code, which people dial)\n";
    let asked = closer.run(&["close", "--exclude", "keep.csv", "list.csv"]).await;
    assert_eq!(asked.code, 2, "{}", asked.printed());
    assert!(asked.stderr.contains(&format!(" ({found})?)")), "{}", asked.printed());
    for command in ["close", "enqueue"] {
        let dry = closer.run(&[command, "--dry-run", "--exclude", "keep.csv", "list.csv"]).await;
        let expected = format!("3 rows: 2 meetings to close, 1 excluded\n{found}\n");
        assert!(dry.code == 0 && dry.stdout.starts_with(&expected), "{}", dry.printed());
        assert!(dry.stderr.starts_with(unused), "{}", dry.printed());
    }
    let ran = closer.run(&["close", "--yes", "--exclude", "keep.csv", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(ran.stderr.contains(&format!("{found}\n")) && ran.stderr.contains(unused), "{}", ran.printed());
    assert!(!sandbox.has_ended(ONE) && sandbox.has_ended(TWO));
    let without = closer.run(&["close", "--dry-run", "list.csv"]).await;
    assert!(!without.printed().contains("exclusions"), "{}", without.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_with_two_ids_is_refused_and_nothing_is_called() {
    let (sandbox, closer) = closer().await;
    closer.file("beside.csv", format!("conferenceId,unionId,also\n{ONE},,\n{ONE},,{TWO}\n"));
    closer.file("within.csv", format!("conferenceId\nc\n\"{ONE} {TWO}\"\n"));
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, cells) in [["conferenceId", "also"], ["c", ""], [ONE, TWO]].iter().enumerate() {
        sheet.write_row(u32::try_from(row).unwrap(), 0, cells.iter().copied()).unwrap();
    }
    workbook.save(closer.folder.path().join("keep.xlsx")).unwrap();
    for list in ["beside.csv", "within.csv", "keep.xlsx"] {
        let ran = closer.run(&["close", "--yes", "--exclude", list, "list.csv"]).await;
        assert_eq!(ran.code, 2, "{}", ran.printed());
        let expected = format!("error: {list}:3: the line names more than one conference id: ");
        assert!(ran.stderr.starts_with(&expected) && ran.stderr.contains(TWO), "{}", ran.printed());
    }
    assert_eq!(sandbox.statistics().close_calls, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_every_invalid_row() {
    let (_sandbox, closer) = closer().await;
    closer.file("list.csv", format!("conferenceId,unionId\n{}a,u\n", ",u\n".repeat(8)));
    let dry = closer.run(&["close", "--dry-run", "list.csv"]).await;
    assert_eq!(dry.stderr.matches("invalid row list.csv:").count(), 8, "{}", dry.printed());
    for (arguments, advice) in [
        (&["close", "list.csv"][..], "and 3 more invalid rows; --dry-run names all of them\n"),
        (&["close", "--yes", "list.csv"], "and 3 more invalid rows; audit.csv lists all of them\n"),
    ] {
        let ran = closer.run(arguments).await;
        assert_eq!(ran.stderr.matches("invalid row list.csv:").count(), 5, "{}", ran.printed());
        assert!(ran.stderr.contains(advice), "{}", ran.printed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusion_that_spans_lines_or_has_a_cell_without_a_column_is_refused() {
    let (sandbox, closer) = closer().await;
    closer.file("spans.csv", "conferenceId,title\nc,\"Board\nd,Sales\ne,Screen 27\"\n");
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write(0, 0, "conferenceId").unwrap();
    sheet.write_row(1, 0, ["c", "d"]).unwrap();
    workbook.save(closer.folder.path().join("beyond.xlsx")).unwrap();
    for (list, problem) in [
        ("spans.csv", "the row spans 3 lines"),
        ("beyond.xlsx", "the cell \"d\" has no column in the header"),
    ] {
        let ran = closer.run(&["close", "--yes", "--exclude", list, "list.csv"]).await;
        assert_eq!(ran.code, 2, "{}", ran.printed());
        assert!(ran.stderr.starts_with(&format!("error: {list}:2: {problem}")), "{}", ran.printed());
    }
    assert_eq!(sandbox.statistics().close_calls, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_with_exclusions_is_continued_only_with_exclusions() {
    let (sandbox, closer) = closer().await;
    closer.file("keep.csv", "conferenceId\nc\n");
    let with_exclusions = ["close", "--yes", "--exclude", "keep.csv", "list.csv"];
    assert_eq!(closer.run(&with_exclusions).await.code, 0);
    let calls = sandbox.statistics().close_calls;
    // As if the process had been killed after its first record.
    let journal = closer.run_folder().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, format!("{}\n", text.lines().next().unwrap())).unwrap();
    std::fs::remove_file(closer.run_folder().join("summary.json")).unwrap();
    let ran = closer.run(&["close", "--yes", "--resume", "latest", "list.csv"]).await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (2, calls), "{}", ran.printed());
    assert!(
        ran.stderr.contains(
            "began with exclusions, and 1 row that it excluded would be closed now\nhint: name the"
        ),
        "{}",
        ran.printed()
    );
    let ran = closer.run(&with_exclusions).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(!sandbox.has_ended("c"));
}
