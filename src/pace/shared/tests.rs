//! A share of a quota against a book that a test writes, on paused time.

use super::*;
use crate::outcome::Throttle;

const MILLI: Duration = Duration::from_millis(1);

/// Answers as told, after so long; then fails.
struct ScriptedStore {
    answers: Mutex<VecDeque<Result<PermitGrant, String>>>,
    asked: Arc<Mutex<Vec<PermitRequest>>>,
    delay: Duration,
    clock: Clock,
    rates: Mutex<VecDeque<f64>>,
}

impl QuotaStore for ScriptedStore {
    async fn request(&self, request: &PermitRequest) -> Result<QuotaReply, String> {
        self.clock.wait_until(self.clock.now() + self.delay).await;
        self.asked.lock().push(request.clone());
        let grant = self.answers.lock().pop_front().unwrap_or(Err("gone".into()))?;
        Ok(QuotaReply { grant, per_second: self.rates.lock().pop_front().unwrap_or(18.0) })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside answers that fail")]
fn permits(count: u32, first: Duration, between: Duration) -> Result<PermitGrant, String> {
    Ok(PermitGrant::Permits { count, first, between, is_probe: false })
}

fn shared(
    delay: Duration,
    answers: impl IntoIterator<Item = Result<PermitGrant, String>>,
) -> (SharedQuota, Arc<Mutex<Vec<PermitRequest>>>, Clock) {
    let (asked, clock) = (Arc::default(), Clock::tokio());
    let answers = Mutex::new(answers.into_iter().collect());
    let rates = Mutex::new([5.0].into());
    let book = ScriptedStore { answers, asked: Arc::clone(&asked), delay, clock: clock.clone(), rates };
    (SharedQuota::start(book, 16, 18.0, clock.clone()), asked, clock)
}

/// Takes a permit as the run does, and says how many milliseconds after `start`; none where none comes within a minute.
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
    let (shared, asked, clock) = shared(
        Duration::ZERO,
        [permits(3, Duration::ZERO, 10 * MILLI), permits(1, 5 * MILLI, Duration::ZERO)],
    );
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(0));
    // The slots at 10 and 20 ms were good until 30 and 40 ms.
    clock.wait_until(start + 41 * MILLI).await;
    assert_eq!(take(&shared, &clock, start).await, Some(46));
    let sizes: Vec<u32> = asked.lock().iter().map(|ask| ask.permits).collect();
    assert_eq!(sizes, [2, 1], "the next batch is as large as the last one was of use");
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_before_the_answer_is_there_has_asked_once() {
    let at_once = |count| permits(count, Duration::ZERO, Duration::ZERO);
    let (shared, asked, clock) = shared(10 * MILLI, [at_once(2), at_once(4), at_once(1)]);
    let start = clock.now();
    assert_eq!(shared.take_permit(start), Err(NotYet::Unknown));
    clock.wait_until(start + 5 * MILLI).await;
    assert_eq!(shared.take_permit(clock.now()), Err(NotYet::Unknown));
    let mut taken = vec![];
    for _ in 0..6 {
        taken.push(take(&shared, &clock, start).await.unwrap());
    }
    assert_eq!(taken, [10, 10, 20, 20, 20, 20]);
    let sizes: Vec<u32> = asked.lock().iter().map(|ask| ask.permits).collect();
    assert_eq!(sizes, [2, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_time_an_answer_takes_makes_no_permit_early_and_its_life_longer_by_nothing() {
    let slot = || permits(2, 5 * MILLI, 10 * MILLI);
    let (shared, asked, clock) = shared(30 * MILLI, [slot(), slot(), slot(), slot()]);
    let start = clock.now();
    // The slot came 5 ms after the book looked at its clock, at some time within the 30 ms; 20 ms later it is lost, and by
    // then the answer has not come yet. With a book so far away more patience is asked for.
    assert_eq!(take(&shared, &clock, start).await, Some(4 * 30 + 5));
    let patience: Vec<u128> = asked.lock().iter().map(|ask| ask.lateness.as_millis()).collect();
    assert_eq!(patience, [20, 20, 26, 34]);
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_while_the_book_is_away_and_everything_heard_is_told_once_it_is_back() {
    let away = || Err("connection refused".to_owned());
    let (shared, asked, clock) = shared(Duration::ZERO, [away(), away(), away(), permits(1, MILLI, MILLI)]);
    shared.feedback(RateSignal::LetIn, clock.now());
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(50 + 100 + 200 + 1));
    let asked = asked.lock();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|ask| ask.feedback.len() == 1 && ask.permits > 0), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_at_once_and_what_was_granted_before_it_is_not_used() {
    let wait = |wait, why| Ok(PermitGrant::Wait { wait, why });
    let (shared, asked, clock) = shared(
        Duration::ZERO,
        [
            permits(4, Duration::ZERO, Duration::ZERO),
            Ok(PermitGrant::Nothing),
            wait(Duration::from_secs(1), WaitReason::Refused),
            permits(1, Duration::ZERO, Duration::ZERO),
        ],
    );
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(0));
    shared.feedback(RateSignal::Refused { throttle: Throttle::Second, retry_after: None }, start);
    assert_eq!(take(&shared, &clock, start).await, Some(1000));
    assert!(asked.lock().iter().any(|ask| ask.feedback.len() == 1), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn while_a_probe_is_on_its_way_nothing_else_leaves() {
    let probe =
        Ok(PermitGrant::Permits { count: 1, first: Duration::ZERO, between: Duration::ZERO, is_probe: true });
    let (shared, _, clock) =
        shared(Duration::ZERO, [probe, Ok(PermitGrant::Nothing), permits(1, Duration::ZERO, Duration::ZERO)]);
    let before = clock.now();
    clock.wait_until(before + MILLI).await;
    let start = clock.now();
    assert_eq!(take(&shared, &clock, start).await, Some(0));
    // What left before the probe is heard of only now.
    shared.feedback(RateSignal::LetIn, before);
    assert_eq!(shared.take_permit(clock.now()), Err(NotYet::Unknown));
    shared.feedback(RateSignal::LetIn, start);
    assert!(take(&shared, &clock, start).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_runs_lowest_rate_is_not_an_earlier_runs() {
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
