//! The stand-in as users start it: `close --sandbox`, and `sandbox` on a port.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{Closer, signal};

/// The list that the README closes.
const LIST: &str = include_str!("../data/end-of-day.csv");

#[tokio::test(flavor = "multi_thread")]
async fn every_output_of_a_rehearsal_says_that_it_is_one() {
    // The sandbox neither needs nor sends the real credentials in the environment.
    let closer =
        Closer::bare().set("DINGTALK__APP_SECRET_FILE", "/nowhere").set("PACE__REQUESTS_PER_SECOND", "200");
    closer.file("end-of-day.csv", LIST);
    let ran = closer.run(&["close", "--sandbox", "--rate", "19", "end-of-day.csv"]).await;
    assert_eq!(ran.code, 1, "{}", ran.printed());
    let folder = closer.run_folder();
    let name = folder.file_name().unwrap().to_str().unwrap();
    let expected = [
        "SANDBOX: a rehearsal, no real meeting was touched",
        "closed                  32",
        "already_closed           2",
        "failed                   1",
        "invalid                  2",
        "duplicate                1",
        "rows in                 38",
    ];
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..7], expected, "{}", ran.printed());
    assert!(lines[7].starts_with("35 calls in "), "{}", ran.printed());
    assert_eq!(lines[8..], [format!("audit/{name}")]);
    assert_eq!(closer.summary()["sandbox"], true);
    assert!(closer.audit().iter().all(|row| row["message"].starts_with("[sandbox]")));
    let logged: Vec<&str> = ran.stderr.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(!logged.is_empty() && logged.iter().all(|line| line.contains("sandbox")), "{}", ran.printed());
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    assert!(journal.lines().next().unwrap().contains("\"sandbox\":true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_serves_until_a_signal_and_then_prints_its_counts() {
    let closer = Closer::bare();
    let mut child = closer
        .command(&[
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--latency",
            "0ms..1ms",
            "--fault",
            "systemError=0.5",
            "--seed",
            "3",
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let base_url = lines.next_line().await.unwrap().unwrap();
    let closer = closer
        .set("DINGTALK__BASE_URL", &base_url)
        .set("DINGTALK__APP_KEY", "any")
        .set("DINGTALK__APP_SECRET", "any")
        .set("RETRY__INITIAL_INTERVAL", "1ms");
    closer.list(["a", "b", "c", "d", "e", "f"]);
    let ran = closer.close().await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let calls = closer.summary()["calls"].as_u64().unwrap();
    assert!(calls > 6, "half of the calls meet a fault: {calls}");

    signal(child.id(), "-INT");
    assert_eq!(
        lines.next_line().await.unwrap().unwrap(),
        format!("{calls} calls to close a meeting, 6 closed")
    );
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_listens_only_on_loopback() {
    let ran = Closer::bare().run(&["sandbox", "--listen", "0.0.0.0:0"]).await;
    let expected = "error: cannot listen on 0.0.0.0:0: 0.0.0.0 is not a loopback address\n\
                    hint: choose a loopback address with a free port, such as --listen 127.0.0.1:0\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (2, expected));
}
