//! Unfinished runs: the same command continues them.

use std::process::Stdio;

use meeting_closer::{Reply, Sandbox};

use crate::support::{Closer, audit_of, calls_reach, fast_sandbox, signal, summary_of};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:04}")).collect()
}

fn with_rows(closer: Closer, names: &[String]) -> Closer {
    closer.list(names.iter().map(String::as_str));
    closer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_again_asks_for_no_row_that_has_an_outcome() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m0000", [Reply::failure(404, "permissionError", "x")]);
    let closer = with_rows(Closer::at(&sandbox), &names(60)).set("PACE__REQUESTS_PER_SECOND", "40");
    let first = closer.run(&["close", "--yes", "--deadline", "500ms", "list.csv"]).await;
    assert_eq!(first.code, 4, "{}", first.printed());
    let done = sandbox.statistics().close_calls;
    assert!((1..60).contains(&done));
    assert!(first.stderr.contains(" close --yes --deadline 500ms list.csv"), "{}", first.printed());

    let second = closer.run(&["close", "--yes", "list.csv"]).await;
    // The row that failed before the deadline is a failed row of this run.
    assert_eq!(second.code, 1, "{}", second.printed());
    assert!(second.stderr.contains(&format!(": {done} of 60 rows done")), "{}", second.printed());
    assert_eq!(sandbox.statistics().close_calls, 60);
    let (summary, audit) = (closer.summary(), closer.audit());
    assert_eq!((summary["rows_in"].as_u64(), summary["calls"].as_u64()), (Some(60), Some(60)));
    assert_eq!(
        (summary["outcomes"]["closed"].as_u64(), summary["outcomes"]["failed"].as_u64()),
        (Some(59), Some(1))
    );
    assert_eq!(summary["outcomes"]["not_attempted"], 0);
    let lines: Vec<String> = audit.iter().map(|row| row["line"].clone()).collect();
    assert_eq!(lines, (2..=61).map(|line: u32| line.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_is_not_continued_and_fresh_continues_no_run() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(3));
    assert_eq!(closer.close().await.code, 0);
    assert_eq!(closer.close().await.code, 0);
    assert_eq!((closer.run_folders().len(), sandbox.statistics().close_calls), (2, 6));

    let slow = closer.set("PACE__REQUESTS_PER_SECOND", "5");
    slow.file("list.csv", "conferenceId,unionId\na,u\nb,u\nc,u\n");
    assert_eq!(slow.run(&["close", "--yes", "--deadline", "1ms", "list.csv"]).await.code, 4);
    assert_eq!(slow.run(&["close", "--yes", "--fresh", "list.csv"]).await.code, 0);
    assert_eq!(slow.run_folders().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_with_the_same_lists_is_refused_and_the_first_is_named() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(500)).set("PACE__REQUESTS_PER_SECOND", "20");
    let mut first = closer.command(&["close", "--yes", "list.csv"]).stderr(Stdio::null()).spawn().unwrap();
    calls_reach(&sandbox, 1).await;
    for arguments in [&["close", "--yes", "list.csv"][..], &["close", "--yes", "--fresh", "list.csv"]] {
        let second = closer.run(arguments).await;
        let expected = format!(
            "error: process {} is closing the meetings of these lists now (run ",
            first.id().unwrap()
        );
        assert_eq!(second.code, 2, "{}", second.printed());
        assert!(second.stderr.starts_with(&expected), "{}", second.printed());
    }
    first.kill().await.unwrap();
    // The lock of a dead process blocks no other process.
    let third = closer.run(&["close", "--yes", "--deadline", "1ms", "list.csv"]).await;
    assert!(third.stderr.contains("continuing run "), "{}", third.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_the_run_cleanly_and_the_same_command_finishes_it() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(200)).set("PACE__REQUESTS_PER_SECOND", "100");
    let child = closer.command(&["close", "--yes", "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, 20).await;
    signal(child.id(), "-TERM");
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(4));
    let summary = closer.summary();
    assert_eq!((summary["reason"].as_str(), summary["rows_in"].as_u64()), (Some("interrupted"), Some(200)));
    assert_eq!(closer.set("PACE__REQUESTS_PER_SECOND", "1000").close().await.code, 0);
    assert_eq!(sandbox.statistics().close_calls, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_record_is_kept_beside_the_journal_and_an_altered_journal_is_refused() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(20)).set("PACE__REQUESTS_PER_SECOND", "20");
    assert_eq!(closer.run(&["close", "--yes", "--deadline", "300ms", "list.csv"]).await.code, 4);
    let journal = closer.run_folder().join("journal.jsonl");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &whole[..whole.len() - 40]).unwrap();
    let ran = closer.run(&["close", "--yes", "--deadline", "1ms", "list.csv"]).await;
    assert!(ran.stderr.contains("the journal's last record was cut off: audit/"), "{}", ran.printed());
    let kept = std::fs::read_dir(closer.run_folder()).unwrap().filter_map(Result::ok);
    let torn =
        kept.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("journal.torn-")).unwrap();
    assert!(whole.ends_with(&[std::fs::read(torn).unwrap(), whole[whole.len() - 40..].to_vec()].concat()));

    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"attempt\":1", "\"attempt\":2", 1)).unwrap();
    let calls = sandbox.statistics().close_calls;
    let ran = closer.close().await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (2, calls), "{}", ran.printed());
    assert!(
        ran.stderr.contains("record 2 is broken: its hash does not match its content"),
        "{}",
        ran.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_continues_an_edited_list_and_asks_only_for_rows_without_an_outcome() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(50)).set("PACE__REQUESTS_PER_SECOND", "100");
    assert_eq!(closer.run(&["close", "--yes", "--deadline", "200ms", "list.csv"]).await.code, 4);
    let done = sandbox.statistics().close_calls;
    assert!((1..50).contains(&done));
    let first = closer.run_folder();

    // The edited list has another order and name, three more rows, and one row less that was not asked for yet.
    let mut edited: Vec<String> = names(53).into_iter().rev().collect();
    let dropped = edited.remove(3);
    assert!(!sandbox.has_ended(&dropped));
    closer.list(edited.iter().map(String::as_str));
    std::fs::rename(closer.folder.path().join("list.csv"), closer.folder.path().join("edited.csv")).unwrap();
    let second = closer.run(&["close", "--yes", "--resume", "latest", "edited.csv"]).await;
    assert_eq!(second.code, 0, "{}", second.printed());
    assert!(second.stderr.contains(&format!(": {done} of 52 rows done")), "{}", second.printed());
    assert_eq!(closer.run_folder(), first);
    assert_eq!(sandbox.statistics().close_calls, 52);
    assert!(edited.iter().all(|name| sandbox.has_ended(name)) && !sandbox.has_ended(&dropped));
    // The removed row is withdrawn.
    let audit = closer.audit();
    let left: Vec<&str> = audit
        .iter()
        .filter(|row| row["outcome"] == "withdrawn")
        .map(|row| row["conference_id"].as_str())
        .collect();
    assert_eq!((left, audit.len()), (vec![dropped.as_str()], 53));

    let accounted = closer.run(&["verify", "latest", "--input", "edited.csv"]).await;
    assert_eq!(accounted.code, 0, "{}", accounted.printed());
    assert!(
        accounted.stdout.contains("every row has exactly one outcome: 52 rows"),
        "{}",
        accounted.printed()
    );
    assert!(accounted.stderr.contains("note: 1 row taken off the lists while the run was unfinished"));
    closer.list(["m0000", "m0000", "never"]);
    let accounted = closer.run(&["verify", "latest", "--input", "list.csv"]).await;
    assert_eq!(accounted.code, 1, "{}", accounted.printed());
    assert!(
        accounted.stderr.contains("2 rows without an outcome (the first: list.csv:3)"),
        "{}",
        accounted.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_needs_no_list_and_never_repeats_a_complete_run() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(30));
    let stopped = closer.run(&["close", "--yes", "--run-id", "one", "--deadline", "1ms", "list.csv"]).await;
    assert_eq!(stopped.code, 4);
    let resumed = closer.run(&["close", "--yes", "--resume", "one"]).await;
    assert_eq!((resumed.code, sandbox.statistics().close_calls), (0, 30), "{}", resumed.printed());
    let again = closer.run(&["close", "--yes", "--resume", "one"]).await;
    assert!(again.stderr.contains("run one is complete: starting a new run"), "{}", again.printed());
    assert_eq!((closer.run_folders().len(), sandbox.statistics().close_calls), (2, 60));
    let rehearsal = closer.run(&["close", "--sandbox", "--resume", "one"]).await;
    // Both are rehearsals, so the built-in stand-in may continue the run.
    assert_eq!(rehearsal.code, 0, "{}", rehearsal.printed());
    let wrong = closer.run(&["close", "--yes", "--resume", "two"]).await;
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.starts_with("error: there is no run \"two\" in audit"), "{}", wrong.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_failed_is_a_new_run_over_the_rows_that_did_not_end() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m0003", [Reply::failure(404, "permissionError", "x")]);
    sandbox.script("m0007", [Reply::failure(404, "permissionError", "x")]);
    let closer = with_rows(Closer::at(&sandbox), &names(10));
    assert_eq!(closer.run(&["close", "--yes", "--run-id", "one", "list.csv"]).await.code, 1);
    let slow =
        ["close", "--yes", "--run-id", "two", "--rate", "1", "--deadline", "300ms", "--retry-failed", "one"];
    let retry = closer.run(&slow).await;
    assert_eq!(retry.code, 4, "{}", retry.printed());
    assert!(retry.stderr.contains(" --retry-failed one"), "{}", retry.printed());
    // The retry itself is now the latest run, and the same command still means the same rows.
    let retry = closer.run(&["close", "--yes", "--retry-failed", "latest"]).await;
    assert_eq!(retry.code, 0, "{}", retry.printed());
    assert!(retry.stderr.contains("continuing run two: 1 of 2 rows done"), "{}", retry.printed());
    let two = closer.folder.path().join("audit/two");
    let rows: Vec<_> =
        audit_of(&two).into_iter().map(|row| (row["source"].clone(), row["line"].clone())).collect();
    assert_eq!(rows, [("list.csv".into(), "5".into()), ("list.csv".into(), "9".to_owned())]);
    assert_eq!(
        (summary_of(&two)["outcomes"]["closed"].as_u64(), sandbox.statistics().close_calls),
        (Some(2), 12)
    );

    let nothing = closer.run(&["close", "--yes", "--retry-failed", "two"]).await;
    assert_eq!((nothing.code, closer.run_folders().len()), (0, 2), "{}", nothing.printed());
    assert!(
        nothing.stdout.contains("run two has no failed and no not_attempted row"),
        "{}",
        nothing.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubtful_row_that_was_removed_from_the_list_is_neither_asked_for_nor_lost() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m0001", [Reply::Silence]);
    let closer = with_rows(Closer::at(&sandbox), &names(2));
    let mut child = closer.command(&["close", "--yes", "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, 2).await;
    child.kill().await.unwrap();
    closer.list(["m0000"]);
    let resumed = closer.run(&["close", "--yes", "--resume", "latest", "list.csv"]).await;
    assert_eq!(resumed.code, 1, "{}", resumed.printed());
    let audit = closer.audit();
    let doubtful = audit.iter().find(|row| row["conference_id"] == "m0001").unwrap();
    assert_eq!((doubtful["outcome"].as_str(), doubtful["attempts"].as_str()), ("withdrawn", "1"));
    assert_eq!(
        doubtful["message"],
        "[sandbox] a request was sent and not answered; the row was removed from the lists later"
    );
    let statistics = sandbox.statistics();
    let calls = statistics.calls.iter().filter(|call| call.conference_id == "m0001");
    assert_eq!(calls.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_row_is_asked_for_only_if_it_is_back_in_the_list() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(40)).set("PACE__REQUESTS_PER_SECOND", "40");
    let some = ["close", "--yes", "--run-id", "one", "--deadline", "300ms", "list.csv"];
    assert_eq!(closer.run(&some).await.code, 4);
    let done = sandbox.statistics().close_calls;
    assert!((1..38).contains(&done));
    // Two rows are taken off the list, and no row was asked for without an answer.
    closer.list(names(38).iter().map(String::as_str));
    let again = ["close", "--yes", "--deadline", "1ms", "--resume", "one", "list.csv"];
    let ran = closer.run(&again).await;
    assert_eq!(ran.code, 4, "{}", ran.printed());
    let expected = format!("continuing run one: {done} of 38 rows done, 2 rows were taken off the lists\n");
    assert!(ran.stderr.contains(&expected), "{}", ran.printed());

    // One of them is back in the list.
    closer.list(names(39).iter().map(String::as_str));
    let closer = closer.set("PACE__REQUESTS_PER_SECOND", "1000");
    let ran = closer.run(&["close", "--yes", "--resume", "one", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(
        ran.stdout.contains("\nwithdrawn                1\nrows in                 40\n"),
        "{}",
        ran.printed()
    );
    let (summary, audit) = (closer.summary(), closer.audit());
    assert_eq!(
        (&summary["outcomes"]["closed"], &summary["outcomes"]["withdrawn"], &summary["rows_in"]),
        (&39.into(), &1.into(), &40.into())
    );
    assert_eq!((&*audit[39]["outcome"], &*audit[39]["attempts"]), ("withdrawn", "0"));
    assert_eq!(audit[39]["message"], "[sandbox] the row was removed from the lists");
    assert!(!sandbox.has_ended("m0039") && sandbox.statistics().close_calls == 39);

    let retry = closer.run(&["close", "--yes", "--retry-failed", "one"]).await;
    assert!(retry.stdout.contains("nothing to do"), "{}", retry.printed());
    let verified = closer.run(&["verify", "one", "--input", "list.csv"]).await;
    assert_eq!(verified.code, 0, "{}", verified.printed());
    let expected = "note: 1 row taken off the lists while the run was unfinished (withdrawn)\n";
    assert_eq!(verified.stderr, expected, "{}", verified.printed());
    assert_eq!(sandbox.statistics().close_calls, 39);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_output_pipe_does_not_stop_a_run() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(20));
    let mut child = closer.command(&["close", "--yes", "list.csv"]).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert_eq!(closer.summary()["outcomes"]["closed"], 20);
}
