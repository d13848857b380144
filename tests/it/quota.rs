//! One quota for all workers of a Redis.

use meeting_closer::sandbox::{Quotas, Reply, Sandbox, SandboxSettings};
use tokio::process::Child;

use crate::support::{Closer, fast_sandbox};
use crate::support_redis::{Redis, start, worker};

/// Latency keeps a probe apart from what follows it.
fn slow_sandbox() -> SandboxSettings {
    let latency = std::time::Duration::from_millis(60);
    SandboxSettings { latency: (latency, latency), ..fast_sandbox() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_workers_ban_pauses_them_all_and_one_request_tries_whether_it_is_over() {
    let (sandbox, redis) = (Sandbox::start(slow_sandbox()).await.unwrap(), Redis::start());
    sandbox.script("m20", [Reply::ban()]);
    for n in 0..120 {
        redis.add_meeting(&format!("m{n}"));
    }
    let fleet: Vec<Closer> = (0..2)
        .map(|_| worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "50").set("PACE__BAN_PAUSE", "2s"))
        .collect();
    let workers: Vec<Child> =
        fleet.iter().map(|closer| start(closer, &["--drain", "--concurrency", "8"])).collect();
    for child in workers {
        let ended = child.wait_with_output().await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    assert!(fleet.iter().all(|closer| closer.summary()["calls"].as_u64().unwrap() > 10));
    let calls = sandbox.statistics().calls;
    assert_eq!(calls.len(), 121);
    let banned = calls.iter().find(|call| call.conference_id == "m20").unwrap().at;
    let millis = std::time::Duration::from_millis;
    // What was on its way, and what was granted, before the answer came.
    let during =
        calls.iter().filter(|call| call.at > banned + millis(200) && call.at < banned + millis(2000));
    assert_eq!(during.count(), 0);
    let mut after: Vec<_> =
        calls.iter().map(|call| call.at).filter(|at| *at >= banned + millis(2000)).collect();
    after.sort();
    assert!(after.len() > 50, "{}", after.len());
    assert!(after[1] - after[0] >= millis(60), "{:?}", after[1] - after[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_worker_learns_of_the_quota_holds_for_all_of_them() {
    let quotas = Quotas { per_second: Some(30), ..Quotas::unlimited() };
    let settings = SandboxSettings { quotas, ..slow_sandbox() };
    let (sandbox, redis) = (Sandbox::start(settings).await.unwrap(), Redis::start());
    for n in 0..200 {
        redis.add_meeting(&format!("m{n}"));
    }
    let fleet: Vec<Closer> =
        (0..3).map(|_| worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "90")).collect();
    let workers: Vec<Child> = fleet.iter().map(|closer| start(closer, &["--drain"])).collect();
    for child in workers {
        let ended = child.wait_with_output().await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let statistics = sandbox.statistics();
    assert_eq!(statistics.closed, 200);
    // At three times the quota two of three calls would be refused.
    let refused = statistics.close_calls - statistics.closed;
    assert!((1..=50).contains(&refused), "{refused} refusals");
    let rate: f64 = redis.command(&["HGET", "meeting-closer:quota", "rate"]);
    assert!((10.0..60.0).contains(&rate), "{rate}");
    let at: f64 = redis.command(&["HGET", "meeting-closer:quota", "reduced"]);
    assert!(at > 0.0);
}
