//! A run that is killed many times loses no row.

use std::collections::{HashMap, HashSet};
use std::process::Stdio;

use meeting_closer::{EndedBy, Hasher, OutcomeKind, Reader, Record, Sandbox, SandboxSettings};

use crate::support::{Closer, calls_reach, fast_sandbox};

const ROWS: usize = 3_000;
const KILLS: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_a_hundred_times_loses_no_row_and_makes_no_false_claim() {
    let faults = ["systemError=0.03", "lost=0.03", "reset=0.03", "empty=0.02"];
    let settings = SandboxSettings {
        faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
        seed: 11,
        ..fast_sandbox()
    };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let names: Vec<String> = (0..ROWS).map(|n| format!("m{n:04}")).collect();
    let closer =
        Closer::at(&sandbox).set("RETRY__MAX_ATTEMPTS", "50").set("PACE__REQUESTS_PER_SECOND", "1000");
    closer.list(names.iter().map(String::as_str));
    for kill in 1..=KILLS {
        let mut child = closer
            .command(&["close", "--yes", "--progress", "none", "list.csv"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The number of calls differs each time, so that the kills hit different moments of the run.
        calls_reach(&sandbox, sandbox.statistics().close_calls + 1 + kill * 17 % 53).await;
        child.kill().await.unwrap();
    }
    let last = closer.close().await;
    assert_eq!(last.code, 0, "{}", last.printed());
    assert!(last.stderr.contains("continuing run "), "the kills came after the end: {}", last.printed());

    let journal = closer.run_folder().join("journal.jsonl");
    let mut reader = Reader::open(&journal, Hasher::PLAIN).unwrap();
    let (mut asked, mut ended): (HashMap<String, u32>, HashSet<String>) = (HashMap::new(), HashSet::new());
    let mut continued = 0;
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
            Record::RunContinued(_) => continued += 1,
            Record::RunStarted(_) | Record::RunFinished(_) => {}
        }
    }
    assert_eq!((ended.len(), continued), (ROWS, KILLS));
    assert!(names.iter().all(|name| sandbox.has_ended(name)));
    // Every request that arrived was in the journal before it was sent.
    assert!(u64::from(asked.values().sum::<u32>()) >= sandbox.statistics().close_calls);
    assert_eq!(closer.summary()["rows_in"], ROWS);

    let verified = closer.run(&["verify", "latest", "--input", "list.csv"]).await;
    assert_eq!(verified.code, 0, "{}", verified.printed());
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    let verified = closer.run(&["verify", "latest"]).await;
    assert_eq!(verified.code, 1, "{}", verified.printed());
    assert!(verified.stderr.contains(" is broken: "), "{}", verified.printed());
}
