//! A share of a quota with a store that follows a script, on paused time.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::outcome::Throttle;

const MILLI: Duration = Duration::from_millis(1);

/// Replies in turn, each time after `delay`. When there is no reply left, it fails.
struct ScriptedStore {
    replies: Mutex<VecDeque<Result<PermitGrant, String>>>,
    requests: Arc<Mutex<Vec<PermitRequest>>>,
    delay: Duration,
    clock: Clock,
    rates: Mutex<VecDeque<f64>>,
}

impl QuotaStore for ScriptedStore {
    async fn request(&self, request: &PermitRequest) -> Result<QuotaReply, String> {
        self.clock.wait_until(self.clock.now() + self.delay).await;
        self.requests.lock().push(request.clone());
        let grant = self.replies.lock().pop_front().unwrap_or(Err("gone".into()))?;
        Ok(QuotaReply { grant, per_second: self.rates.lock().pop_front().unwrap_or(18.0) })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "tests list it beside replies that fail")]
fn permits(count: u32, first: Duration, between: Duration) -> Result<PermitGrant, String> {
    Ok(PermitGrant::Permits { count, first, between, is_probe: false })
}

fn shared(
    delay: Duration,
    replies: impl IntoIterator<Item = Result<PermitGrant, String>>,
) -> (SharedQuota, Arc<Mutex<Vec<PermitRequest>>>, Clock) {
    let (requests, clock) = (Arc::default(), Clock::tokio());
    let replies = Mutex::new(replies.into_iter().collect());
    let rates = Mutex::new([5.0].into());
    let store =
        ScriptedStore { replies, requests: Arc::clone(&requests), delay, clock: clock.clone(), rates };
    (SharedQuota::start(store, 16, 18.0, clock.clone()), requests, clock)
}

/// Takes a permit as a run does. Returns how many milliseconds after `start`, or `None` where no permit comes within a minute.
async fn take(shared: &SharedQuota, clock: &Clock, start: Instant) -> Option<u128> {
    while clock.now() - start < Duration::from_mins(1) {
        match shared.take_permit(clock.now()) {
            Ok(()) => return Some((clock.now() - start).as_millis()),
            Err(NotYet::Until(at)) => clock.wait_until(at).await,
            Err(NotYet::Unknown) => {
                let _ = tokio::time::timeout(Duration::from_mins(1), shared.changed()).await;
            }
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_used_at_its_slot_and_not_before() {
    let (shared, _, clock) = shared(Duration::ZERO, [permits(3, 40 * MILLI, 10 * MILLI)]);
    let start = clock.now();
    let mut taken = vec![];
    for _ in 0..3 {
        taken.push(take(&shared, &clock, start).await.unwrap());
    }
    assert_eq!(taken, [40, 50, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_not_used_in_time_is_lost() {
    let (shared, requests, clock) = shared(
        Duration::ZERO,
        [permits(3, Duration::ZERO, 10 * MILLI), permits(1, 5 * MILLI, Duration::ZERO)],
    );
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(0));
    // The slots at 10 and 20 ms were good until 30 and 40 ms.
    clock.wait_until(start + 41 * MILLI).await;
    assert_eq!(take(&shared, &clock, start).await, Some(46));
    let sizes: Vec<u32> = requests.lock().iter().map(|request| request.permits).collect();
    assert_eq!(sizes, [2, 1], "the next batch is as large as the last one was of use");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_asks_twice_before_the_store_replies_sends_one_request() {
    let at_once = |count| permits(count, Duration::ZERO, Duration::ZERO);
    let (shared, requests, clock) = shared(10 * MILLI, [at_once(2), at_once(4), at_once(1)]);
    let start = clock.now();
    assert_eq!(shared.take_permit(start), Err(NotYet::Unknown));
    clock.wait_until(start + 5 * MILLI).await;
    assert_eq!(shared.take_permit(clock.now()), Err(NotYet::Unknown));
    let mut taken = vec![];
    for _ in 0..6 {
        taken.push(take(&shared, &clock, start).await.unwrap());
    }
    assert_eq!(taken, [10, 10, 20, 20, 20, 20]);
    let sizes: Vec<u32> = requests.lock().iter().map(|request| request.permits).collect();
    assert_eq!(sizes, [2, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reply_makes_no_permit_early_and_no_permit_last_longer() {
    let slot = || permits(2, 5 * MILLI, 10 * MILLI);
    let (shared, requests, clock) = shared(30 * MILLI, [slot(), slot(), slot(), slot()]);
    let start = clock.now();
    // The slot comes 5 ms after the store looked at its clock, some time within the 30 ms. The permit is lost 20 ms later, when
    // the reply has not come yet. With a store this slow, the worker asks for more lateness each time.
    assert_eq!(take(&shared, &clock, start).await, Some(4 * 30 + 5));
    let lateness: Vec<u128> = requests.lock().iter().map(|request| request.lateness.as_millis()).collect();
    assert_eq!(lateness, [20, 20, 26, 34]);
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_granted_while_the_store_is_away_and_its_feedback_is_sent_again() {
    let away = || Err("connection refused".to_owned());
    let (shared, requests, clock) =
        shared(Duration::ZERO, [away(), away(), away(), permits(1, MILLI, MILLI)]);
    shared.feedback(RateSignal::Accepted, clock.now());
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(50 + 100 + 200 + 1));
    let requests = requests.lock();
    assert_eq!(requests.len(), 4);
    assert!(
        requests.iter().all(|request| request.feedback.len() == 1 && request.permits > 0),
        "{requests:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_sent_to_the_store_at_once_and_permits_granted_before_are_not_used() {
    let wait = |wait, why| Ok(PermitGrant::Wait { wait, why });
    let (shared, requests, clock) = shared(
        Duration::ZERO,
        [
            permits(4, Duration::ZERO, Duration::ZERO),
            Ok(PermitGrant::Nothing),
            wait(Duration::from_secs(1), WaitReason::Throttled),
            permits(1, Duration::ZERO, Duration::ZERO),
        ],
    );
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(0));
    shared.feedback(RateSignal::Throttled { throttle: Throttle::Second, retry_after: None }, start);
    assert_eq!(take(&shared, &clock, start).await, Some(1000));
    assert!(requests.lock().iter().any(|request| request.feedback.len() == 1), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn while_a_probe_is_in_flight_no_other_request_gets_a_permit() {
    let probe =
        Ok(PermitGrant::Permits { count: 1, first: Duration::ZERO, between: Duration::ZERO, is_probe: true });
    let (shared, _, clock) =
        shared(Duration::ZERO, [probe, Ok(PermitGrant::Nothing), permits(1, Duration::ZERO, Duration::ZERO)]);
    let before = clock.now();
    clock.wait_until(before + MILLI).await;
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(0));
    // The answer to a request that was sent before the probe comes only now.
    shared.feedback(RateSignal::Accepted, before);
    assert_eq!(shared.take_permit(clock.now()), Err(NotYet::Unknown));
    shared.feedback(RateSignal::Accepted, start);
    assert!(take(&shared, &clock, start).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_runs_lowest_rate_is_not_that_of_an_earlier_run() {
    let at_once = || permits(1, Duration::ZERO, Duration::ZERO);
    let (shared, _, clock) = shared(Duration::ZERO, [at_once(), at_once()]);
    let start = clock.now();
    for _ in 0..2 {
        take(&shared, &clock, start).await.unwrap();
    }
    let rates = || [shared.lowest(), shared.per_second()].map(|rate| rate.to_string());
    assert_eq!(rates(), ["5", "18"]);
    shared.begin_run();
    assert_eq!(rates(), ["18", "18"]);
}
