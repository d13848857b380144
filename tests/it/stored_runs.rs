//! Stored runs of version 0.1.0: this version continues, verifies and reports them.
//!
//! `tests/data/runs/README.md` describes how they were made. These tests read the files as JSON and CSV, without the
//! library, because the format of the files is the promise.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use meeting_closer::{Reply, Sandbox};
use serde_json::Value;

use crate::support::{Closer, audit_of, fast_sandbox, summary_of};

/// Every stored run: its place, its id, and the number of records in its journal.
const RUNS: [(&str, &str, usize); 12] = [
    ("finished", "20261126T163624Z-ed7eb91a", 78),
    ("unfinished/interrupted", "20261126T163509Z-dec4ce83", 45),
    ("unfinished/killed", "20261126T163642Z-30c82380", 44),
    ("continued", "20261126T163540Z-69e57b84", 112),
    ("worker/drained", "20261126T163652Z-queue", 48),
    ("worker/killed", "20261126T163656Z-queue", 20),
    ("keyed/finished", "20261126T163544Z-8b06849d", 28),
    ("keyed/unfinished", "20261126T163545Z-73d30974", 22),
    ("retry/finished", "20261126T163545Z-31194619", 40),
    ("retry/finished", "20261126T163546Z-d519ccf1", 20),
    ("retry/unfinished", "20261126T163547Z-33849f2c", 40),
    ("retry/unfinished", "20261126T163548Z-7ebc8cd0", 15),
];

/// The codes whose messages come from DingTalk. All other messages are ours, and their wording may change.
const DINGTALKS: [&str; 9] = [
    "200",
    "orgAccessForbidden",
    "paramsError",
    "paramsTitleError",
    "permissionError",
    "resourceClose",
    "systemError",
    "unknownUserError",
    "waterLimitError",
];

fn stored(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/runs").join(place)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let copied = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &copied);
        } else {
            fs::copy(entry.path(), copied).unwrap();
        }
    }
}

/// Copies a stored place with its runs and lists.
fn with(closer: Closer, place: &str) -> Closer {
    copy(&stored(place), closer.folder.path());
    closer
}

/// The same, with the key of the place if it has one.
fn with_key(closer: Closer, place: &str) -> Closer {
    let closer = with(closer, place);
    let has_key = closer.folder.path().join("key").exists();
    if has_key { closer.set("AUDIT__HMAC_KEY_FILE", "key") } else { closer }
}

/// The folder of a run in `root`.
fn run_in(root: &Path, id: &str) -> PathBuf {
    root.join("audit").join(id)
}

fn journal_bytes(run: &Path) -> Vec<u8> {
    fs::read(run.join("journal.jsonl")).unwrap()
}

fn journal(run: &Path) -> Vec<Value> {
    let bytes = journal_bytes(run);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn of_type<'a>(records: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter(move |record| record["type"] == name)
}

/// The conference id and the union id of a row.
fn row(record: &Value) -> (&str, &str) {
    (record["conference_id"].as_str().unwrap(), record["union_id"].as_str().unwrap())
}

/// The rows with a final answer.
fn ended(records: &[Value]) -> HashSet<(&str, &str)> {
    let is_end = |record: &&Value| {
        ["closed", "already_closed", "failed"].contains(&record["outcome"].as_str().unwrap())
    };
    of_type(records, "outcome").filter(is_end).map(row).collect()
}

/// Whether a text contains this number as a word.
fn names(text: &str, number: usize) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == number.to_string())
}

/// Whether `made` contains everything in `before`. It may contain more.
fn says_all(made: &Value, before: &Value) -> bool {
    match (before, made) {
        (Value::Object(before), Value::Object(made)) => {
            before.iter().all(|(key, before)| made.get(key).is_some_and(|made| says_all(made, before)))
        }
        (Value::Array(before), Value::Array(made)) => {
            before.len() == made.len() && before.iter().zip(made).all(|(before, made)| says_all(made, before))
        }
        (before, made) => before == made,
    }
}

/// The lines of a run's audit report, with the header.
fn audit_lines(run: &Path) -> Vec<Vec<String>> {
    let bytes = fs::read(run.join("audit.csv")).unwrap();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").expect("audit.csv begins with a byte order mark");
    let mut lines = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    lines.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Asserts that `made` has the rows, columns and cells of `before`. More columns may follow.
fn assert_same_audit(made: &Path, before: &Path) {
    let (made, before) = (audit_lines(made), audit_lines(before));
    let header = &before[0];
    assert!(made[0].starts_with(header), "{:?}", made[0]);
    assert_eq!(made.len(), before.len());
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (code, message) = (column("code"), column("message"));
    for (made, before) in made.iter().zip(&before).skip(1) {
        for (place, cell) in before.iter().enumerate() {
            let is_ours = place == message && !DINGTALKS.contains(&before[code].as_str());
            assert!(is_ours || made[place] == *cell, "{}: {made:?} was {before:?}", header[place]);
        }
    }
}

/// These columns of an audit report's rows, sorted.
fn columns<const N: usize>(audit: &[HashMap<String, String>], names: [&str; N]) -> Vec<[String; N]> {
    let mut rows: Vec<_> = audit.iter().map(|row| names.map(|name| row[name].clone())).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn every_run_of_version_0_1_is_whole_with_all_its_records() {
    for (place, id, records) in RUNS {
        let closer = with_key(Closer::bare(), place);
        let run = run_in(closer.folder.path(), id);
        let kept = journal(&run);
        assert_eq!((kept.len(), kept[0]["version"].as_str()), (records, Some("0.1.0")), "{place}");
        let verified = closer.run(&["verify", id]).await;
        // A run that was killed has no end, which its exit code says.
        let has_end = kept.last().is_some_and(|last| last["type"] == "run_finished");
        assert_eq!(verified.code, i32::from(!has_end), "{place}: {}", verified.printed());
        assert_eq!(verified.stderr.contains(" is unfinished"), !has_end, "{place}: {}", verified.printed());
        assert!(names(&verified.stdout, records), "{place}: {}", verified.printed());
        assert!(journal_bytes(&run) == journal_bytes(&run_in(&stored(place), id)), "{place} was written");
    }
}

#[tokio::test]
async fn a_changed_record_of_a_run_of_version_0_1_is_detected() {
    for (place, id, _) in RUNS {
        let closer = with_key(Closer::bare(), place);
        let path = run_in(closer.folder.path(), id).join("journal.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("\"attempt\":1", "\"attempt\":2", 1)).unwrap();
        let verified = closer.run(&["verify", id]).await;
        assert_eq!(verified.code, 1, "{place}: {}", verified.printed());
    }
}

#[tokio::test]
async fn the_reports_of_a_run_of_version_0_1_stay_the_same() {
    let mut reported = 0;
    for (place, id, _) in RUNS {
        let before = run_in(&stored(place), id);
        if !before.join("summary.json").exists() {
            continue;
        }
        let closer = with_key(Closer::bare(), place);
        let made = run_in(closer.folder.path(), id);
        for report in ["audit.csv", "report.html", "summary.json"] {
            fs::remove_file(made.join(report)).unwrap();
        }
        let ran = closer.run(&["report", id]).await;
        assert_eq!(ran.code, 0, "{place}: {}", ran.printed());
        assert_same_audit(&made, &before);
        let (summary, was) = (summary_of(&made), summary_of(&before));
        assert!(says_all(&summary, &was), "{place}: {summary:#} was {was:#}");
        assert!(fs::read_to_string(made.join("report.html")).unwrap().contains(id), "{place}");
        reported += 1;
    }
    assert_eq!(reported, 10);
}

#[tokio::test]
async fn a_killed_run_of_version_0_1_gets_reports_from_its_journal() {
    for place in ["unfinished/killed", "worker/killed"] {
        let closer = with(Closer::bare(), place);
        let run = closer.run_folder();
        let ran = closer.run(&["report", "latest"]).await;
        assert_eq!(ran.code, 0, "{place}: {}", ran.printed());
        let records = journal(&run);
        let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
        let mut known: Vec<[String; 3]> = of_type(&records, "outcome")
            .map(|record| [text(record, "source"), record["line"].to_string(), text(record, "outcome")])
            .collect();
        known.sort();
        assert_eq!(columns(&closer.audit(), ["source", "line", "outcome"]), known, "{place}");
        let (summary, attempts) = (closer.summary(), of_type(&records, "attempt").count());
        assert_eq!(
            (&summary["calls"], &summary["reason"], &summary["records"]),
            (&attempts.into(), &Value::Null, &records.len().into()),
            "{place}"
        );
    }
}

/// Continues the newest run of a place. Asserts that the run finishes, that it asks once for each row without an outcome
/// and for no other row, and that the earlier records are unchanged. Returns the new records.
async fn go_on(closer: &Closer, id: &str, command: &[&str]) -> Vec<Value> {
    let (run, runs) = (run_in(closer.folder.path(), id), closer.run_folders());
    let (bytes, before) = (journal_bytes(&run), journal(&run));
    let had_ended = ended(&before);
    let to_close = usize::try_from(before[0]["rows"]["to_close"].as_u64().unwrap()).unwrap();
    let open = to_close - had_ended.len();
    assert!(open > 0 && !had_ended.is_empty());

    let ran = closer.run(command).await;
    // Every stored list has an invalid row, or a row with the wrong host.
    assert_eq!(ran.code, 1, "{}", ran.printed());
    assert_eq!(closer.run_folders(), runs, "another run has begun: {}", ran.printed());
    assert!(journal_bytes(&run).starts_with(&bytes), "what it was has changed: {}", ran.printed());
    let after = journal(&run);
    let (was, written) = after.split_at(before.len());
    assert_eq!(written[0]["type"], "run_continued");
    let asked: Vec<(&str, &str)> = of_type(written, "attempt").map(row).collect();
    let rows: HashSet<_> = asked.iter().copied().collect();
    assert_eq!((asked.len(), rows.len()), (open, open), "{asked:?}");
    assert!(rows.is_disjoint(&ended(was)), "asked again: {asked:?}");
    assert_eq!(ended(&after).len(), to_close);

    let summary = summary_of(&run);
    assert_eq!(
        (&summary["reason"], &summary["rows_in"], &summary["outcomes"]["not_attempted"]),
        (&"completed".into(), &before[0]["rows"]["total"], &0.into())
    );
    let verified = closer.run(&["verify", id]).await;
    assert_eq!(verified.code, 0, "{}", verified.printed());
    assert!(names(&verified.stdout, after.len()), "{}", verified.printed());
    written.to_vec()
}

/// Asserts that each row of these lists has one outcome in the newest run.
async fn assert_accounted_for(closer: &Closer, lists: &[&str]) {
    let ran = closer.run(&[&["verify", "latest"], lists].concat()).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
}

#[tokio::test]
async fn an_interrupted_run_of_version_0_1_continues_with_the_same_command() {
    let closer = with(Closer::bare(), "unfinished/interrupted");
    let command = ["close", "--sandbox", "--exclude", "keep.csv", "今晚的会议.csv"];
    go_on(&closer, "20261126T163509Z-dec4ce83", &command).await;
    assert_accounted_for(&closer, &["--input", "今晚的会议.csv"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_of_version_0_1_continues_and_its_doubtful_rows_are_unknown() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with(Closer::at(&sandbox), "unfinished/killed");
    let before = journal(&closer.run_folder());
    let had_ended = ended(&before);
    // The rows that were asked for without an answer, with the number of attempts and the time of the first.
    let mut in_doubt: HashMap<(&str, &str), (u64, &Value)> = HashMap::new();
    for attempt in of_type(&before, "attempt").filter(|attempt| !had_ended.contains(&row(attempt))) {
        in_doubt.entry(row(attempt)).or_insert((0, &attempt["at"])).0 += 1;
    }
    assert!(in_doubt.len() > 1 && in_doubt.values().any(|(attempts, _)| *attempts > 1), "{in_doubt:?}");
    for (conference_id, _) in in_doubt.keys() {
        sandbox.script(conference_id, [Reply::failure(400, "resourceClose", "The meeting has ended")]);
    }

    let command = ["close", "--yes", "--exclude", "keep.csv", "今晚的会议.csv"];
    let written = go_on(&closer, "20261126T163642Z-30c82380", &command).await;
    let asked = of_type(&written, "attempt").count();
    assert_eq!(usize::try_from(sandbox.statistics().close_calls), Ok(asked));
    // A duplicate of a row in doubt may have its outcome first.
    for outcome in of_type(&written, "outcome").filter(|outcome| outcome["outcome"] != "duplicate") {
        let Some((attempts, first)) = in_doubt.remove(&row(outcome)) else { continue };
        assert_eq!(
            (&outcome["outcome"], &outcome["ended_by"]),
            (&"already_closed".into(), &"unknown".into()),
            "{outcome}"
        );
        assert_eq!(
            (&outcome["attempts"], &outcome["first_attempt_at"]),
            (&(attempts + 1).into(), first),
            "{outcome}"
        );
    }
    assert!(in_doubt.is_empty(), "{in_doubt:?}");
    assert_accounted_for(&closer, &["--input", "今晚的会议.csv"]).await;
}

#[tokio::test]
async fn a_keyed_run_of_version_0_1_continues_under_its_key() {
    let closer = with_key(Closer::bare(), "keyed/unfinished");
    go_on(&closer, "20261126T163545Z-73d30974", &["close", "--sandbox", "list.csv"]).await;
    assert_accounted_for(&closer, &["--input", "list.csv"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_run_of_version_0_1_is_broken_without_its_key_and_does_not_continue() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    for place in ["keyed/finished", "keyed/unfinished"] {
        let without = with(Closer::at(&sandbox), place);
        let another = with(Closer::at(&sandbox), place).set("AUDIT__HMAC_KEY_FILE", "another-key");
        another.file("another-key", "another key\n");
        for closer in [without, another] {
            let verified = closer.run(&["verify", "latest"]).await;
            assert_eq!(verified.code, 1, "{place}: {}", verified.printed());
            let reported = closer.run(&["report", "latest"]).await;
            assert_eq!(reported.code, 2, "{place}: {}", reported.printed());
            if place == "keyed/unfinished" {
                let run = closer.run_folder();
                let before = journal_bytes(&run);
                let ran = closer.run(&["close", "--yes", "list.csv"]).await;
                assert_eq!(ran.code, 2, "{}", ran.printed());
                assert!(journal_bytes(&closer.run_folder()) == before, "{}", ran.printed());
            }
        }
    }
    assert_eq!(sandbox.statistics().close_calls, 0);
}

#[tokio::test]
async fn a_late_retry_of_version_0_1_continues_with_the_same_command() {
    let closer = with(Closer::bare(), "retry/unfinished");
    let command = ["close", "--sandbox", "--retry-failed", "latest"];
    let written = go_on(&closer, "20261126T163548Z-7ebc8cd0", &command).await;
    assert_eq!(written[0]["retry_of"], "20261126T163547Z-33849f2c");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_failed_takes_the_failed_rows_of_a_run_of_version_0_1() {
    const IDENTITY: [&str; 4] = ["source", "line", "conference_id", "union_id"];
    let places = ["finished", "continued", "retry/finished"];
    for (place, id, _) in RUNS.into_iter().filter(|(place, ..)| places.contains(place)) {
        let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
        let closer = with(Closer::at(&sandbox), place);
        let mut failed = audit_of(&run_in(&stored(place), id));
        failed.retain(|row| row["outcome"] == "failed");
        assert!(!failed.is_empty(), "{place}");
        let ran = closer.run(&["close", "--yes", "--run-id", "again", "--retry-failed", id]).await;
        // Some rows name a guest instead of the host.
        assert_eq!(ran.code, 1, "{place}: {}", ran.printed());
        let again = run_in(closer.folder.path(), "again");
        assert_eq!(journal(&again)[0]["retry_of"], id);
        assert_eq!(columns(&audit_of(&again), IDENTITY), columns(&failed, IDENTITY), "{place}");
        assert_eq!(usize::try_from(sandbox.statistics().close_calls), Ok(failed.len()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_of_version_0_1_is_never_repeated_and_its_lists_are_recognised() {
    const FINISHED: &[&str] = &["--exclude", "keep.csv", "--sheet", "今晚", "今晚的会议.csv", "evening.xlsx"];
    let inputs = ["--sheet", "今晚", "--input", "今晚的会议.csv", "--input", "evening.xlsx"];
    let places: [(&str, &[&str], &[&str]); 3] = [
        ("finished", FINISHED, &inputs),
        ("continued", &["今晚的会议.csv"], &["--input", "今晚的会议.csv"]),
        ("keyed/finished", &["list.csv"], &["--input", "list.csv"]),
    ];
    for (place, lists, inputs) in places {
        let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
        let closer = with_key(Closer::at(&sandbox), place);
        assert_accounted_for(&closer, inputs).await;
        let run = closer.run_folder();
        let before = journal_bytes(&run);
        let started = journal(&run).swap_remove(0);

        let ran = closer.run(&[&["close", "--yes"], lists].concat()).await;
        assert_eq!(ran.code, 1, "{place}: {}", ran.printed());
        assert!(journal_bytes(&run) == before, "{place}: {}", ran.printed());
        let mut others = closer.run_folders();
        others.retain(|folder| *folder != run);
        assert_eq!(others.len(), 1, "{place}: {}", ran.printed());
        let anew = journal(&others[0]).swap_remove(0);
        for key in ["lists_digest", "lists"] {
            assert!(says_all(&anew[key], &started[key]), "{place}: {key} {} was {}", anew[key], started[key]);
        }
        // Version 0.1.0 took any text for an id. Rows whose ids are none by now are rows still, and invalid.
        let rows = |run: &Value, kind: &str| run["rows"][kind].as_u64().unwrap();
        for kind in ["total", "duplicate", "excluded"] {
            assert_eq!(rows(&anew, kind), rows(&started, kind), "{place}: {kind}");
        }
        let no_ids = [("finished", 3), ("continued", 1), ("keyed/finished", 1)];
        let no_ids = no_ids.into_iter().find(|(name, _)| *name == place).unwrap().1;
        assert_eq!(rows(&anew, "invalid"), rows(&started, "invalid") + no_ids, "{place}");
        assert_eq!(rows(&anew, "to_close") + no_ids, rows(&started, "to_close"), "{place}");
        assert_eq!(sandbox.statistics().close_calls, rows(&anew, "to_close"), "{place}");
    }
}
