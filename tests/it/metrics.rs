//! The Prometheus textfile: its names are fixed, and every run writes one when it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use meeting_closer::{Reply, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::receiver::Receiver;
use crate::support::{Closer, calls_reach, fast_sandbox, signal};

/// The metrics that dashboards and alerts use, with their types in Prometheus' text format.
const FIXED: [(&str, &str); 11] = [
    ("meeting_closer_outcomes_total", "counter"),
    ("meeting_closer_attempts_total", "counter"),
    ("meeting_closer_throttled_total", "counter"),
    ("meeting_closer_attempt_duration_seconds", "histogram"),
    ("meeting_closer_pace_requests_per_second", "gauge"),
    ("meeting_closer_in_flight", "gauge"),
    ("meeting_closer_waiting_retries", "gauge"),
    ("meeting_closer_paused", "gauge"),
    ("meeting_closer_last_run_timestamp_seconds", "gauge"),
    ("meeting_closer_last_run_exit_code", "gauge"),
    ("meeting_closer_queue_pending", "gauge"),
];

fn writing(sandbox: &Sandbox) -> Closer {
    Closer::at(sandbox).set("METRICS__TEXTFILE", "metrics/closer.prom")
}

/// The file's text.
fn textfile(closer: &Closer) -> String {
    std::fs::read_to_string(closer.folder.path().join("metrics/closer.prom")).unwrap()
}

/// The value of a sample with this name and these labels.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("meeting_closer_{sample} ")));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
}

fn with_folder(closer: Closer) -> Closer {
    std::fs::create_dir(closer.folder.path().join("metrics")).unwrap();
    closer
}

/// promtool's exit code and output. The output is empty if the text is valid.
async fn promtool(text: &str) -> (Option<i32>, String) {
    let mut promtool = tokio::process::Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("tests/run installs promtool");
    child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_textfile_has_the_fixed_names_and_types_and_promtool_finds_nothing_wrong() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_folder(writing(&sandbox));
    closer.list(["a", "a", "ended", "b", ""]);
    let throttled = Reply::failure(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "x");
    sandbox.script("b", [throttled.header("retry-after", "0"), Reply::failure(404, "permissionError", "x")]);
    let ran = closer.close().await;
    assert_eq!(ran.code, 1, "{}", ran.printed());
    let text = textfile(&closer);

    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut types: Vec<(&str, &str)> = types.collect();
    types.sort_unstable();
    let mut fixed = FIXED;
    fixed.sort_unstable();
    assert_eq!(types, fixed);
    assert_eq!(promtool(&text).await, (Some(0), String::new()), "{text}");
    assert!(text.starts_with("# SANDBOX: a rehearsal, no real meeting was touched\n"), "{text}");

    let summary = closer.summary();
    for (outcome, rows) in summary["outcomes"].as_object().unwrap() {
        let counted = value(&text, &format!("outcomes_total{{outcome=\"{outcome}\"}}"));
        assert_eq!(Some(counted), rows.as_f64(), "{outcome}");
    }
    assert_eq!(Some(value(&text, "attempt_duration_seconds_count")), summary["calls"].as_f64());
    let throttled = "attempts_total{code=\"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi\"}";
    for (sample, expected) in [
        ("attempts_total{code=\"200\"}", 1.0),
        ("attempts_total{code=\"resourceClose\"}", 1.0),
        ("attempts_total{code=\"permissionError\"}", 1.0),
        (throttled, 1.0),
        ("throttled_total", 1.0),
        ("last_run_exit_code", 1.0),
        ("in_flight", 0.0),
        ("waiting_retries", 0.0),
        ("paused", 0.0),
    ] {
        assert!((value(&text, sample) - expected).abs() < 1e-9, "{sample} in\n{text}");
    }
    let ended: jiff::Timestamp = summary["ended_at"].as_str().unwrap().parse().unwrap();
    assert!(value(&text, "last_run_timestamp_seconds") >= ended.as_millisecond() as f64 / 1000.0);

    let path = closer.folder.path().join("metrics");
    assert_eq!(std::fs::metadata(path.join("closer.prom")).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_reports_a_wrong_textfile() {
    let (code, printed) =
        promtool("# TYPE meeting_closer_outcomes counter\nmeeting_closer_outcomes 1\n").await;
    assert_eq!(code, Some(3), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_run_a_late_run_and_a_run_without_an_audit_write_their_metrics() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = with_folder(writing(&sandbox)).set("PACE__CONCURRENCY", "1");
    closer.list(["a", "b"]);
    sandbox.script("a", [Reply::failure(403, "Forbidden.AccessDenied.ApiCountLimitForOrg", "spent")]);
    let ran = closer.close().await;
    assert_eq!((ran.code, value(&textfile(&closer), "last_run_exit_code")), (3, 3.0), "{}", ran.printed());
    assert!(textfile(&closer).contains("outcomes_total{outcome=\"not_attempted\"} 2\n"));
    let ran = closer.run(&["close", "--yes", "--deadline", "1ms", "list.csv"]).await;
    assert_eq!((ran.code, value(&textfile(&closer), "last_run_exit_code")), (4, 4.0), "{}", ran.printed());

    let slow = closer.set("PACE__REQUESTS_PER_SECOND", "20");
    let names: Vec<String> = (0..2000).map(|n| format!("m{n:04}")).collect();
    slow.list(names.iter().map(String::as_str));
    let calls = sandbox.statistics().close_calls;
    let child = slow.command(&["close", "--yes", "--run-id", "z", "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, calls + 2).await;
    std::fs::remove_dir_all(slow.folder.path().join("audit/z")).unwrap();
    assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(5));
    assert!((value(&textfile(&slow), "last_run_exit_code") - 5.0).abs() < 1e-9);

    // A refused command starts no run, so the metrics of the last run stay.
    let before = textfile(&slow);
    assert_eq!(slow.run(&["close", "--yes", "--rate", "0", "list.csv"]).await.code, 2);
    assert_eq!(textfile(&slow), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_run_writes_its_metrics_and_notifies_the_group() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let robot = Receiver::start(200, r#"{"errcode":0}"#).await;
    let closer = with_folder(writing(&sandbox)).set("NOTIFY__ROBOT_WEBHOOK", &robot.url("robot/send"));
    closer.list(["a"]);
    sandbox.script("a", [Reply::Silence]);
    let mut child = closer.command(&["close", "--yes", "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, 1).await;
    signal(child.id(), "-TERM");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        // The run has received the first signal, so the next one is the second.
        if line.contains("nothing new is started") {
            break;
        }
    }
    signal(child.id(), "-TERM");
    assert_eq!(child.wait().await.unwrap().code(), Some(4));
    let text = textfile(&closer);
    assert!((value(&text, "last_run_exit_code") - 4.0).abs() < 1e-9, "{text}");
    assert!(value(&text, "in_flight").abs() < 1e-9, "{text}");
    let received = robot.received();
    let message = String::from_utf8_lossy(&received[0].body);
    assert!(message.contains("exit code 4") && message.contains("**To continue**: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_textfile_is_a_warning_and_keeps_the_exit_code() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = writing(&sandbox);
    closer.list(["a"]);
    let ran = closer.close().await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let warning =
        "cannot write the metrics to metrics/closer.prom (metrics.textfile): No such file or directory";
    assert!(
        ran.stderr.lines().any(|line| line.contains(" WARN ") && line.contains(warning)),
        "{}",
        ran.printed()
    );
}
