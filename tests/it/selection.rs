//! Selection: which earlier run a command continues, and which runs it refuses.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use meeting_closer::Sandbox;

use crate::support::{Closer, audit_of, calls_reach, fast_sandbox, summary_of};

const SOME: &[&str] = &["close", "--yes", "--deadline", "300ms", "list.csv"];

/// Starts a run of sixty rows that the deadline of [`SOME`] stops early.
async fn unfinished() -> (Sandbox, Closer) {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "40");
    let names: Vec<String> = (0..60).map(|n| format!("m{n:02}")).collect();
    closer.list(names.iter().map(String::as_str));
    let ran = closer.run(SOME).await;
    assert_eq!(ran.code, 4, "{}", ran.printed());
    (sandbox, closer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_exclusion_gives_no_row_a_second_outcome() {
    let (_sandbox, closer) = unfinished().await;
    assert_eq!(audit_of(&closer.run_folder())[0]["outcome"], "closed");
    closer.file("exclude.csv", "conferenceId\nm00\nm59\n");
    let ran = closer.run(&["close", "--yes", "--exclude", "exclude.csv", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let (summary, audit) = (closer.summary(), closer.audit());
    assert_eq!((summary["rows_in"].as_u64(), summary["outcomes"]["excluded"].as_u64()), (Some(60), Some(1)));
    assert_eq!((audit[0]["outcome"].as_str(), audit[59]["outcome"].as_str()), ("closed", "excluded"));
    let verified = closer.run(&["verify", "latest", "--input", "list.csv"]).await;
    assert_eq!(verified.code, 0, "{}", verified.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_writes_missing_reports_and_calls_nothing_again() {
    let (sandbox, closer) = unfinished().await;
    let folder = closer.run_folder();
    std::fs::remove_file(folder.join("summary.json")).unwrap();
    std::fs::create_dir(folder.join("summary.json")).unwrap();
    let ran = closer.close().await;
    assert_eq!(ran.code, 5, "{}", ran.printed());
    assert!(ran.stderr.contains("cannot write audit/"), "{}", ran.printed());
    assert!(
        ran.stderr.contains("\nhint: free disk space or repair the folder, then repeat the"),
        "{}",
        ran.printed()
    );
    assert!(ran.stderr.contains("to continue: "), "{}", ran.printed());

    std::fs::remove_dir(folder.join("summary.json")).unwrap();
    let ran = closer.close().await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(ran.stderr.contains(": 60 of 60 rows done"), "{}", ran.printed());
    assert_eq!((sandbox.statistics().close_calls, summary_of(&folder)["exit_code"].as_u64()), (60, Some(0)));
    assert_eq!(closer.run_folders().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_of_the_same_lists_never_run_at_once() {
    let (sandbox, closer) = unfinished().await;
    let first = closer.run_folder().file_name().unwrap().to_string_lossy().into_owned();
    let calls = sandbox.statistics().close_calls;
    let arguments = ["close", "--yes", "--fresh", "--run-id", "second", "list.csv"];
    let mut second = closer.command(&arguments).spawn().unwrap();
    calls_reach(&sandbox, calls + 1).await;
    let resumed = closer.run(&["close", "--yes", "--resume", &first, "list.csv"]).await;
    assert_eq!(resumed.code, 2, "{}", resumed.printed());
    assert!(resumed.stderr.contains(" now (run second)\n"), "{}", resumed.printed());

    // The reverse: the newer run is dead, and the older one is running.
    second.kill().await.unwrap();
    let calls = sandbox.statistics().close_calls;
    let mut resumed = closer.command(&["close", "--yes", "--resume", &first, "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, calls + 1).await;
    let again = closer.close().await;
    assert_eq!(again.code, 2, "{}", again.printed());
    assert!(again.stderr.contains(&format!(" now (run {first})\n")), "{}", again.printed());
    resumed.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_run_is_not_continued_after_a_newer_complete_run() {
    let (sandbox, closer) = unfinished().await;
    let closer = closer.set("PACE__REQUESTS_PER_SECOND", "1000");
    assert_eq!(closer.run(&["close", "--yes", "--fresh", "list.csv"]).await.code, 0);
    let calls = sandbox.statistics().close_calls;
    let ran = closer.close().await;
    assert!(!ran.stderr.contains("continuing"), "{}", ran.printed());
    assert_eq!((sandbox.statistics().close_calls, closer.run_folders().len()), (calls + 60, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_with_an_altered_first_record_is_refused_and_not_skipped() {
    let (sandbox, closer) = unfinished().await;
    let journal = closer.run_folder().join("journal.jsonl");
    let whole = std::fs::read_to_string(&journal).unwrap();
    let calls = sandbox.statistics().close_calls;
    for altered in [whole.replacen("lists_digest\":\"", "lists_digest\":\"0", 1), whole.replacen('{', "[", 1)]
    {
        std::fs::write(&journal, altered).unwrap();
        let ran = closer.close().await;
        assert_eq!((ran.code, sandbox.statistics().close_calls), (2, calls), "{}", ran.printed());
        assert!(ran.stderr.contains("journal.jsonl: record 1 is broken"), "{}", ran.printed());
        assert!(ran.stderr.contains("start a new run with --fresh"), "{}", ran.printed());
    }
    // A first record that was never complete: that process had called nothing.
    std::fs::write(&journal, &whole[..whole.find('\n').unwrap()]).unwrap();
    let ran = closer.set("PACE__REQUESTS_PER_SECOND", "1000").close().await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_not_reported_as_a_broken_journal() {
    let (_sandbox, closer) = unfinished().await;
    closer.file("key", "k");
    let ran = closer.set("AUDIT__HMAC_KEY_FILE", "key").close().await;
    assert_eq!(ran.code, 2, "{}", ran.printed());
    assert!(
        ran.stderr.contains(" began without a key, and can only be continued without a key\nhint: "),
        "{}",
        ran.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_whose_name_is_not_utf8_is_closed() {
    let (_sandbox, closer) = unfinished().await;
    let name = OsStr::from_bytes(b"\xff.csv");
    std::fs::copy(closer.folder.path().join("list.csv"), closer.folder.path().join(name)).unwrap();
    let mut command = closer.command(&["close", "--yes", "--fresh", "--deadline", "1ms"]);
    let ran = closer.finish(command.arg(name)).await;
    assert_eq!(ran.code, 4, "{}", ran.printed());
    assert!(ran.stderr.contains("to continue: "), "{}", ran.printed());
}
