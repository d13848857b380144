//! The dispatcher, event by event, at instants that each test chooses. `pace/pauses` has the tests of the pauses alone.

mod refusals;
mod trouble;

use super::*;
use crate::fixtures::close_request;
use crate::meeting::Origin;
use crate::settings::tests::load_text;

const SECOND: Duration = Duration::from_secs(1);

/// A dispatcher and the pauses of its run, which take in every answer first, as in the runner.
struct Paced {
    dispatcher: Dispatcher,
    pauses: Pauses,
}

impl std::ops::Deref for Paced {
    type Target = Dispatcher;

    fn deref(&self) -> &Dispatcher {
        &self.dispatcher
    }
}

impl std::ops::DerefMut for Paced {
    fn deref_mut(&mut self) -> &mut Dispatcher {
        &mut self.dispatcher
    }
}

impl Paced {
    fn next(&mut self, now: Instant) -> Next {
        self.dispatcher.next(self.pauses.admission(now), now)
    }

    fn take(&mut self, now: Instant) -> Option<Job> {
        self.dispatcher.take(self.pauses.admission(now), now)
    }

    fn attempt_ended(&mut self, job: Job, judgement: &Judgement, now: Instant) -> AfterAttempt {
        self.pauses.answered(judgement, now);
        self.dispatcher.attempt_ended(job, judgement, &mut self.pauses, now)
    }

    fn no_access_token(&mut self, failures: u32, now: Instant) -> Option<Duration> {
        self.dispatcher.no_access_token(failures, &ReplyDetails::default(), &mut self.pauses, now)
    }

    fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.pauses.current(now).map(|pause| pause.until)
    }
}

fn dispatcher(text: &str) -> Paced {
    let settings = load_text(text).unwrap();
    Paced {
        dispatcher: Dispatcher::new(settings.pace.concurrency, &settings.retry, 7),
        pauses: Pauses::new(&settings.pace, Some(1800 * SECOND)),
    }
}

fn job(name: &str) -> Job {
    let request = close_request(name, "host");
    Job::new(Origin { source: "a.csv".into(), line: 2 }, request)
}

fn judgement(verdict: Verdict) -> Judgement {
    let details = ReplyDetails {
        code: "x".into(),
        http_status: Some(500),
        message: "m".into(),
        ..ReplyDetails::default()
    };
    Judgement { verdict, reason: "r", details, retry_after: None }
}

/// Takes the row that goes next, for a request that is sent.
fn send(dispatcher: &mut Paced, now: Instant) -> Job {
    assert_eq!(dispatcher.next(now), Next::Send);
    dispatcher.take(now).unwrap()
}

fn name(job: &Job) -> &str {
    job.request.conference_id.as_str()
}

/// Offers a row, sends its request, and ends its attempt.
fn attempt(dispatcher: &mut Paced, verdict: Verdict, now: Instant) -> AfterAttempt {
    dispatcher.offer(job("a"));
    let job = send(dispatcher, now);
    dispatcher.attempt_ended(job, &judgement(verdict), now)
}

#[test]
fn each_final_verdict_has_its_outcome() {
    for (verdict, kind) in [
        (Verdict::Closed, OutcomeKind::Closed),
        (Verdict::AlreadyEnded, OutcomeKind::AlreadyClosed),
        (Verdict::Refused, OutcomeKind::Failed),
        (Verdict::Halt, OutcomeKind::NotAttempted),
    ] {
        let after = attempt(&mut dispatcher(""), verdict, Instant::now());
        assert!(matches!(after, AfterAttempt::Ended(_, ended) if ended == kind), "{verdict:?} {after:?}");
    }
}

#[test]
fn a_row_whose_time_has_come_goes_before_a_new_one_and_not_sooner() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let AfterAttempt::Retry(wait) = attempt(&mut dispatcher, Verdict::Retry, now) else { panic!("no retry") };
    dispatcher.offer(job("b"));
    assert_eq!(name(&send(&mut dispatcher, now + wait - Duration::from_nanos(1))), "b");
    dispatcher.offer(job("c"));
    assert_eq!(name(&send(&mut dispatcher, now + wait)), "a");
}

#[test]
fn without_a_new_row_the_run_waits_for_the_next_retry() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let AfterAttempt::Retry(wait) = attempt(&mut dispatcher, Verdict::Retry, now) else { panic!("no retry") };
    assert_eq!(dispatcher.next(now), Next::Wait(Some(now + wait)));
    assert!(!dispatcher.is_idle());
}

#[test]
fn no_more_requests_are_in_flight_than_the_concurrency_allows() {
    let (mut dispatcher, now) = (dispatcher("[pace]\nconcurrency = 2"), Instant::now());
    let mut in_flight = vec![];
    for name in ["a", "b"] {
        dispatcher.offer(job(name));
        in_flight.push(send(&mut dispatcher, now));
    }
    dispatcher.offer(job("c"));
    assert_eq!(dispatcher.next(now), Next::Wait(None));
    dispatcher.attempt_ended(in_flight.remove(0), &judgement(Verdict::Closed), now);
    assert_eq!(dispatcher.next(now), Next::Send);
}

#[test]
fn a_row_that_waits_for_its_retry_does_not_count_as_in_flight() {
    let (mut dispatcher, now) = (dispatcher("[pace]\nconcurrency = 1"), Instant::now());
    attempt(&mut dispatcher, Verdict::Retry, now);
    dispatcher.offer(job("b"));
    assert_eq!(dispatcher.next(now), Next::Send);
}

#[test]
fn the_run_takes_in_no_new_row_while_the_queue_is_full() {
    let (mut dispatcher, now) =
        (dispatcher("[retry]\nbudget = 5000\ninitial_interval = \"30s\""), Instant::now());
    for _ in 0..crate::run::job_queue::CAPACITY {
        assert!(dispatcher.wants_row());
        attempt(&mut dispatcher, Verdict::Retry, now);
        // An answer between, so that this is no outage.
        dispatcher.pauses.answered(&judgement(Verdict::Closed), now);
    }
    assert!(!dispatcher.wants_row());
}

#[test]
fn during_a_pause_no_request_is_sent() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    dispatcher.pauses.pause(now, 9 * SECOND, "r");
    assert_eq!(dispatcher.next(now), Next::Wait(Some(now + 9 * SECOND)));
    assert_eq!(dispatcher.next(now + 9 * SECOND), Next::Send);
}

#[test]
fn a_row_fails_with_its_last_answer_when_its_attempts_run_out() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nmax_attempts = 1"), Instant::now());
    let AfterAttempt::Ended(job, OutcomeKind::Failed) = attempt(&mut dispatcher, Verdict::Retry, now) else {
        panic!("not failed")
    };
    assert_eq!(job.last.message, "given up after 1 attempt: m");
    assert_eq!(job.last.code, "x");
}

#[test]
fn a_row_fails_without_a_retry_when_the_runs_budget_is_spent() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nbudget = 0"), Instant::now());
    let AfterAttempt::Ended(job, OutcomeKind::Failed) = attempt(&mut dispatcher, Verdict::Retry, now) else {
        panic!("not failed")
    };
    assert!(job.last.message.starts_with("not retried, because the run's retry budget is spent"));
}

#[test]
fn only_the_throttled_row_waits_for_its_window() {
    for (throttle, least) in [(Throttle::Second, SECOND), (Throttle::Minute, 60 * SECOND)] {
        let (mut dispatcher, now) = (dispatcher(""), Instant::now());
        let AfterAttempt::Retry(wait) = attempt(&mut dispatcher, Verdict::Throttled(throttle), now) else {
            panic!("no retry")
        };
        assert!(wait >= least, "{wait:?}");
        dispatcher.offer(job("b"));
        assert_eq!(name(&send(&mut dispatcher, now)), "b");
    }
}

#[test]
fn without_an_access_token_the_run_gives_up_before_the_first_answer_and_waits_after_it() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    assert!(dispatcher.no_access_token(5, now).is_some());
    assert_eq!(dispatcher.no_access_token(6, now), None);
    attempt(&mut dispatcher, Verdict::Closed, now);
    for wait in [1, 2, 4, 8, 15, 15] {
        assert_eq!(dispatcher.no_access_token(99, now), Some(wait * SECOND));
    }
    assert_eq!(dispatcher.paused_until(now).unwrap(), now + 15 * SECOND);
}

#[test]
fn a_refused_access_token_costs_no_attempt_and_a_second_refusal_halts_the_run() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    assert!(matches!(attempt(&mut dispatcher, Verdict::TokenRefused, now), AfterAttempt::Repeat));
    let again = send(&mut dispatcher, now);
    assert_eq!(again.attempts, 0);
    let after = dispatcher.attempt_ended(again, &judgement(Verdict::TokenRefused), now);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)), "{after:?}");
    assert!(matches!(dispatcher.stopped(), Some(Stop::Halted(_))));
}

#[test]
fn a_refusal_of_the_access_token_after_another_answer_does_not_halt_the_run() {
    let (mut dispatcher, mut now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    for verdict in [Verdict::TokenRefused, Verdict::Retry, Verdict::TokenRefused] {
        let sent = send(&mut dispatcher, now);
        let after = dispatcher.attempt_ended(sent, &judgement(verdict), now);
        assert!(matches!(after, AfterAttempt::Repeat | AfterAttempt::Retry(_)), "{after:?}");
        now += 60 * SECOND;
    }
}

#[test]
fn a_halted_run_sends_nothing_new_and_its_rows_carry_the_reason() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    attempt(&mut dispatcher, Verdict::Retry, now);
    attempt(&mut dispatcher, Verdict::Halt, now);
    assert_eq!(dispatcher.next(now + 60 * SECOND), Next::Wait(None));
    assert!(!dispatcher.wants_row());
    assert_eq!(dispatcher.take_leftover().unwrap().last.code, "x");
    assert_eq!(dispatcher.with_stop_reason(job("b")).last.message, "the run was halted: m");
    assert!(dispatcher.is_idle());
}

#[test]
fn after_a_stop_a_row_that_needs_another_attempt_is_not_attempted() {
    for verdict in
        [Verdict::Retry, Verdict::Throttled(Throttle::Second), Verdict::Banned, Verdict::TokenRefused]
    {
        let (mut dispatcher, now) = (dispatcher(""), Instant::now());
        dispatcher.offer(job("a"));
        let sent = send(&mut dispatcher, now);
        dispatcher.stop(Stop::Interrupted);
        let after = dispatcher.attempt_ended(sent, &judgement(verdict), now);
        assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)), "{verdict:?} {after:?}");
    }
}

#[test]
fn a_final_answer_after_a_stop_still_counts() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    let sent = send(&mut dispatcher, now);
    dispatcher.stop(Stop::Interrupted);
    let after = dispatcher.attempt_ended(sent, &judgement(Verdict::Closed), now);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::Closed)));
}
