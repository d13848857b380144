//! Missing, broken and busy runs; audits that cannot be written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use meeting_closer::{Sandbox, SandboxSettings};

use super::{LIST, assert_failure};
use crate::support::{Closer, calls_reach, fast_sandbox};

/// A stand-in that answers only after a deadline of a millisecond has passed.
async fn slow_sandbox() -> Sandbox {
    let latency = (Duration::from_millis(50), Duration::from_millis(50));
    Sandbox::start(SandboxSettings { latency, ..fast_sandbox() }).await.unwrap()
}

/// Makes an unfinished run `one` of `list.csv`.
async fn unfinished(sandbox: &Sandbox) -> Closer {
    let closer = Closer::at(sandbox);
    closer.file("list.csv", LIST);
    let stopped = closer.run(&["close", "--yes", "--run-id", "one", "--deadline", "1ms", "list.csv"]).await;
    assert_eq!(stopped.code, 4, "{}", stopped.printed());
    closer
}

fn journal(closer: &Closer) -> PathBuf {
    closer.folder.path().join("audit/one/journal.jsonl")
}

fn change(journal: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(journal).unwrap();
    assert!(text.contains(from));
    std::fs::write(journal, text.replacen(from, to, 1)).unwrap();
}

#[tokio::test]
async fn a_missing_run_is_named() {
    let closer = Closer::bare();
    closer.file("list.csv", LIST);
    for (name, arguments) in [
        ("no_run_yet", &["report", "latest"][..]),
        ("report_of_an_unknown_run", &["report", "one"]),
        ("verify_of_an_unknown_run", &["verify", "one", "--audit-dir", "elsewhere"]),
        ("resume_of_an_unknown_run", &["close", "--sandbox", "--resume", "one"]),
        ("retry_of_an_unknown_run", &["close", "--sandbox", "--retry-failed", "one"]),
        ("run_id_is_none", &["close", "--sandbox", "--run-id", "../one", "list.csv"]),
        ("audit_folder_is_a_file", &["close", "--sandbox", "--audit-dir", "list.csv", "list.csv"]),
        ("latest_run_in_a_file", &["report", "--audit-dir", "list.csv", "latest"]),
    ] {
        assert_failure(name, &closer, arguments).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_continued_gives_the_reason() {
    let sandbox = slow_sandbox().await;
    let closer = unfinished(&sandbox).await;
    assert_failure("out_of_time", &closer, &["close", "--yes", "--deadline", "1ms", "list.csv"]).await;
    assert_failure(
        "run_id_is_taken",
        &closer,
        &["close", "--sandbox", "--fresh", "--run-id", "one", "list.csv"],
    )
    .await;
    closer.list(["c"]);
    assert_failure("rows_without_an_outcome", &closer, &["verify", "one", "--input", "list.csv"]).await;
    assert_failure(
        "sheet_of_verify_without_a_workbook",
        &closer,
        &["verify", "one", "--sheet", "S", "--input", "list.csv"],
    )
    .await;
    let real = closer.set("DINGTALK__BASE_URL", "https://api.dingtalk.io");
    assert_failure("resume_of_a_rehearsal", &real, &["close", "--yes", "--resume", "one", "list.csv"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_from_standard_input_needs_that_input_to_resume() {
    let sandbox = slow_sandbox().await;
    let closer = Closer::at(&sandbox);
    let arguments = ["close", "--yes", "--run-id", "one", "--deadline", "1ms", "-"];
    assert_eq!(closer.run_with_input(&arguments, LIST.as_bytes()).await.code, 4);
    assert_failure("resume_without_its_standard_input", &closer, &["close", "--yes", "--resume", "one"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_refuses_an_altered_journal() {
    let sandbox = slow_sandbox().await;
    let closer = unfinished(&sandbox).await;
    change(&journal(&closer), "\"seq\":1", "\"seq\":1 ");
    for (name, arguments) in [
        ("journal_is_broken_for_verify", &["verify", "one"][..]),
        ("journal_is_broken_for_report", &["report", "one"]),
        ("journal_is_broken_for_close", &["close", "--yes", "list.csv"]),
        ("journal_is_broken_for_retry", &["close", "--yes", "--retry-failed", "one"]),
    ] {
        assert_failure(name, &closer, arguments).await;
    }
    std::fs::write(journal(&closer), "").unwrap();
    for (name, arguments) in [
        ("journal_is_empty_for_verify", &["verify", "one"][..]),
        ("journal_is_empty_for_report", &["report", "one"]),
        ("journal_is_empty_for_resume", &["close", "--yes", "--resume", "one"]),
    ] {
        assert_failure(name, &closer, arguments).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_without_its_end_is_refused() {
    let sandbox = slow_sandbox().await;
    let closer = unfinished(&sandbox).await;
    let text = std::fs::read_to_string(journal(&closer)).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(journal(&closer), lines[..lines.len() - 1].concat()).unwrap();
    assert_failure("journal_is_cut_off", &closer, &["verify", "one"]).await;
    let summary = closer.folder.path().join("audit/one/summary.json");
    std::fs::write(&summary, "{}").unwrap();
    assert_failure("summary_is_altered", &closer, &["verify", "one"]).await;
    std::fs::remove_file(&summary).unwrap();
    assert_failure("run_is_unfinished", &closer, &["verify", "one"]).await;
    std::fs::write(journal(&closer), text.trim_end()).unwrap();
    assert_failure("journal_is_torn", &closer, &["verify", "one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_under_another_key_is_broken() {
    let sandbox = slow_sandbox().await;
    let closer = unfinished(&sandbox).await;
    closer.file("key", "hunter2");
    let closer = closer.set("AUDIT__HMAC_KEY_FILE", "key");
    assert_failure("journal_has_no_key", &closer, &["verify", "one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_process_is_refused() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let names: Vec<String> = (0..500).map(|n| format!("m{n}")).collect();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "20");
    closer.list(names.iter().map(String::as_str));
    let mut first = closer.command(&["close", "--yes", "--run-id", "one", "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, 1).await;
    assert_failure("another_process_is_closing", &closer, &["close", "--yes", "list.csv"]).await;
    assert_failure("retry_of_a_run_without_an_end", &closer, &["close", "--yes", "--retry-failed", "one"])
        .await;
    first.kill().await.unwrap();
}
