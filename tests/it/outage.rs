//! A queue that is away, full, restored from an old copy or not trusted; and an audit that cannot be written.

use std::path::Path;

use meeting_closer::Sandbox;

use crate::network::tls_front_of;
use crate::support::{calls_reach, fast_sandbox};
use crate::support_redis::{
    DEAD, LogLines, Redis, STREAM, outcomes, start_worker, terminate, wait_for_log, worker,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_writes_stops_the_calls_until_it_has_memory() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "50");
    for n in 0..100 {
        redis.add_meeting(&format!("m{n}"));
    }
    redis.add(&[("conference_id", "poison")]);
    let mut child = start_worker(&closer, &["--drain"]);
    calls_reach(&sandbox, 10).await;
    redis.configure("maxmemory", "1");
    let printed =
        wait_for_log(&mut child, "no request is sent until the store of the shared quota replies").await;
    assert!(printed.contains("used memory > 'maxmemory'"), "{printed}");
    let calls = sandbox.statistics().close_calls;
    // The status command still works, and costs no call.
    assert_eq!(closer.run(&["queue", "status"]).await.code, 0);
    assert!(sandbox.statistics().close_calls <= calls + 1 && calls < 100);
    redis.configure("maxmemory", "0");
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_eq!((sandbox.statistics().close_calls, redis.length(STREAM), redis.length(DEAD)), (100, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_stays_on_the_queue_while_a_full_redis_refuses_its_dead_letter() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    // The group exists already, so Redis can refuse only the dead letter.
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    redis.add(&[("conference_id", "poison")]);
    redis.configure("maxmemory", "1");
    let mut child = start_worker(&closer, &["--drain"]);
    wait_for_log(&mut child, "retrying: the queue at ").await;
    assert_eq!((redis.length(STREAM), redis.length(DEAD)), (1, 0));
    redis.configure("maxmemory", "0");
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_eq!((redis.length(STREAM), redis.length(DEAD)), (0, 1));
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-rT").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_that_lost_data_no_entry_is_lost_and_ended_by_is_unknown() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    for n in 0..40 {
        redis.add_meeting(&format!("m{n}"));
    }
    redis.stop();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(redis.folder.path(), copy.path());
    redis.start_again();
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    assert_eq!((sandbox.statistics().close_calls, redis.length(STREAM)), (40, 0));

    redis.stop();
    std::fs::remove_dir_all(redis.folder.path()).unwrap();
    copy_folder(copy.path(), redis.folder.path());
    redis.start_again();
    assert_eq!(redis.length(STREAM), 40);
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    for (name, rows) in outcomes(&closer) {
        let ends: Vec<(&str, &str)> =
            rows.iter().map(|row| (row["outcome"].as_str(), row["ended_by"].as_str())).collect();
        assert_eq!(ends, [("closed", "this_run"), ("already_closed", "unknown")], "{name}");
    }
    // Entries that are added later have a known history again.
    redis.add_meeting("ended-long-ago");
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    assert_eq!(outcomes(&closer)["ended-long-ago"][0]["ended_by"], "earlier");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_write_its_audit_sends_nothing_and_leaves_the_queue_unchanged() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    closer.file("audit", "a file");
    redis.add_meeting("m");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(
        (ran.code, sandbox.statistics().token_calls, redis.length(STREAM)),
        (5, 0, 1),
        "{}",
        ran.printed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_audit_folder_disappears_before_a_run_releases_its_entries() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let mut child = start_worker(&closer, &[]);
    let mut log = LogLines::of(&mut child);
    log.wait_for("joined the queue").await;
    std::fs::remove_dir_all(closer.folder.path().join("audit")).unwrap();
    closer.file("audit", "a file");
    redis.add_meeting("m");
    log.wait_for("error: cannot write the audit to audit: ").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(5));
    // The entry is released: it belongs to no worker and counts no delivery.
    let pending: Vec<_> = redis.pending().into_iter().map(|lease| (lease.worker, lease.deliveries)).collect();
    assert_eq!(pending, [("meeting-closer:released".into(), 0)]);
    assert_eq!(redis.consumers(), ["meeting-closer:released"]);
    assert_eq!((redis.length(STREAM), sandbox.statistics().token_calls), (1, 0));
    // The next worker gets it at once.
    std::fs::remove_file(closer.folder.path().join("audit")).unwrap();
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (0, 1), "{}", ran.printed());
    assert_eq!(closer.audit()[0]["ended_by"], "this_run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loses_its_audit_acknowledges_only_what_the_audit_contained() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer =
        worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "20").set("QUEUE__CLAIM_AFTER", "1s");
    for n in 0..40 {
        redis.add_meeting(&format!("m{n}"));
    }
    let mut child = start_worker(&closer, &["--drain"]);
    let mut log = LogLines::of(&mut child);
    while redis.length(STREAM) > 37 {
        tokio::task::yield_now().await;
    }
    std::fs::remove_dir_all(closer.run_folder()).unwrap();
    let may_be_in_it = sandbox.statistics().close_calls;
    log.wait_for("journal.jsonl: the file was removed").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(5));
    let (calls, left) = (sandbox.statistics().close_calls, redis.length(STREAM));
    assert!(left >= 40 - may_be_in_it && calls < 40, "{left} entries are left after {calls} calls");

    let closer = closer.set("PACE__REQUESTS_PER_SECOND", "1000");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM)), (0, 0), "{}", ran.printed());
    let rows = closer.audit();
    assert_eq!(rows.len() as u64, left);
    assert!(rows.iter().all(|row| row["ended_by"] != "earlier"), "{rows:?}");
    assert!((0..40).all(|n| sandbox.has_ended(&format!("m{n}"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_behind_tls_needs_a_trusted_certificate_authority() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let (port, authority) = tls_front_of(&redis.url().replace("redis://", "").replace('/', "")).await;
    let closer = worker(&sandbox, &redis).set("QUEUE__URL", &format!("rediss://localhost:{port}/"));
    redis.add_meeting("m");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(ran.code, 2, "{}", ran.printed());
    assert!(
        ran.stderr.contains(&format!("error: the queue at rediss://localhost:{port}/0: ")),
        "{}",
        ran.printed()
    );
    let path = closer.file("ca.pem", authority);
    let ran = closer.variable("SSL_CERT_FILE", path.to_str().unwrap()).run(&["work", "--drain"]).await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (0, 1), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_can_end_while_redis_is_away_and_another_finishes_its_entries() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer =
        worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "50").set("QUEUE__CLAIM_AFTER", "1s");
    for n in 0..40 {
        redis.add_meeting(&format!("m{n}"));
    }
    let mut child = start_worker(&closer, &[]);
    calls_reach(&sandbox, 5).await;
    redis.stop();
    wait_for_log(&mut child, "no request is sent until the store of the shared quota replies").await;
    let calls = sandbox.statistics().close_calls;
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    // One request may have been in flight.
    assert!(sandbox.statistics().close_calls <= calls + 1);
    redis.start_again();
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM)), (0, 0), "{}", ran.printed());
    assert!((0..40).all(|n| sandbox.has_ended(&format!("m{n}"))));
    for (name, rows) in outcomes(&closer) {
        assert!(rows.iter().all(|row| row["ended_by"] != "earlier"), "{name}: {rows:?}");
    }
}
