//! A worker and its queue: closing, dead letters, requeuing, leases, rotation and status.

use std::collections::HashMap;
use std::path::PathBuf;

use meeting_closer::{Reply, Sandbox, ScriptedReply};

use crate::support::{calls_reach, fast_sandbox, summary_of};
use crate::support_redis::{
    DEAD, LogLines, Redis, STREAM, outcomes, start_worker, terminate, wait_for_log, worker,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_entry_is_closed_acknowledged_and_in_the_audit_under_its_id() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let id = redis.add(&[("union_id", "host"), ("conference_id", "a/b"), ("anything", "else")]);
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(ran.stdout.contains("closed                   1\n"), "{}", ran.printed());
    let row = &closer.audit()[0];
    assert_eq!((row["source"].as_str(), row["line"].as_str()), (format!("{STREAM}/{id}").as_str(), "1"));
    assert_eq!((row["conference_id"].as_str(), row["outcome"].as_str()), ("a/b", "closed"));
    assert_eq!((redis.length(STREAM), redis.pending()), (0, vec![]));
    assert_eq!(redis.consumers(), Vec::<String>::new());
    // No entry waits, so there is no run and no run folder.
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, ran.stdout.as_str(), closer.run_folders().len()), (0, "", 1), "{}", ran.printed());
    // A meeting whose entry is settled can be enqueued again.
    closer.list(["a/b"]);
    closer.file("list.csv", "conferenceId,unionId\na/b,host\n");
    let ran = closer.run(&["enqueue", "--yes", "list.csv"]).await;
    assert_eq!(ran.stdout, format!("1 request added to {STREAM}, 0 waited there already\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_no_meeting_becomes_a_dead_letter_with_its_reason_and_delays_no_other() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let huge = "x".repeat(3 << 20);
    redis.add(&[("conference_id", "a")]);
    redis.add(&[("nothing", "of use"), ("code", "mine")]);
    redis.add(&[("conference_id", &huge), ("union_id", "u"), ("requested_by", "bot")]);
    redis.add(&[("conference_id", "6.07E+23"), ("union_id", "u")]);
    redis.add(&[("conference_id", "b"), ("union_id", "guest")]);
    let fields: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    redis.add(&fields.iter().map(|field| (field.as_str(), "x")).collect::<Vec<_>>());
    redis.add_meeting("good");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(ran.code, 1, "{}", ran.printed());
    assert!(ran.stderr.contains("hint: permissionError (1 row): "), "{}", ran.printed());
    assert!(sandbox.has_ended("good") && sandbox.statistics().close_calls == 2);
    assert_eq!((redis.length(STREAM), redis.pending(), redis.length(DEAD)), (0, vec![], 6));

    // Sorted by the order in which they were added.
    let mut dead = redis.dead();
    dead.sort_by_key(|entry| entry["entry_id"].clone());
    let reasons: Vec<(&str, &str)> =
        dead.iter().map(|entry| (entry["outcome"].as_str(), entry["message"].as_str())).collect();
    let invalid = |reason| ("invalid", reason);
    assert_eq!(
        reasons[..2],
        [invalid("the field union_id is missing"), invalid("the field conference_id is missing")]
    );
    assert_eq!(reasons[2], invalid("the field conference_id has 3145728 bytes; an id has at most 256"));
    assert!(reasons[3].1.contains("a number that a spreadsheet rounded"), "{reasons:?}");
    assert_eq!(reasons[5], invalid("the field conference_id is missing"));
    // A dead letter has all fields of its entry, even large ones, and the fields of its outcome.
    assert_eq!((dead[2]["conference_id"].len(), dead[2]["requested_by"].as_str()), (huge.len(), "bot"));
    let failed = &dead[4];
    for (field, value) in
        [("outcome", "failed"), ("code", "permissionError"), ("http_status", "404"), ("union_id", "guest")]
    {
        assert_eq!(failed[field], value, "{field}");
    }
    assert_eq!(failed["run_id"], closer.run_folder().file_name().unwrap().to_str().unwrap());
    let size = std::fs::metadata(closer.run_folder().join("journal.jsonl")).unwrap().len();
    assert!(size < 20_000, "the journal does not grow with an entry: {size} bytes");

    let status = closer.run(&["queue", "status"]).await.stdout;
    assert!(status.ends_with(
        "dead                                     6\n  invalid                                5\n  permissionError                        1\n"
    ), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_requeued_whole_by_code_and_limit_and_count_as_asked_for() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis).set("RETRY__MAX_ATTEMPTS", "1");
    for name in ["p1", "p2", "p3"] {
        sandbox.script(name, [Reply::failure(404, "permissionError", "x")]);
        redis.add(&[("conference_id", name), ("union_id", "host"), ("requested_by", "bot")]);
    }
    // DingTalk closes this meeting, but the answer is lost.
    sandbox.script("lost", [ScriptedReply { reply: Reply::Drop, closes: true }]);
    redis.add_meeting("lost");
    redis.add(&[("conference_id", "poison")]);
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 1);
    assert_eq!(redis.length(DEAD), 5);

    let requeue =
        async |arguments: &[&str]| closer.run(&[&["queue", "requeue-dead"], arguments].concat()).await.stdout;
    let put_back =
        |entries, waited| format!("{entries} put back on {STREAM}, {waited} waited there already\n");
    assert_eq!(requeue(&["--code", "permissionError", "--limit", "1"]).await, put_back("1 entry", 0));
    assert_eq!((redis.length(STREAM), redis.length(DEAD)), (1, 4));
    let entries: Vec<(String, HashMap<String, String>)> = redis.command(&["XRANGE", STREAM, "-", "+"]);
    assert_eq!(entries[0].1["requested_by"], "bot");
    // A list enqueues one of these meetings in the meantime: requeuing does not add it twice.
    let other = ["p1", "p2", "p3"].into_iter().find(|name| *name != entries[0].1["conference_id"]);
    closer.list(other);
    closer.run(&["enqueue", "--yes", "list.csv"]).await;
    assert_eq!(requeue(&["--code", "permissionError"]).await, put_back("1 entry", 1));
    assert_eq!(requeue(&["--code", "noSuchCode"]).await, put_back("0 entries", 0));
    assert_eq!(requeue(&[]).await, put_back("2 entries", 0));
    assert_eq!((redis.length(STREAM), redis.length(DEAD)), (5, 0));

    assert_eq!(closer.run(&["work", "--drain"]).await.code, 1);
    assert_eq!((redis.length(STREAM), redis.dead().len()), (0, 1));
    let outcomes = outcomes(&closer);
    for name in ["p1", "p2", "p3"] {
        let kinds: Vec<&str> = outcomes[name].iter().map(|row| row["outcome"].as_str()).collect();
        assert_eq!(kinds, ["failed", "closed"], "{name}");
    }
    let lost = &outcomes["lost"][1];
    assert_eq!((lost["outcome"].as_str(), lost["ended_by"].as_str()), ("already_closed", "unknown"));
    for run in closer.run_folders() {
        assert_eq!(closer.run(&["verify", run.to_str().unwrap()]).await.code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_dead_worker_is_taken_over_and_its_ended_by_is_unknown() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis).set("QUEUE__CLAIM_AFTER", "1s");
    redis.add_meeting("ended-by-somebody");
    let _: String = redis.command(&["XGROUP", "CREATE", STREAM, "meeting-closer", "0"]);
    let taken: redis::Value =
        redis.command(&["XREADGROUP", "GROUP", "meeting-closer", "gone", "STREAMS", STREAM, ">"]);
    assert_ne!(taken, redis::Value::Nil);
    // This test created the group, so another worker may have asked for the first entry. The second entry is newer.
    let first = start_worker(&closer, &["--drain"]);
    while !redis.exists(&format!("{STREAM}:server")) {
        tokio::task::yield_now().await;
    }
    redis.add_meeting("ended-long-ago");
    let ended = first.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let outcomes = outcomes(&closer);
    for (name, ended_by) in [("ended-by-somebody", "unknown"), ("ended-long-ago", "earlier")] {
        let row = &outcomes[name][0];
        assert_eq!(
            (row["outcome"].as_str(), row["ended_by"].as_str()),
            ("already_closed", ended_by),
            "{name}"
        );
    }
    assert_eq!((redis.length(STREAM), redis.pending()), (0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_keeps_its_leases_and_the_status_shows_them() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis).set("QUEUE__CLAIM_AFTER", "1s");
    sandbox.script(
        "slow",
        [Reply::failure(403, "Forbidden.AccessDenied.QpsLimitForApi", "x").header("retry-after", "3")],
    );
    redis.add_meeting("slow");
    let first = start_worker(&closer, &["--drain"]);
    calls_reach(&sandbox, 1).await;
    // A second worker would take over leases that were not renewed for a second. It finds none, and ends after the first.
    let second = closer.run(&["work", "--drain"]).await;
    assert_eq!((second.code, second.stdout.as_str()), (0, ""), "{}", second.printed());
    assert_eq!(first.wait_with_output().await.unwrap().status.code(), Some(0));
    assert_eq!(sandbox.statistics().close_calls, 2);

    sandbox.script("silent", [Reply::Silence]);
    redis.add_meeting("silent");
    redis.add_meeting("guarded");
    sandbox.script("guarded", [Reply::Silence]);
    let mut third = start_worker(&closer, &["--concurrency", "1"]);
    calls_reach(&sandbox, 3).await;
    let status = closer.run(&["queue", "status"]).await.stdout;
    let lines: Vec<&str> = status.lines().collect();
    assert_eq!(
        lines[..2],
        ["waiting                                  0", "in progress                              2"]
    );
    let name = format!("-{}-", third.id().unwrap());
    assert!(lines[2].contains(&name) && lines[2].contains("         2  for "), "{status}");
    assert_eq!(lines[3..], ["dead                                     0"]);
    third.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_releases_its_unfinished_entries_and_another_takes_them_at_once() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    // Leases expire only after a minute.
    let closer = worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "10");
    for n in 0..60 {
        redis.add_meeting(&format!("m{n}"));
    }
    let first = start_worker(&closer, &[]);
    calls_reach(&sandbox, 3).await;
    terminate(&first);
    let ended = first.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let calls = sandbox.statistics().close_calls;
    assert_eq!(redis.length(STREAM), 60 - calls);
    assert_eq!(redis.consumers(), ["meeting-closer:released"]);
    let status = closer.run(&["queue", "status"]).await.stdout;
    assert!(status.starts_with(&format!("waiting{:>35}\nin progress{:>31}\n", 60 - calls, 0)), "{status}");
    let summary = summary_of(&closer.run_folder());
    assert_eq!((&summary["reason"], &summary["outcomes"]["closed"]), (&"interrupted".into(), &calls.into()));

    let closer = closer.set("PACE__REQUESTS_PER_SECOND", "1000");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (0, 60), "{}", ran.printed());
    let rows: Vec<_> = outcomes(&closer).into_values().flatten().collect();
    assert!(rows.iter().all(|row| ["closed", "not_attempted"].contains(&row["outcome"].as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_stopped_while_another_worker_has_leases_was_interrupted() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    redis.add_meeting("m");
    let _: String = redis.command(&["XGROUP", "CREATE", STREAM, "meeting-closer", "0"]);
    let _: redis::Value =
        redis.command(&["XREADGROUP", "GROUP", "meeting-closer", "another", "STREAMS", STREAM, ">"]);
    let mut child = start_worker(&closer, &["--drain"]);
    wait_for_log(&mut child, "joined the queue").await;
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(4));
    assert_eq!((redis.pending()[0].worker.as_str(), redis.consumers()), ("another", vec!["another".into()]));
    assert_eq!((sandbox.statistics().close_calls, closer.run_folders().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_every_row_would_get_ends_the_worker_and_leaves_the_queue_unchanged() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let quota = Reply::failure(403, "Forbidden.AccessDenied.ApiCountLimitForOrg", "x");
    for n in 0..300 {
        sandbox.script(&format!("m{n}"), [quota.clone()]);
        redis.add_meeting(&format!("m{n}"));
    }
    let ran = closer.run(&["work"]).await;
    assert_eq!(ran.code, 3, "{}", ran.printed());
    assert!(sandbox.statistics().close_calls <= 16);
    assert_eq!((redis.length(STREAM), redis.length(DEAD)), (300, 0));
    assert_eq!(redis.consumers(), ["meeting-closer:released"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_meeting_in_two_entries_is_asked_for_once() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    for _ in 0..3 {
        redis.add_meeting("m");
    }
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    let mut kinds: Vec<String> = closer.audit().iter().map(|row| row["outcome"].clone()).collect();
    kinds.sort();
    assert_eq!(kinds, ["closed", "duplicate", "duplicate"]);
    assert_eq!((sandbox.statistics().close_calls, redis.length(STREAM)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_journal_is_rotated_into_a_new_run_and_every_run_is_whole() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer =
        worker(&sandbox, &redis).set("QUEUE__ROTATE_MIB", "1").set("PACE__REQUESTS_PER_SECOND", "100000");
    let names: Vec<String> = (0..2500).map(|n| format!("m{n:05}")).collect();
    closer.list(names.iter().map(String::as_str));
    closer.run(&["enqueue", "--yes", "list.csv"]).await;
    // The first run closes this meeting. The last run gets it in another entry.
    redis.add_meeting("m00000");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let runs: Vec<PathBuf> = closer.run_folders();
    assert!(runs.len() >= 2, "{runs:?}");
    let mut rows = 0;
    for run in &runs {
        let summary = summary_of(run);
        assert_eq!((&summary["reason"], &summary["exit_code"]), (&"completed".into(), &0.into()));
        rows += summary["rows_in"].as_u64().unwrap();
        assert_eq!(closer.run(&["verify", run.to_str().unwrap()]).await.code, 0);
    }
    assert_eq!((rows, sandbox.statistics().close_calls), (2501, 2501));
    let twice: Vec<String> = outcomes(&closer)["m00000"].iter().map(|row| row["outcome"].clone()).collect();
    assert_eq!(twice, ["closed", "already_closed"]);
    let refused = closer.run(&["close", "--yes", "--resume", "latest"]).await;
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains(&format!("belongs to a worker, and its open rows are on the queue {STREAM}"))
    );
}

/// The metrics address in a worker's log.
fn metrics_address(printed: &str) -> String {
    printed.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

/// Sends a request to a worker's metrics address.
async fn get(address: &str, path: &str) -> (u16, String) {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let answer = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_serves_its_health_readiness_and_metrics() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis).set("METRICS__LISTEN", "127.0.0.1:0");
    for n in 0..30 {
        redis.add_meeting(&format!("m{n}"));
    }
    let mut child = start_worker(&closer, &["--concurrency", "2"]);
    let address = metrics_address(&wait_for_log(&mut child, "serving metrics at http://").await);
    calls_reach(&sandbox, 30).await;
    assert_eq!(get(&address, "/healthz").await.0, 200);
    assert_eq!(get(&address, "/readyz").await.0, 200);
    // The metrics change when an answer arrives, and when the worker next looks at the queue.
    loop {
        let (status, metrics) = get(&address, "/metrics").await;
        assert_eq!(status, 200);
        let has = |line: &str| metrics.lines().any(|metric| metric == line);
        if has("meeting_closer_outcomes_total{outcome=\"closed\"} 30")
            && has("meeting_closer_queue_pending 0")
        {
            break;
        }
    }
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_a_full_prefetch_is_not_ready_while_redis_is_away() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    // The only request stays without an answer, so the worker neither reads the queue nor asks for a permit.
    let closer = worker(&sandbox, &redis)
        .set("METRICS__LISTEN", "127.0.0.1:0")
        .set("QUEUE__CLAIM_AFTER", "1s")
        .set("DINGTALK__REQUEST_TIMEOUT", "1h");
    for name in ["a", "b", "c"] {
        sandbox.script(name, [Reply::Silence]);
        redis.add_meeting(name);
    }
    let mut child = start_worker(&closer, &["--concurrency", "1"]);
    let mut log = LogLines::of(&mut child);
    let address = metrics_address(&log.wait_for("serving metrics at http://").await);
    calls_reach(&sandbox, 1).await;
    assert_eq!((redis.pending().len(), get(&address, "/readyz").await.0), (2, 200));
    redis.stop();
    log.wait_for("retrying: the queue at ").await;
    let (status, printed) = get(&address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(printed.starts_with("not ready: the queue at redis://127.0.0.1:"), "{printed}");
    redis.start_again();
    log.wait_for("the queue works again").await;
    assert_eq!(get(&address, "/readyz").await, (200, "ready\n".into()));
    child.kill().await.unwrap();
}
