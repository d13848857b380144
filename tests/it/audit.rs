//! The files of a run: complete, private, verifiable.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use meeting_closer::{Chain, FileStorage, Hasher, Journal, Reader, Record, Reply, Sandbox};

use crate::support::{Closer, fast_sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn the_totals_add_up_and_the_report_is_in_input_order() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let names: Vec<String> =
        (0..200).map(|n| if n % 7 == 0 { format!("ended{n}") } else { format!("m{n}") }).collect();
    for name in names.iter().step_by(5) {
        sandbox.script(name, [Reply::failure(500, "systemError", "x")]);
    }
    closer.list(names.iter().map(String::as_str).chain(["m1", ""]));
    let ran = closer.close().await;
    assert_eq!(ran.code, 1, "{}", ran.printed());
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
async fn every_request_was_in_the_journal_before_it_was_sent() {
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
async fn only_the_owner_can_read_a_runs_files() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a"]);
    closer.close().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = closer.run_folder();
    assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_audit_stops_the_run_before_any_call() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a"]);
    let ran = closer.run(&["close", "--yes", "--audit-dir", "list.csv", "list.csv"]).await;
    assert_eq!((ran.code, sandbox.statistics().token_calls), (5, 0), "{}", ran.printed());
    assert!(ran.stderr.starts_with("error: cannot write the audit to list.csv: "), "{}", ran.printed());
    assert!(
        ran.stderr.contains("hint: make the folder writable, or name another one with --audit-dir"),
        "{}",
        ran.printed()
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
    assert_eq!(ran.code, 2, "{}", ran.printed());
    assert!(ran.stderr.contains("hint: a run with this id exists already"), "{}", ran.printed());
    let ran = closer.run(&["close", "--yes", "--run-id", "../evening", "list.csv"]).await;
    assert_eq!(
        ran.stderr,
        "error: \"../evening\" cannot be this run's id\nhint: an id consists of letters, digits, dots, dashes and underscores\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_hashes_the_journal_and_is_in_no_file() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("AUDIT__HMAC_KEY_FILE", "key");
    closer.file("key", "hunter2\n");
    closer.list(["a"]);
    let ran = closer.close().await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let journal = closer.run_folder().join("journal.jsonl");
    let read = |hasher| {
        let mut reader = Reader::open(&journal, hasher).unwrap();
        std::iter::from_fn(|| reader.next_entry().transpose()).collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(read(Hasher::keyed(b"hunter2")).unwrap().len(), 4);
    assert!(read(Hasher::PLAIN).is_err() && read(Hasher::keyed(b"other")).is_err());
    assert!(!std::fs::read_to_string(&journal).unwrap().contains("hunter2"));

    let ran = closer.set("AUDIT__HMAC_KEY_FILE", "nowhere").close().await;
    assert_eq!(ran.code, 2, "{}", ran.printed());
    assert!(
        ran.stderr.starts_with("error: cannot read nowhere, which audit.hmac_key_file names"),
        "{}",
        ran.printed()
    );
}

/// Runs README's check of the hash chain. Returns its exit code, and what it prints.
fn readmes_check(files: &[&Path]) -> (i32, String) {
    let readme = include_str!("../../README.md");
    let script = readme.split("```sh\n").find(|block| block.contains("hashlib")).unwrap();
    let files: Vec<String> = files.iter().map(|file| format!("'{}'", file.display())).collect();
    let script = script.split("```").next().unwrap().replace("\"JOURNAL\"", &files.join(" "));
    let checked = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let printed = [checked.stdout, checked.stderr].concat();
    (checked.status.code().unwrap(), String::from_utf8(printed).unwrap())
}

/// Makes a run of ids that are hard to write, under a key if there is one. Returns its journal.
async fn journal_of_a_run(closer: &Closer) -> std::path::PathBuf {
    closer.file(
        "list.csv",
        "conferenceId,unionId\nm1,host\na,会议\n\"b\u{7f}\",host\n\"say \"\"hi\"\" \u{1f600}/\\\",host\n",
    );
    closer.close().await;
    closer.run_folder().join("journal.jsonl")
}

#[tokio::test(flavor = "multi_thread")]
async fn readmes_check_finds_a_whole_journal_whole_with_and_without_a_key() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    for key in ["", "key"] {
        let closer = Closer::at(&sandbox).set("AUDIT__HMAC_KEY_FILE", key);
        let key_file = closer.file("key", "hunter2\n");
        let journal = journal_of_a_run(&closer).await;
        let summary = closer.summary();
        let whole = format!(
            "whole: {} records, head hash {}\n",
            summary["records"],
            summary["head_hash"].as_str().unwrap()
        );
        let without = readmes_check(&[&journal]);
        let with = readmes_check(&[&journal, &key_file]);
        let (right, wrong) = if key.is_empty() { (without, with) } else { (with, without) };
        assert_eq!(right, (0, whole));
        assert_eq!(wrong, (1, "broken at record 1: its hash does not match its content\n".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readmes_check_refuses_a_missing_empty_cut_or_altered_journal_and_names_the_record() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let journal = journal_of_a_run(&closer).await;
    let text = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let last = lines.len();
    assert!(last > 5);
    let after = |count: usize| lines[..count].concat();
    let cases = [
        (String::new(), "broken at record 1: the journal is empty".to_owned()),
        (text[..text.len() - 1].into(), format!("broken at record {last}: its line is incomplete")),
        (after(2) + &lines[2][..9], "broken at record 3: its line is incomplete".into()),
        (after(3), "unfinished: 3 records, head hash ".into()),
        (
            text.replacen("\"attempt\":1", "\"attempt\":2", 1),
            "broken at record 2: its hash does not match its content".into(),
        ),
        (
            [&lines[..1], &lines[2..]].concat().concat(),
            "broken at record 2: it does not follow the record before it".into(),
        ),
        (lines[1..].concat(), "broken at record 1: it does not follow the record before it".into()),
        (after(1).repeat(2), "broken at record 2: it does not follow the record before it".into()),
        ("no journal\n".into(), "broken at record 1: its hash does not match its content".into()),
    ];
    for (content, expected) in cases {
        std::fs::write(&journal, content).unwrap();
        let (code, printed) = readmes_check(&[&journal]);
        assert!(code == 1 && printed.starts_with(&expected), "{code} {printed} {expected}");
    }
    std::fs::remove_file(&journal).unwrap();
    let (code, printed) = readmes_check(&[&journal]);
    assert!(code == 1 && printed.starts_with("broken at record 1: FileNotFoundError"), "{code} {printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_compares_the_journal_with_its_summary() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("AUDIT__HMAC_KEY_FILE", "key");
    closer.file("key", "hunter2\n");
    let journal = journal_of_a_run(&closer).await;
    let summary = closer.run_folder().join("summary.json");
    let (text, summed) =
        (std::fs::read_to_string(&journal).unwrap(), std::fs::read_to_string(&summary).unwrap());
    let records = text.lines().count();
    let write = |journal_text: &str, summary_text: Option<&str>| {
        std::fs::write(&journal, journal_text).unwrap();
        match summary_text {
            Some(text) => std::fs::write(&summary, text).unwrap(),
            None => std::fs::remove_file(&summary).unwrap(),
        }
    };
    let cut: String = text.split_inclusive('\n').take(records - 2).collect();
    let head = closer.summary()["head_hash"].as_str().unwrap().to_owned();
    let other = summed.replace(&head, &"0".repeat(64));
    for (journal_text, summary_text, expected) in [
        (
            &cut,
            Some(&summed),
            format!("the end was cut off: the summary counts {records} records, and 2 of them are missing"),
        ),
        (&cut, None, "the run is unfinished: no run_finished record ends its journal".into()),
        (&text, Some(&other), format!("record {records}: its hash is not the head hash in the summary")),
        (&text, Some(&cut), "summary.json: missing field `records`".into()),
    ] {
        write(journal_text, summary_text.map(String::as_str));
        let ran = closer.run(&["verify", "latest"]).await;
        assert!(ran.code == 1 && ran.stderr.contains(&expected), "{expected}: {}", ran.printed());
    }
    write(&text, None);
    let ran = closer.run(&["verify", "latest"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_made_again_are_the_same_to_the_byte() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["b", "a", "b", "", "ended"]);
    closer.close().await;
    let folder = closer.run_folder();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let reports = ["audit.csv", "report.html", "summary.json"];
    let before = reports.map(read);
    for name in reports {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    let id = folder.file_name().unwrap().to_str().unwrap();
    for run in [id, "latest", folder.to_str().unwrap()] {
        let ran = closer.run(&["report", run]).await;
        assert_eq!(ran.code, 0, "{}", ran.printed());
        assert!(reports.map(read) == before, "another report than before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_distinguishes_whole_broken_and_unreadable_journals() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "b", "b", ""]);
    closer.close().await;
    let head = closer.summary()["head_hash"].as_str().unwrap().to_owned();
    let whole = closer.run(&["verify", "latest"]).await;
    let expected = format!("whole: 8 records, 4 rows with a final outcome\nhead hash {head}\n");
    assert_eq!((whole.code, whole.stdout), (0, expected));

    let journal = closer.run_folder().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"outcome\":\"invalid\"", "\"outcome\":\"closed\"", 1)).unwrap();
    let broken = closer.run(&["verify", "latest"]).await;
    assert_eq!(broken.code, 1, "{}", broken.printed());
    assert!(broken.stderr.contains("is broken: its hash does not match its content"), "{}", broken.printed());
    let missing = closer.run(&["verify", "nowhere"]).await;
    assert_eq!(missing.code, 2, "{}", missing.printed());
    assert!(
        missing.stderr.starts_with("error: there is no run \"nowhere\" in audit\n"),
        "{}",
        missing.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_detects_a_rewritten_chain_with_another_outcome_or_total() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "b"]);
    closer.close().await;
    let mut reader = Reader::open(&closer.run_folder().join("journal.jsonl"), Hasher::PLAIN).unwrap();
    let entries: Vec<_> = std::iter::from_fn(|| reader.next_entry().unwrap()).collect();
    let write = |records: Vec<Record>| {
        let _ = std::fs::remove_file(&path);
        let storage = FileStorage::create(&path).unwrap();
        let journal = Journal::new(path.clone(), storage, Chain::new(Hasher::PLAIN));
        for record in records {
            journal.append(&record, entries[0].at).unwrap();
        }
        journal.sync().unwrap();
        meeting_closer::verify(&path, Hasher::PLAIN, None).map_err(|error| error.to_string())
    };
    let records: Vec<Record> = entries.iter().map(|entry| entry.record.clone()).collect();
    assert!(write(records.clone()).is_ok());
    let outcome = records.iter().find(|record| matches!(record, Record::Outcome(_))).unwrap().clone();
    let twice = [records[..records.len() - 1].to_vec(), vec![outcome]].concat();
    let error = write(twice).unwrap_err();
    assert!(error.starts_with("record 6: the row list.csv:"), "{error}");
    assert!(error.ends_with(" has a second outcome"), "{error}");
    let mut without = records.clone();
    without.retain(|record| !matches!(record, Record::Attempt(_)));
    assert_eq!(write(without).unwrap_err(), "record 4: its totals differ from the records before it");
    assert_eq!(write(records[1..].to_vec()).unwrap_err(), "record 1: the journal does not begin with a run");
}
