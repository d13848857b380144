//! A worker as a service: it waits for a Redis that is away, and a signal always ends it.

use meeting_closer::Sandbox;

use crate::support::{calls_reach, fast_sandbox, signal};
use crate::support_redis::{LogLines, Redis, start_worker, terminate, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_for_a_redis_that_is_not_up_yet_and_a_drain_reports_it() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    redis.stop();
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.printed());
    assert!(ran.stderr.starts_with("error: the queue at redis://127.0.0.1:"), "{}", ran.printed());

    let mut child = start_worker(&closer, &[]);
    let mut log = LogLines::of(&mut child);
    log.wait_for("retrying: the queue at ").await;
    redis.start_again();
    log.wait_for("joined the queue").await;
    redis.add_meeting("m");
    calls_reach(&sandbox, 1).await;
    redis.stop();
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));

    // Nor does the wait keep anybody from ending it.
    let mut child = start_worker(&closer, &[]);
    let mut log = LogLines::of(&mut child);
    log.wait_for("retrying: the queue at ").await;
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_worker_without_redis() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let mut child = start_worker(&closer, &[]);
    let mut log = LogLines::of(&mut child);
    log.wait_for("joined the queue").await;
    redis.freeze();
    terminate(&child);
    signal(child.id(), "-INT");
    log.wait_for("aborted: another worker will get").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}
