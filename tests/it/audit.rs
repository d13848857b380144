//! What a run leaves behind.

use std::os::unix::fs::PermissionsExt as _;

use meeting_closer::journal::{Hasher, Reader, Record};
use meeting_closer::sandbox::{Reply, Sandbox};

use crate::support::{Closer, fast_sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn the_totals_add_up_and_the_report_stands_in_input_order() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let names: Vec<String> =
        (0..200).map(|n| if n % 7 == 0 { format!("ended{n}") } else { format!("m{n}") }).collect();
    for name in names.iter().step_by(5) {
        sandbox.script(name, [Reply::failure(500, "systemError", "x")]);
    }
    closer.list(names.iter().map(String::as_str).chain(["m1", ""]));
    let ran = closer.close().await;
    assert_eq!(ran.code, 1, "{}", ran.said());
    let (audit, summary) = (closer.audit(), closer.summary());
    let lines: Vec<u64> = audit.iter().map(|row| row["line"].parse().unwrap()).collect();
    assert_eq!(lines, (2..=203).collect::<Vec<u64>>());
    let sum: u64 =
        summary["outcomes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!((sum, summary["rows_in"].as_u64().unwrap()), (202, 202));
    assert_eq!(summary["calls"], sandbox.statistics().close_calls);
    assert_eq!(summary["calls"], 240);
    for (kind, count) in summary["outcomes"].as_object().unwrap() {
        assert_eq!(
            audit.iter().filter(|row| row["outcome"] == **kind).count() as u64,
            count.as_u64().unwrap(),
            "{kind}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_was_in_the_journal_before_it_left() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "b", "c"]);
    sandbox.script("b", [Reply::failure(500, "systemError", "x")]);
    closer.close().await;
    let mut reader = Reader::open(&closer.run_folder().join("journal.jsonl"), Hasher::PLAIN).unwrap();
    let (mut attempts, mut types) = (vec![], vec![]);
    while let Some(entry) = reader.next_entry().unwrap() {
        match entry.record {
            Record::RunStarted(started) => {
                types.push("run_started");
                assert_eq!(started.rows.to_close, 3);
            }
            Record::Attempt(attempt) => attempts.push((attempt.conference_id, attempt.attempt)),
            Record::Outcome(outcome) => {
                types.push("outcome");
                let last = attempts.iter().rev().find(|(id, _)| *id == outcome.conference_id).unwrap();
                assert_eq!(last.1, outcome.attempts);
            }
            Record::RunContinued(_) => types.push("run_continued"),
            Record::RunFinished(finished) => {
                types.push("run_finished");
                assert_eq!((finished.exit_code, finished.totals.calls), (0, 4));
            }
        }
    }
    assert_eq!(types, ["run_started", "outcome", "outcome", "outcome", "run_finished"]);
    assert_eq!(attempts.len(), 4);
    assert_eq!(closer.summary()["head_hash"], reader.chain().head.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_files_are_its_owners_alone() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a"]);
    closer.close().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = closer.run_folder();
    assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_cannot_be_written_stops_the_run_before_any_call() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a"]);
    let ran = closer.run(&["close", "--yes", "--audit-dir", "list.csv", "list.csv"]).await;
    assert_eq!((ran.code, sandbox.statistics().token_calls), (5, 0), "{}", ran.said());
    assert!(ran.stderr.starts_with("error: cannot write the audit to list.csv: "), "{}", ran.said());
    assert!(
        ran.stderr.contains("hint: make the folder writable, or name another with --audit-dir"),
        "{}",
        ran.said()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_id_is_used_once() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a"]);
    let arguments = ["close", "--yes", "--run-id", "evening", "list.csv"];
    assert_eq!(closer.run(&arguments).await.code, 0);
    let ran = closer.run(&arguments).await;
    assert_eq!(ran.code, 2, "{}", ran.said());
    assert!(ran.stderr.contains("hint: a run of this id is there already"), "{}", ran.said());
    let ran = closer.run(&["close", "--yes", "--run-id", "../evening", "list.csv"]).await;
    assert_eq!(
        ran.stderr,
        "error: \"../evening\" cannot be this run's id\nhint: letters, digits, dots, dashes and underscores can be in an id\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_the_journal_is_hashed_under_it_and_the_key_is_nowhere() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("AUDIT__HMAC_KEY_FILE", "key");
    closer.file("key", "hunter2\n");
    closer.list(["a"]);
    let ran = closer.close().await;
    assert_eq!(ran.code, 0, "{}", ran.said());
    let journal = closer.run_folder().join("journal.jsonl");
    let read = |hasher| {
        let mut reader = Reader::open(&journal, hasher).unwrap();
        std::iter::from_fn(|| reader.next_entry().transpose()).collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(read(Hasher::keyed(b"hunter2")).unwrap().len(), 4);
    assert!(read(Hasher::PLAIN).is_err() && read(Hasher::keyed(b"other")).is_err());
    assert!(!std::fs::read_to_string(&journal).unwrap().contains("hunter2"));

    let ran = closer.set("AUDIT__HMAC_KEY_FILE", "nowhere").close().await;
    assert_eq!(ran.code, 2, "{}", ran.said());
    assert!(
        ran.stderr.starts_with("error: cannot read nowhere, which audit.hmac_key_file names"),
        "{}",
        ran.said()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_can_be_checked_with_jq_and_sha256sum_alone() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.file(
        "list.csv",
        "conferenceId,unionId\na,会议\n\"b\u{7f}\",host\n\"say \"\"hi\"\" \u{1f600}/\\\",host\n",
    );
    closer.close().await;
    let journal = closer.run_folder().join("journal.jsonl");
    let readme = include_str!("../../README.md");
    let script = readme.split("```sh\n").find(|block| block.contains("sha256sum")).unwrap();
    let script = script.split("```").next().unwrap().replace("JOURNAL", &journal.display().to_string());
    let check = || std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let checked = check();
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout),
        "whole\n",
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"attempt\":1", "\"attempt\":2", 1)).unwrap();
    assert!(String::from_utf8_lossy(&check().stdout).starts_with("broken at record "), "{script}");
}
