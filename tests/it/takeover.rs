//! Leases: a suspended worker loses them, and a worker that starts after an outage waits before it takes any over.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use meeting_closer::Sandbox;

use crate::support::{attempts_in, audit_of, fast_sandbox, signal};
use crate::support_redis::{DEAD, GROUP, Redis, STREAM, start_worker, worker};

/// Waits until the condition is true, for at most a minute. It uses no timer between checks.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), so).await.unwrap_or_else(|_| panic!("{what} never came"));
}

/// Whether every thread of a process is suspended.
fn is_suspended(child: &tokio::process::Child) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id().unwrap())).unwrap();
    let mut states = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
    states.all(|state| state.rsplit_once(") ").unwrap().1.starts_with('T'))
}

/// The rows of a run's audit, by conference id.
fn rows_of(run: &Path) -> HashMap<String, HashMap<String, String>> {
    audit_of(run).into_iter().map(|row| (row["conference_id"].clone(), row)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_worker_asks_for_nothing_that_another_took_over() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let names: Vec<String> = (0..40).map(|n| format!("m{n}")).collect();
    let entries: HashMap<&str, String> =
        names.iter().map(|name| (name.as_str(), redis.add_meeting(name))).collect();
    let slow = worker(&sandbox, &redis)
        .set("PACE__REQUESTS_PER_SECOND", "5")
        .set("PACE__CONCURRENCY", "8")
        .set("QUEUE__CLAIM_AFTER", "1s");
    let suspended = start_worker(&slow, &["--drain"]);
    until("its third call", || sandbox.statistics().close_calls >= 3).await;
    signal(suspended.id(), "-STOP");
    until("its suspension", || is_suspended(&suspended)).await;
    let run = slow.run_folder();
    let asked_before = attempts_in(&run);
    let leased: Vec<String> = redis.pending().into_iter().map(|lease| lease.id).collect();
    assert!(leased.len() > 8, "{leased:?}");

    let fast = worker(&sandbox, &redis).set("QUEUE__CLAIM_AFTER", "1s");
    let ran = fast.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM)), (0, 0), "{}", ran.printed());
    signal(suspended.id(), "-CONT");
    let ended = suspended.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));

    assert_eq!(attempts_in(&run), asked_before, "it sent a request after it was resumed");
    assert_eq!((redis.length(STREAM), redis.pending(), redis.length(DEAD)), (0, vec![], 0));
    assert_eq!(redis.consumers(), Vec::<String>::new());
    let (slow_rows, fast_rows) = (rows_of(&run), rows_of(&fast.run_folder()));
    let calls = sandbox.statistics().calls;
    let is_end = |row: &HashMap<String, String>| ["closed", "already_closed"].contains(&&*row["outcome"]);
    let mut taken_over = 0;
    for name in &names {
        let rows: Vec<_> = [&slow_rows, &fast_rows].into_iter().filter_map(|rows| rows.get(name)).collect();
        assert!(rows.iter().any(|row| is_end(row)), "{name}: {rows:?}");
        assert!(rows.iter().all(|row| row["ended_by"] != "earlier"), "{name}: {rows:?}");
        let slow_row = slow_rows.get(name);
        // The slow worker may have asked for an entry and not acknowledged it. The fast worker cannot know that.
        let may_come_twice =
            leased.contains(&entries[name.as_str()]) && slow_row.is_some_and(|row| row["attempts"] != "0");
        let asked = calls.iter().filter(|call| call.conference_id == *name).count();
        assert!(asked == 1 || (asked == 2 && may_come_twice), "{name} was asked for {asked} times");
        if let Some(row) = slow_row.filter(|row| !is_end(row)) {
            assert_eq!(
                (row["outcome"].as_str(), row["message"].as_str(), row["attempts"].as_str()),
                ("not_attempted", "[sandbox] another worker took it over", "0"),
                "{name}"
            );
            taken_over += 1;
        }
    }
    assert!(taken_over > 0);
    assert_eq!(slow.run(&["verify", run.to_str().unwrap()]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_after_an_outage_lets_the_others_renew_their_leases_first() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let _: String = redis.command(&["XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"]);
    let claim = |redis: &Redis, name: &str, id: &str, idle_ms: &str| {
        let claim = ["XCLAIM", STREAM, GROUP, name, "0", id, "IDLE", idle_ms, "JUSTID"];
        assert_eq!(redis.command::<Vec<String>>(&claim), [id]);
    };
    let ids = ["there", "gone"].map(|name| {
        let id = redis.add_meeting(name);
        let _: redis::Value = redis.command(&["XREADGROUP", "GROUP", GROUP, name, "STREAMS", STREAM, ">"]);
        claim(&redis, name, &id, "3600000");
        id
    });
    redis.stop();
    redis.start_again();
    let pending = redis.pending();
    assert!(pending.iter().all(|lease| lease.idle_ms >= 3_600_000), "Redis keeps it: {pending:?}");

    redis.add_meeting("new");
    let closer = worker(&sandbox, &redis).set("QUEUE__CLAIM_AFTER", "4s");
    let started = start_worker(&closer, &["--drain"]);
    until("its first call", || sandbox.statistics().close_calls > 0).await;
    let holders: HashMap<String, String> =
        redis.pending().into_iter().map(|lease| (lease.id, lease.worker)).collect();
    assert_eq!(ids.each_ref().map(|id| holders[id].as_str()), ["there", "gone"]);
    claim(&redis, "there", &ids[0], "0");
    until("the end of the meeting without a lease", || sandbox.has_ended("gone")).await;
    assert_eq!(redis.command::<u64>(&["XACK", STREAM, GROUP, &ids[0]]), 1);
    assert_eq!(redis.command::<u64>(&["XDEL", STREAM, &ids[0]]), 1);
    let ended = started.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!((sandbox.statistics().close_calls, redis.pending()), (2, vec![]));
}
