//! Other clients change a queue while a worker uses it: no entry is lost, and no report is false.

use std::time::Duration;

use meeting_closer::{Reply, Sandbox, SandboxSettings};
use tokio::process::Child;

use crate::support::{Closer, calls_reach, fast_sandbox};
use crate::support_redis::{
    DEAD, GROUP, Redis, STREAM, outcomes, start_worker, terminate, wait_for_log, worker,
};

/// Answers after a delay, so that the test can change the queue during a call.
async fn slow_sandbox() -> Sandbox {
    let latency = (Duration::from_millis(500), Duration::from_millis(500));
    Sandbox::start(SandboxSettings { latency, ..fast_sandbox() }).await.unwrap()
}

fn refused() -> Reply {
    Reply::failure(404, "permissionError", "x")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_another_worker_took_over_is_not_dead_lettered() {
    let (sandbox, redis) = (slow_sandbox().await, Redis::start());
    let closer = worker(&sandbox, &redis);
    sandbox.script("m", [refused()]);
    let id = redis.add_meeting("m");
    let mut child = start_worker(&closer, &[]);
    calls_reach(&sandbox, 1).await;
    let _: redis::Value = redis.command(&["XCLAIM", STREAM, GROUP, "another", "0", &id]);
    wait_for_log(&mut child, "not closed: ").await;
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert_eq!(outcomes(&closer)["m"][0]["outcome"], "failed");
    let pending = redis.pending();
    assert_eq!((pending[0].id.as_str(), pending[0].worker.as_str()), (id.as_str(), "another"));
    assert_eq!((redis.length(STREAM), redis.length(DEAD)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trimmed_entry_is_dead_lettered_with_the_fields_that_were_read() {
    let (sandbox, redis) = (slow_sandbox().await, Redis::start());
    let closer = worker(&sandbox, &redis);
    sandbox.script("m", [refused()]);
    redis.add_meeting("m");
    let child = start_worker(&closer, &["--drain"]);
    calls_reach(&sandbox, 1).await;
    let _: u64 = redis.command(&["XTRIM", STREAM, "MAXLEN", "0"]);
    assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(1));
    let dead = &redis.dead()[0];
    let field = |name: &str| dead[name].as_str();
    assert_eq!((field("conference_id"), field("union_id"), field("code")), ("m", "host", "permissionError"));
    assert!(redis.pending().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_group_is_destroyed_ended_by_is_unknown() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    redis.add_meeting("ended-by-somebody");
    let _: redis::Value = redis.command(&["XREADGROUP", "GROUP", GROUP, "gone", "STREAMS", STREAM, ">"]);
    let _: u64 = redis.command(&["XGROUP", "DESTROY", STREAM, GROUP]);
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    let row = &outcomes(&closer)["ended-by-somebody"][0];
    assert_eq!((row["outcome"].as_str(), row["ended_by"].as_str()), ("already_closed", "unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_not_utf8_delays_no_other() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let fields: [(&str, &[u8]); 3] =
        [("conference_id", b"a"), ("union_id", b"host"), ("requeued_from", b"\xff")];
    let _: String =
        redis::cmd("XADD").arg(STREAM).arg("*").arg(&fields).query(&mut redis.connection()).unwrap();
    let fields: [(&str, &[u8]); 2] = [("conference_id", b"\xff"), ("union_id", b"host")];
    let _: String =
        redis::cmd("XADD").arg(STREAM).arg("*").arg(&fields).query(&mut redis.connection()).unwrap();
    redis.add_meeting("b");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM), redis.length(DEAD)), (1, 0, 1), "{}", ran.printed());
    assert!(sandbox.has_ended("a") && sandbox.has_ended("b"));

    let code: (&str, &[u8]) = ("code", b"\xff");
    let _: String =
        redis::cmd("XADD").arg(DEAD).arg("*").arg(&[code]).query(&mut redis.connection()).unwrap();
    let status = closer.run(&["queue", "status"]).await;
    assert!(status.code == 0 && status.stdout.contains("\u{fffd}"), "{}", status.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn stranded_entries_do_not_block_a_drain_and_are_reported() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let id = redis.add_meeting("acknowledged-by-hand");
    let _: String = redis.command(&["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let _: redis::Value = redis.command(&["XREADGROUP", "GROUP", GROUP, "hand", "STREAMS", STREAM, ">"]);
    let _: u64 = redis.command(&["XACK", STREAM, GROUP, &id]);
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM)), (1, 1), "{}", ran.printed());
    assert!(ran.stderr.contains("1 stranded entry on meeting-closer:requests"), "{}", ran.printed());
    let hint = format!("XGROUP SETID {STREAM} {GROUP} 0");
    assert!(ran.stderr.contains(&hint), "{}", ran.printed());
    let _: String = redis.command(&hint.split(' ').collect::<Vec<_>>());
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM)), (0, 0), "{}", ran.printed());
}

/// Adds twelve entries and starts a worker. The worker holds leases on eight of them.
async fn slow_drain(redis: &Redis, sandbox: &Sandbox) -> (Closer, Child) {
    let closer =
        worker(sandbox, redis).set("PACE__REQUESTS_PER_SECOND", "10").set("QUEUE__CLAIM_AFTER", "1s");
    for n in 0..12 {
        redis.add_meeting(&format!("m{n}"));
    }
    let child = start_worker(&closer, &["--drain", "--concurrency", "4"]);
    calls_reach(sandbox, 2).await;
    (closer, child)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_consumer_is_deleted_loses_no_entry() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let (closer, child) = slow_drain(&redis, &sandbox).await;
    let leased: u64 = redis.command(&["XGROUP", "DELCONSUMER", STREAM, GROUP, &redis.consumers()[0]]);
    assert!(leased > 0);
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(outcomes(&closer).values().all(|rows| rows.len() == 1 && rows[0]["outcome"] == "closed"));
    assert_eq!((sandbox.statistics().close_calls, redis.length(STREAM), redis.pending()), (12, 0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_closes_its_entries_even_after_redis_lost_them() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let (closer, child) = slow_drain(&redis, &sandbox).await;
    // The same as a restart of Redis without its data.
    let leased = redis.pending().len();
    assert!(leased > 0);
    let _: String = redis.command(&["FLUSHALL"]);
    let _: u64 = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let outcomes = outcomes(&closer);
    assert!(outcomes.len() >= leased, "{} of {leased}", outcomes.len());
    assert!(outcomes.values().all(|rows| rows.len() == 1 && rows[0]["outcome"] == "closed"), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_dead_letter_stream_is_reported_and_delays_no_other_entry() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let _: String = redis.command(&["SET", DEAD, "something else"]);
    sandbox.script("refused", [refused()]);
    for name in ["refused", "a", "b", "c"] {
        redis.add_meeting(name);
    }
    let mut child = start_worker(&closer, &["--drain"]);
    wait_for_log(&mut child, "WRONGTYPE").await;
    while redis.length(STREAM) > 1 {
        tokio::task::yield_now().await;
    }
    let _: u64 = redis.command(&["DEL", DEAD]);
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_eq!((redis.length(STREAM), redis.length(DEAD), redis.pending()), (0, 1, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_dead_letters_are_requeued_or_kept_and_never_lost() {
    let redis = Redis::start();
    let closer = Closer::bare().with_queue(&redis);
    let add_dead = |fields: &[(&str, &str)]| -> String {
        redis::cmd("XADD").arg(DEAD).arg("*").arg(fields).query(&mut redis.connection()).unwrap()
    };
    // Neither names a meeting, so neither is a duplicate of the other.
    add_dead(&[("meeting", "a"), ("code", "x"), ("original_fields", "1")]);
    add_dead(&[("meeting", "b"), ("code", "x"), ("original_fields", "1")]);
    for count in ["abc", "1e9", "-7", "0.5", "nan", "1"] {
        add_dead(&[("conference_id", count), ("union_id", "host"), ("original_fields", count)]);
    }
    let many: Vec<String> = (0..9000).map(|field| field.to_string()).collect();
    let many = add_dead(&many.iter().map(|field| (field.as_str(), "x")).collect::<Vec<_>>());
    add_dead(&[("conference_id", "last"), ("union_id", "host")]);
    let status = closer.run(&["queue", "status"]).await;
    assert!(
        status.code == 0 && status.stdout.contains("dead                                    10"),
        "{status:?}"
    );
    let ran = closer.run(&["queue", "requeue-dead"]).await;
    assert_eq!(
        ran.stdout,
        format!("9 entries put back on {STREAM}, 0 waited there already\n"),
        "{}",
        ran.printed()
    );
    let left: Vec<(String, redis::Value)> = redis.command(&["XRANGE", DEAD, "-", "+"]);
    assert_eq!(left.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&many]);
}
