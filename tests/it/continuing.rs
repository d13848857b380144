//! A run that was left unfinished, and the same command again.

use std::collections::{HashMap, HashSet};
use std::process::Stdio;

use meeting_closer::journal::{Hasher, Reader, Record};
use meeting_closer::outcome::{EndedBy, OutcomeKind};
use meeting_closer::sandbox::{Reply, Sandbox, SandboxSettings};

use crate::support::{Closer, fast_sandbox};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:04}")).collect()
}

fn with_rows(closer: Closer, names: &[String]) -> Closer {
    closer.list(names.iter().map(String::as_str));
    closer
}

/// Waits, without the clock, until the stand-in has had so many requests.
async fn calls_reach(sandbox: &Sandbox, calls: u64) {
    while sandbox.statistics().close_calls < calls {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_again_asks_no_row_twice_that_has_its_outcome() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m0000", [Reply::failure(404, "permissionError", "x")]);
    let closer = with_rows(Closer::at(&sandbox), &names(60)).set("PACE__REQUESTS_PER_SECOND", "40");
    let first = closer.run(&["close", "--yes", "--deadline", "500ms", "list.csv"]).await;
    assert_eq!(first.code, 4, "{}", first.said());
    let done = sandbox.statistics().close_calls;
    assert!((1..60).contains(&done));
    assert!(first.stderr.contains(" close --yes --deadline 500ms list.csv"), "{}", first.said());

    let second = closer.run(&["close", "--yes", "list.csv"]).await;
    // The row that failed before the deadline is a failed row of this run.
    assert_eq!(second.code, 1, "{}", second.said());
    assert!(second.stderr.contains(&format!(": {done} of 60 rows done")), "{}", second.said());
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
async fn a_finished_run_is_not_gone_on_with_nor_one_that_fresh_is_said_to() {
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
async fn a_second_process_with_the_same_lists_is_refused_and_told_of_the_first() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(500)).set("PACE__REQUESTS_PER_SECOND", "20");
    let mut first = closer.command(&["close", "--yes", "list.csv"]).stderr(Stdio::null()).spawn().unwrap();
    calls_reach(&sandbox, 1).await;
    for arguments in [&["close", "--yes", "list.csv"][..], &["close", "--yes", "--fresh", "list.csv"]] {
        let second = closer.run(arguments).await;
        let told = format!(
            "error: process {} is closing the meetings of these lists right now (run ",
            first.id().unwrap()
        );
        assert_eq!(second.code, 2, "{}", second.said());
        assert!(second.stderr.starts_with(&told), "{}", second.said());
    }
    first.kill().await.unwrap();
    // The lock of a dead process holds nobody up.
    let third = closer.run(&["close", "--yes", "--deadline", "1ms", "list.csv"]).await;
    assert!(third.stderr.contains("continuing run "), "{}", third.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_run_in_order_and_the_same_command_finishes_it() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(200)).set("PACE__REQUESTS_PER_SECOND", "100");
    let child = closer.command(&["close", "--yes", "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, 20).await;
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().unwrap().to_string()]).status();
    assert!(kill.unwrap().success());
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(4));
    let summary = closer.summary();
    assert_eq!((summary["reason"].as_str(), summary["rows_in"].as_u64()), (Some("interrupted"), Some(200)));
    assert_eq!(closer.set("PACE__REQUESTS_PER_SECOND", "1000").close().await.code, 0);
    assert_eq!(sandbox.statistics().close_calls, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_again_and_again_loses_no_row_and_claims_nothing_it_cannot_know() {
    let faults = ["systemError=0.03", "lost=0.03", "reset=0.03", "empty=0.02"];
    let settings = SandboxSettings {
        faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
        seed: 11,
        ..fast_sandbox()
    };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let names = names(600);
    let closer = with_rows(Closer::at(&sandbox), &names).set("RETRY__MAX_ATTEMPTS", "20");
    for kill in 1..=15u64 {
        let mut child = closer
            .command(&["close", "--yes", "--progress", "none", "list.csv"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A different number of calls each time, so that the kills fall on different moments.
        calls_reach(&sandbox, sandbox.statistics().close_calls + 5 + kill * 7 % 31).await;
        child.kill().await.unwrap();
    }
    let last = closer.close().await;
    assert_eq!(last.code, 0, "{}", last.said());

    let mut reader = Reader::open(&closer.run_folder().join("journal.jsonl"), Hasher::PLAIN).unwrap();
    let (mut asked, mut ended): (HashMap<String, u32>, HashSet<String>) = (HashMap::new(), HashSet::new());
    while let Some(entry) = reader.next_entry().unwrap() {
        match entry.record {
            Record::Attempt(attempt) => *asked.entry(attempt.conference_id).or_default() += 1,
            Record::Outcome(outcome) => {
                assert!(
                    matches!(outcome.outcome, OutcomeKind::Closed | OutcomeKind::AlreadyClosed),
                    "{outcome:?}"
                );
                assert!(
                    outcome.ended_by != Some(EndedBy::Earlier) || asked[&outcome.conference_id] == 1,
                    "{outcome:?}"
                );
                assert!(sandbox.has_ended(&outcome.conference_id), "{outcome:?}");
                assert!(ended.insert(outcome.conference_id.clone()), "a second outcome: {outcome:?}");
            }
            Record::RunStarted(_) | Record::RunContinued(_) | Record::RunFinished(_) => {}
        }
    }
    assert_eq!(ended.len(), names.len());
    assert!(names.iter().all(|name| sandbox.has_ended(name)));
    // Every request that came was in the journal before it left.
    assert!(u64::from(asked.values().sum::<u32>()) >= sandbox.statistics().close_calls);
    assert_eq!(closer.summary()["rows_in"], 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_is_kept_beside_the_journal_and_an_altered_journal_is_refused() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_rows(Closer::at(&sandbox), &names(20)).set("PACE__REQUESTS_PER_SECOND", "20");
    assert_eq!(closer.run(&["close", "--yes", "--deadline", "300ms", "list.csv"]).await.code, 4);
    let journal = closer.run_folder().join("journal.jsonl");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &whole[..whole.len() - 40]).unwrap();
    let ran = closer.run(&["close", "--yes", "--deadline", "1ms", "list.csv"]).await;
    assert!(
        ran.stderr.contains("the journal's last record was cut off; what was there is kept in audit/"),
        "{}",
        ran.said()
    );
    let kept = std::fs::read_dir(closer.run_folder()).unwrap().filter_map(Result::ok);
    let torn =
        kept.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("journal.torn-")).unwrap();
    assert!(whole.ends_with(&[std::fs::read(torn).unwrap(), whole[whole.len() - 40..].to_vec()].concat()));

    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"attempt\":1", "\"attempt\":2", 1)).unwrap();
    let calls = sandbox.statistics().close_calls;
    let ran = closer.close().await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (2, calls), "{}", ran.said());
    assert!(ran.stderr.contains("record 2 is broken: its hash does not match its content"), "{}", ran.said());
}
