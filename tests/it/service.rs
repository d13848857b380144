//! A worker as a service: it outlives its queue's absence, and a signal ends it whatever the queue does.

use meeting_closer::Sandbox;

use crate::support::{calls_reach, fast_sandbox, signal};
use crate::support_redis::{Redis, Voice, start, terminate, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_before_its_queue_waits_for_it_and_a_drain_says_that_it_is_away() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    redis.stop();
    let ran = closer.run(&["work", "--drain"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.said());
    assert!(ran.stderr.starts_with("error: the queue at redis://127.0.0.1:"), "{}", ran.said());

    let mut child = start(&closer, &[]);
    let mut voice = Voice::of(&mut child);
    voice.says("it is tried again and again").await;
    redis.start_again();
    voice.says("joined the queue").await;
    redis.add_meeting("m");
    calls_reach(&sandbox, 1).await;
    redis.stop();
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));

    // Nor does the wait keep anybody from ending it.
    let mut child = start(&closer, &[]);
    let mut voice = Voice::of(&mut child);
    voice.says("it is tried again and again").await;
    terminate(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_waits_for_no_queue() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    let mut child = start(&closer, &[]);
    let mut voice = Voice::of(&mut child);
    voice.says("joined the queue").await;
    redis.freeze();
    terminate(&child);
    signal(child.id(), "-INT");
    voice.says("let go of the queue").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}
