//! All workers of a Redis share one quota.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meeting_closer::{
    Clock, Layers, Link, PermitGrant, PermitRequest, QuotaStore as _, Quotas, RedisQueue, RedisQuota, Reply,
    Sandbox, SandboxSettings, Settings,
};
use tokio::process::Child;

use crate::support::{Closer, fast_sandbox};
use crate::support_redis::{Redis, start_worker, worker};

/// Answers after a delay, so that a probe is distinct from the requests after it.
fn slow_sandbox() -> SandboxSettings {
    let latency = std::time::Duration::from_millis(60);
    SandboxSettings { latency: (latency, latency), ..fast_sandbox() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_workers_ban_pauses_all_workers_and_one_request_probes() {
    let (sandbox, redis) = (Sandbox::start(slow_sandbox()).await.unwrap(), Redis::start());
    sandbox.script("m20", [Reply::ban()]);
    for n in 0..120 {
        redis.add_meeting(&format!("m{n}"));
    }
    let fleet: Vec<Closer> = (0..2)
        .map(|_| worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "50").set("PACE__BAN_PAUSE", "2s"))
        .collect();
    let workers: Vec<Child> =
        fleet.iter().map(|closer| start_worker(closer, &["--drain", "--concurrency", "8"])).collect();
    for child in workers {
        let ended = child.wait_with_output().await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    assert!(fleet.iter().all(|closer| closer.summary()["calls"].as_u64().unwrap() > 10));
    let calls = sandbox.statistics().calls;
    assert_eq!(calls.len(), 121);
    let banned = calls.iter().find(|call| call.conference_id == "m20").unwrap().at;
    let millis = std::time::Duration::from_millis;
    // Requests in flight and permits already granted may still arrive for 200 ms.
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
async fn all_workers_use_what_one_worker_learns_about_the_quota() {
    let quotas = Quotas { per_second: Some(30), ..Quotas::unlimited() };
    let settings = SandboxSettings { quotas, ..slow_sandbox() };
    let (sandbox, redis) = (Sandbox::start(settings).await.unwrap(), Redis::start());
    for n in 0..200 {
        redis.add_meeting(&format!("m{n}"));
    }
    let fleet: Vec<Closer> =
        (0..3).map(|_| worker(&sandbox, &redis).set("PACE__REQUESTS_PER_SECOND", "90")).collect();
    let workers: Vec<Child> = fleet.iter().map(|closer| start_worker(closer, &["--drain"])).collect();
    for child in workers {
        let ended = child.wait_with_output().await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let statistics = sandbox.statistics();
    assert_eq!(statistics.closed, 200);
    // At three times the quota, the stand-in would refuse two of three calls.
    let refused = statistics.close_calls - statistics.closed;
    assert!((1..=50).contains(&refused), "{refused} refusals");
    let rate: f64 = redis.command(&["HGET", "meeting-closer:quota", "rate"]);
    assert!((10.0..60.0).contains(&rate), "{rate}");
    let at: f64 = redis.command(&["HGET", "meeting-closer:quota", "reduced"]);
    assert!(at > 0.0);
}

const LATENESS: Duration = Duration::from_millis(20);

/// The earliest and the latest moment at which a permit may be used.
type Span = (Instant, Instant);

/// Asks for permits as one worker does, up to eight at once, until it has `count`.
async fn permits(redis: &Redis, count: usize) -> Vec<Span> {
    let variables =
        [("URL", redis.url())].map(|(key, value)| (format!("MEETING_CLOSER__QUEUE__{key}"), value));
    let pace = [("REQUESTS_PER_SECOND", "200"), ("BURST", "3")]
        .map(|(key, value)| (format!("MEETING_CLOSER__PACE__{key}"), value.to_owned()));
    let environment = variables.into_iter().chain(pace).collect();
    let settings = Settings::load(&Layers { environment, ..Layers::default() }).unwrap();
    let link = Link::new(&settings.queue, "a test").unwrap();
    let name = format!("worker-{}", fastrand::u32(..));
    let queue = Arc::new(RedisQueue::new(link, &settings.queue, name.clone(), Clock::System));
    let quota = RedisQuota::new(queue, name, settings.pace);
    let request = PermitRequest { permits: 8, lateness: LATENESS, feedback: vec![] };
    let mut spans = vec![];
    while spans.len() < count {
        let asked = tokio::time::Instant::now();
        let answer = quota.request(&request).await.unwrap();
        let answered = tokio::time::Instant::now();
        if let PermitGrant::Permits { count, first, between, .. } = answer.grant {
            let spans_of = (0..count).map(|number| first + between * number);
            spans.extend(
                spans_of.map(|slot| ((answered + slot).into_std(), (asked + slot + LATENESS).into_std())),
            );
        }
    }
    spans
}

#[tokio::test(flavor = "multi_thread")]
async fn late_permits_never_put_more_than_the_rate_and_the_burst_into_one_second() {
    let redis = Redis::start();
    let each = 200;
    let (one, two, three) = tokio::join!(permits(&redis, each), permits(&redis, each), permits(&redis, each));
    // A permit that arrived too late to be used does not count.
    let mut spans: Vec<Span> =
        [one, two, three].concat().into_iter().filter(|(from, until)| from <= until).collect();
    spans.sort();
    assert!(spans.len() > 500, "{}", spans.len());
    for (first, (_, latest)) in spans.iter().enumerate() {
        for (last, (earliest, _)) in spans.iter().enumerate().skip(first) {
            // The shortest span with all of them: the first is used as late as possible, the last as early as possible.
            let span = earliest.saturating_duration_since(*latest).as_secs_f64().max(1.0);
            let count = (last - first + 1) as f64;
            assert!(count <= 200.0 * span + 3.0, "{count} in {span} s");
        }
    }
    let span = spans[spans.len() - 1].0 - spans[0].0;
    let rate = spans.len() as f64 / span.as_secs_f64();
    assert!(rate > 180.0, "{rate} a second: the quota is used, too");
}
