//! The dispatcher, event by event, on instants of our own.

use super::*;
use crate::meeting::{CloseRequest, ConferenceId, Origin, UnionId};
use crate::pace::Pause;
use crate::settings::tests::load_text;

const SECOND: Duration = Duration::from_secs(1);

/// A dispatcher and the pauses of its run, which hear every answer as they do in the runner.
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
        self.pauses.heard(judgement, now);
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
    let request = CloseRequest {
        conference_id: ConferenceId::parse(name).unwrap(),
        union_id: UnionId::parse("host").unwrap(),
    };
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

/// Takes the row that goes next.
fn launch(dispatcher: &mut Paced, now: Instant) -> Job {
    assert_eq!(dispatcher.next(now), Next::Send);
    dispatcher.take(now).unwrap()
}

fn name(job: &Job) -> &str {
    job.request.conference_id.as_str()
}

/// Offers a row, launches it and ends its attempt.
fn attempt(dispatcher: &mut Paced, verdict: Verdict, now: Instant) -> AfterAttempt {
    dispatcher.offer(job("a"));
    let job = launch(dispatcher, now);
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
    assert_eq!(name(&launch(&mut dispatcher, now + wait - Duration::from_nanos(1))), "b");
    dispatcher.offer(job("c"));
    assert_eq!(name(&launch(&mut dispatcher, now + wait)), "a");
}

#[test]
fn with_nothing_new_the_next_retry_is_waited_for() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let AfterAttempt::Retry(wait) = attempt(&mut dispatcher, Verdict::Retry, now) else { panic!("no retry") };
    assert_eq!(dispatcher.next(now), Next::Wait(Some(now + wait)));
    assert!(!dispatcher.is_idle());
}

#[test]
fn no_more_requests_are_in_flight_than_permits() {
    let (mut dispatcher, now) = (dispatcher("[pace]\nconcurrency = 2"), Instant::now());
    let mut flights = vec![];
    for name in ["a", "b"] {
        dispatcher.offer(job(name));
        flights.push(launch(&mut dispatcher, now));
    }
    dispatcher.offer(job("c"));
    assert_eq!(dispatcher.next(now), Next::Wait(None));
    dispatcher.attempt_ended(flights.remove(0), &judgement(Verdict::Closed), now);
    assert_eq!(dispatcher.next(now), Next::Send);
}

#[test]
fn a_waiting_row_holds_no_permit() {
    let (mut dispatcher, now) = (dispatcher("[pace]\nconcurrency = 1"), Instant::now());
    attempt(&mut dispatcher, Verdict::Retry, now);
    dispatcher.offer(job("b"));
    assert_eq!(dispatcher.next(now), Next::Send);
}

#[test]
fn intake_stops_when_enough_rows_wait() {
    let (mut dispatcher, now) =
        (dispatcher("[retry]\nbudget = 5000\ninitial_interval = \"30s\""), Instant::now());
    for _ in 0..crate::run::job_queue::MOST_KEPT {
        assert!(dispatcher.wants_row());
        attempt(&mut dispatcher, Verdict::Retry, now);
        // An answer between, so that this is no outage.
        dispatcher.pauses.heard(&judgement(Verdict::Closed), now);
    }
    assert!(!dispatcher.wants_row());
}

#[test]
fn attempts_that_run_out_fail_the_row_with_the_last_answer() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nmax_attempts = 1"), Instant::now());
    let AfterAttempt::Ended(job, OutcomeKind::Failed) = attempt(&mut dispatcher, Verdict::Retry, now) else {
        panic!("not failed")
    };
    assert_eq!(job.last.message, "given up after 1 attempts: m");
    assert_eq!(job.last.code, "x");
}

#[test]
fn a_spent_budget_fails_the_row_and_says_so() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nbudget = 0"), Instant::now());
    let AfterAttempt::Ended(job, OutcomeKind::Failed) = attempt(&mut dispatcher, Verdict::Retry, now) else {
        panic!("not failed")
    };
    assert!(job.last.message.starts_with("not retried, because the run's retry budget is spent"));
}

#[test]
fn a_throttled_row_waits_out_its_window_and_nobody_else_does() {
    for (throttle, least) in [(Throttle::Second, SECOND), (Throttle::Minute, 60 * SECOND)] {
        let (mut dispatcher, now) = (dispatcher(""), Instant::now());
        let AfterAttempt::Retry(wait) = attempt(&mut dispatcher, Verdict::Throttled(throttle), now) else {
            panic!("no retry")
        };
        assert!(wait >= least, "{wait:?}");
        dispatcher.offer(job("b"));
        assert_eq!(name(&launch(&mut dispatcher, now)), "b");
    }
}

#[test]
fn a_pause_lets_nothing_leave_and_the_longer_of_two_counts() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    dispatcher.pauses.pause(now, 9 * SECOND, "long");
    dispatcher.pauses.pause(now, SECOND, "short");
    dispatcher.pauses.pause(now, Duration::ZERO, "none");
    assert_eq!(dispatcher.next(now), Next::Wait(Some(now + 9 * SECOND)));
    assert_eq!(
        dispatcher.pauses.current(now),
        Some(Pause { until: now + 9 * SECOND, wait: 9 * SECOND, reason: "long" })
    );
    assert_eq!(
        (dispatcher.next(now + 9 * SECOND), dispatcher.pauses.current(now + 9 * SECOND)),
        (Next::Send, None)
    );
}

/// Ends an attempt of each of five rows in trouble, and says when they are asked again.
fn outage(dispatcher: &mut Paced, now: Instant) -> Instant {
    for name in ["a", "b", "c", "d", "e"] {
        dispatcher.offer(job(name));
        let flight = launch(dispatcher, now);
        dispatcher.attempt_ended(flight, &judgement(Verdict::Retry), now);
    }
    let until = dispatcher.paused_until(now).unwrap();
    assert_eq!(until, now + SECOND);
    until
}

#[test]
fn an_outage_pauses_everything_and_is_probed_by_one_request_at_no_rows_cost() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let mut at = outage(&mut dispatcher, now);
    let mut probed = vec![];
    for pause in [2, 4, 8, 15, 15] {
        let mut probe = launch(&mut dispatcher, at);
        assert_eq!(dispatcher.next(at), Next::Wait(None));
        probed.push(name(&probe).to_owned());
        probe.last = ReplyDetails::default();
        let attempts = probe.attempts;
        let after = dispatcher.attempt_ended(probe, &judgement(Verdict::Retry), at);
        assert!(matches!(after, AfterAttempt::Repeat), "{after:?}");
        assert!(attempts <= 1, "{attempts}");
        assert_eq!(dispatcher.paused_until(at).unwrap(), at + pause * SECOND);
        at += pause * SECOND;
    }
    probed.sort();
    probed.dedup();
    assert_eq!(probed.len(), 5, "each probe is another row's: {probed:?}");
    let probe = launch(&mut dispatcher, at);
    dispatcher.attempt_ended(probe, &judgement(Verdict::Closed), at);
    launch(&mut dispatcher, at);
    assert_eq!(dispatcher.next(at), Next::Send);
}

#[test]
fn a_probe_of_an_outage_may_have_ended_the_meeting() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let at = outage(&mut dispatcher, now);
    let probe = launch(&mut dispatcher, at);
    assert!(probe.in_doubt);
}

#[test]
fn what_was_in_flight_when_an_outage_began_costs_nothing_and_waits_with_it() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("x"));
    let flight = launch(&mut dispatcher, now);
    let at = outage(&mut dispatcher, now);
    let after = dispatcher.attempt_ended(flight, &judgement(Verdict::Retry), now);
    assert!(matches!(after, AfterAttempt::Repeat));
    assert_eq!(dispatcher.paused_until(now).unwrap(), at);
}

#[test]
fn an_outage_that_outlasts_the_patience_stops_the_run() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    outage(&mut dispatcher, now);
    let late = now + 1800 * SECOND;
    let probe = launch(&mut dispatcher, late);
    let after = dispatcher.attempt_ended(probe, &judgement(Verdict::Retry), late);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)), "{after:?}");
    assert!(matches!(dispatcher.stopped(), Some(Stop::Outage(details)) if details.code == "x"));
    assert!(
        dispatcher.leave_out(job("b")).last.message.starts_with("DingTalk has had trouble with every row")
    );
}

#[test]
fn a_token_that_cannot_be_had_any_more_is_an_outage_and_one_that_never_was_is_given_up() {
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
fn a_ban_pauses_everything_costs_no_attempt_and_is_probed_by_one_request() {
    let (mut dispatcher, now, pause) = (dispatcher(""), Instant::now(), 300 * SECOND);
    let mut flights = vec![];
    for name in ["a", "b", "c"] {
        dispatcher.offer(job(name));
        flights.push(launch(&mut dispatcher, now));
    }
    for flight in flights {
        let after = dispatcher.attempt_ended(flight, &judgement(Verdict::Banned), now);
        assert!(matches!(after, AfterAttempt::Repeat), "{after:?}");
    }
    assert_eq!(dispatcher.next(now), Next::Wait(Some(now + pause)));
    let probe = launch(&mut dispatcher, now + pause);
    assert_eq!((name(&probe), probe.attempts), ("a", 0));
    assert_eq!(dispatcher.next(now + pause), Next::Wait(None));
    dispatcher.attempt_ended(probe, &judgement(Verdict::Closed), now + pause);
    launch(&mut dispatcher, now + pause);
    assert_eq!(dispatcher.next(now + pause), Next::Send);
}

#[test]
fn a_ban_that_outlives_three_pauses_halts() {
    let (mut dispatcher, mut now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    for _ in 0..3 {
        let flight = launch(&mut dispatcher, now);
        assert!(matches!(
            dispatcher.attempt_ended(flight, &judgement(Verdict::Banned), now),
            AfterAttempt::Repeat
        ));
        now += 300 * SECOND;
    }
    let flight = launch(&mut dispatcher, now);
    let after = dispatcher.attempt_ended(flight, &judgement(Verdict::Banned), now);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)));
    assert!(matches!(dispatcher.stopped(), Some(Stop::Halted(_))));
}

#[test]
fn a_refused_token_costs_the_row_no_attempt_and_a_second_one_halts() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    assert!(matches!(attempt(&mut dispatcher, Verdict::TokenRefused, now), AfterAttempt::Repeat));
    let again = launch(&mut dispatcher, now);
    assert_eq!(again.attempts, 0);
    let after = dispatcher.attempt_ended(again, &judgement(Verdict::TokenRefused), now);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)), "{after:?}");
    assert!(matches!(dispatcher.stopped(), Some(Stop::Halted(_))));
}

#[test]
fn a_token_refused_again_after_other_answers_is_fetched_again() {
    let (mut dispatcher, mut now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    for verdict in [Verdict::TokenRefused, Verdict::Retry, Verdict::TokenRefused] {
        let flight = launch(&mut dispatcher, now);
        let after = dispatcher.attempt_ended(flight, &judgement(verdict), now);
        assert!(matches!(after, AfterAttempt::Repeat | AfterAttempt::Retry(_)), "{after:?}");
        now += 60 * SECOND;
    }
}

#[test]
fn a_halt_starts_nothing_new_and_leaves_the_rest_out_with_its_reason() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    attempt(&mut dispatcher, Verdict::Retry, now);
    attempt(&mut dispatcher, Verdict::Halt, now);
    assert_eq!(dispatcher.next(now + 60 * SECOND), Next::Wait(None));
    assert!(!dispatcher.wants_row());
    assert_eq!(dispatcher.take_leftover().unwrap().last.code, "x");
    assert_eq!(dispatcher.leave_out(job("b")).last.message, "the run was halted: m");
    assert!(dispatcher.is_idle());
}

#[test]
fn an_attempt_that_would_be_repeated_after_a_stop_leaves_its_row_not_attempted() {
    for verdict in
        [Verdict::Retry, Verdict::Throttled(Throttle::Second), Verdict::Banned, Verdict::TokenRefused]
    {
        let (mut dispatcher, now) = (dispatcher(""), Instant::now());
        dispatcher.offer(job("a"));
        let flight = launch(&mut dispatcher, now);
        dispatcher.stop(Stop::Interrupted);
        let after = dispatcher.attempt_ended(flight, &judgement(verdict), now);
        assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)), "{verdict:?} {after:?}");
    }
}

#[test]
fn a_final_answer_after_a_stop_still_counts() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    let flight = launch(&mut dispatcher, now);
    dispatcher.stop(Stop::Interrupted);
    let after = dispatcher.attempt_ended(flight, &judgement(Verdict::Closed), now);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::Closed)));
}

#[test]
fn an_outage_charges_no_row_however_often_it_probes() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nmax_attempts = 2"), Instant::now());
    let mut at = outage(&mut dispatcher, now);
    for _ in 0..20 {
        let probe = launch(&mut dispatcher, at);
        let after = dispatcher.attempt_ended(probe, &judgement(Verdict::Retry), at);
        assert!(matches!(after, AfterAttempt::Repeat), "{after:?}");
        at = dispatcher.paused_until(at).unwrap();
    }
    while let Some(job) = dispatcher.take_leftover() {
        assert!(job.attempts <= 1, "{job:?}");
    }
}

#[test]
fn a_ban_does_not_end_an_outage() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let at = outage(&mut dispatcher, now);
    let probe = launch(&mut dispatcher, at);
    dispatcher.attempt_ended(probe, &judgement(Verdict::Banned), at);
    let at = at + 300 * SECOND;
    let probe = launch(&mut dispatcher, at);
    let after = dispatcher.attempt_ended(probe, &judgement(Verdict::Retry), at);
    assert!(matches!(after, AfterAttempt::Repeat), "{after:?}");
    assert!(dispatcher.paused_until(at).is_some());
}

#[test]
fn an_answer_to_what_left_before_a_ban_does_not_end_it() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let mut flights = vec![];
    for name in ["a", "b", "c"] {
        dispatcher.offer(job(name));
        flights.push(launch(&mut dispatcher, now));
    }
    for (flight, verdict) in flights.into_iter().zip([Verdict::Banned, Verdict::Banned, Verdict::Closed]) {
        dispatcher.attempt_ended(flight, &judgement(verdict), now);
    }
    let at = now + 300 * SECOND;
    launch(&mut dispatcher, at);
    assert_eq!(dispatcher.next(at), Next::Wait(None));
}

#[test]
fn a_ban_lasts_as_long_as_dingtalk_says_and_no_shorter_than_is_configured() {
    for (named, pause) in [(None, 60), (Some(5), 60), (Some(120), 120)] {
        let (mut dispatcher, now) = (dispatcher("[pace]\nban_pause = \"1m\""), Instant::now());
        dispatcher.offer(job("a"));
        let flight = launch(&mut dispatcher, now);
        let banned = Judgement { retry_after: named.map(Duration::from_secs), ..judgement(Verdict::Banned) };
        dispatcher.attempt_ended(flight, &banned, now);
        assert_eq!(dispatcher.paused_until(now).unwrap(), now + pause * SECOND, "{named:?}");
    }
}

#[test]
fn a_banned_request_has_ended_no_meeting() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    attempt(&mut dispatcher, Verdict::Banned, now);
    assert!(!launch(&mut dispatcher, now + 300 * SECOND).in_doubt);
}

#[test]
fn no_connection_costs_a_row_nothing_and_the_run_no_retry() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nmax_attempts = 1\nbudget = 0"), Instant::now());
    dispatcher.offer(job("a"));
    let mut at = now;
    for _ in 0..4 {
        let flight = launch(&mut dispatcher, at);
        let after = dispatcher.attempt_ended(flight, &judgement(Verdict::Unreachable), at);
        let AfterAttempt::Retry(wait) = after else { panic!("{after:?}") };
        at += wait;
    }
    let flight = launch(&mut dispatcher, at);
    assert!(matches!(
        dispatcher.attempt_ended(flight, &judgement(Verdict::Unreachable), at),
        AfterAttempt::Repeat
    ));
    at = dispatcher.paused_until(at).unwrap();
    let probe = launch(&mut dispatcher, at);
    assert_eq!((probe.attempts, probe.in_doubt), (0, false));
}
