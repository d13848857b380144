//! A queue that is away, full, forgetful or not trusted, and an audit that cannot be written.

use std::path::Path;

use meeting_closer::Sandbox;

use crate::network::tls_front_of;
use crate::support::{calls_reach, fast_sandbox};
use crate::support_redis::{DEAD, Redis, STREAM, Voice, outcomes, says, start, terminate, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_writes_stops_the_calls_and_room_lets_them_go_on() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "50");
    for n in 0..100 {
        redis.add_meeting(&format!("m{n}"));
    }
    redis.add(&[("conference_id", "poison")]);
    let mut child = start(&closer, &["--drain"]);
    calls_reach(&sandbox, 10).await;
    redis.configure("maxmemory", "1");
    let said = says(&mut child, "no request is sent until the store of the shared quota replies").await;
    assert!(said.contains("used memory > 'maxmemory'"), "{said}");
    let calls = sandbox.statistics().close_calls;
    // The status can be seen all the same, and costs no call.
    assert_eq!(closer.run(&["queue", "status"]).await.code, 0);
    assert!(sandbox.statistics().close_calls <= calls + 1 && calls < 100);
    redis.configure("maxmemory", "0");
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_eq!((sandbox.statistics().close_calls, redis.length(STREAM), redis.length(DEAD)), (100, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_buried_for_want_of_room_stays_on_the_queue_until_it_can() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    // The group is there, so that what is left to refuse is the burial.
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    redis.add(&[("conference_id", "poison")]);
    redis.configure("maxmemory", "1");
    let mut child = start(&closer, &["--drain"]);
    says(&mut child, "it is tried again and again").await;
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
async fn a_failover_that_forgot_what_was_done_loses_nothing_and_nobody_claims_what_it_cannot_know() {
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
    assert_eq!(ran.code, 0, "{}", ran.said());
    for (name, rows) in outcomes(&closer) {
        let told: Vec<(&str, &str)> =
            rows.iter().map(|row| (row["outcome"].as_str(), row["ended_by"].as_str())).collect();
        assert_eq!(told, [("closed", "this_run"), ("already_closed", "unknown")], "{name}");
    }
    // What comes after is known again.
    redis.add_meeting("ended-long-ago");
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 0);
    assert_eq!(outcomes(&closer)["ended-long-ago"][0]["ended_by"], "earlier");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_cannot_be_written_asks_for_nothing_and_leaves_the_queue_as_it_was() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    closer.file("audit", "a file");
    redis.add_meeting("m");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(
        (ran.code, sandbox.statistics().token_calls, redis.length(STREAM)),
        (5, 0, 1),
        "{}",
        ran.said()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_goes_away_before_a_run_begins_gives_back_what_was_taken_for_it() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let mut child = start(&closer, &[]);
    let mut voice = Voice::of(&mut child);
    voice.says("joined the queue").await;
    std::fs::remove_dir_all(closer.folder.path().join("audit")).unwrap();
    closer.file("audit", "a file");
    redis.add_meeting("m");
    voice.says("error: cannot write the audit to audit: ").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(5));
    // Nobody's, as if it had never been handed out.
    let pending: Vec<_> = redis.pending().into_iter().map(|(_, worker, _, times)| (worker, times)).collect();
    assert_eq!(pending, [("meeting-closer:released".into(), 0)]);
    assert_eq!(redis.consumers(), ["meeting-closer:released"]);
    assert_eq!((redis.length(STREAM), sandbox.statistics().token_calls), (1, 0));
    // The next one has it at once.
    std::fs::remove_file(closer.folder.path().join("audit")).unwrap();
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (0, 1), "{}", ran.said());
    assert_eq!(closer.audit()[0]["ended_by"], "this_run");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_is_lost_during_a_run_ends_it_and_acknowledges_nothing_that_is_not_in_it() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer =
        worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "20").set("QUEUE__CLAIM_AFTER", "1s");
    for n in 0..40 {
        redis.add_meeting(&format!("m{n}"));
    }
    let mut child = start(&closer, &["--drain"]);
    let mut voice = Voice::of(&mut child);
    while redis.length(STREAM) > 37 {
        tokio::task::yield_now().await;
    }
    std::fs::remove_dir_all(closer.run_folder()).unwrap();
    let may_be_in_it = sandbox.statistics().close_calls;
    voice.says("journal.jsonl: the file was removed").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(5));
    let (calls, left) = (sandbox.statistics().close_calls, redis.length(STREAM));
    assert!(left >= 40 - may_be_in_it && calls < 40, "{left} entries are left after {calls} calls");

    let closer = closer.set("PACE__REQUESTS_PER_SECOND", "1000");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM)), (0, 0), "{}", ran.said());
    let rows = closer.audit();
    assert_eq!(rows.len() as u64, left);
    assert!(rows.iter().all(|row| row["ended_by"] != "earlier"), "{rows:?}");
    assert!((0..40).all(|n| sandbox.has_ended(&format!("m{n}"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_behind_tls_is_reached_by_an_authority_that_is_trusted_and_by_no_other() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let (port, authority) = tls_front_of(&redis.url().replace("redis://", "").replace('/', "")).await;
    let closer = worker(&sandbox, &redis).set("QUEUE__URL", &format!("rediss://localhost:{port}/"));
    redis.add_meeting("m");
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!(ran.code, 2, "{}", ran.said());
    assert!(
        ran.stderr.contains(&format!("error: the queue at rediss://localhost:{port}/0: ")),
        "{}",
        ran.said()
    );
    let path = closer.file("ca.pem", authority);
    let ran = closer.variable("SSL_CERT_FILE", path.to_str().unwrap()).run(&["work", "--drain"]).await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (0, 1), "{}", ran.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_queue_goes_away_ends_all_the_same_and_another_finishes_what_it_held() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer =
        worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "50").set("QUEUE__CLAIM_AFTER", "1s");
    for n in 0..40 {
        redis.add_meeting(&format!("m{n}"));
    }
    let mut child = start(&closer, &[]);
    calls_reach(&sandbox, 5).await;
    redis.stop();
    says(&mut child, "no request is sent until the store of the shared quota replies").await;
    let calls = sandbox.statistics().close_calls;
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    // One may have been on its way.
    assert!(sandbox.statistics().close_calls <= calls + 1);
    redis.start_again();
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, redis.length(STREAM)), (0, 0), "{}", ran.said());
    assert!((0..40).all(|n| sandbox.has_ended(&format!("m{n}"))));
    for (name, rows) in outcomes(&closer) {
        assert!(rows.iter().all(|row| row["ended_by"] != "earlier"), "{name}: {rows:?}");
    }
}
