//! What bans, outages and missing connections mean for rows.

use super::*;

/// Ends an attempt of each of five rows in trouble. Returns when the first probe may be sent.
fn outage(dispatcher: &mut Paced, now: Instant) -> Instant {
    for name in ["a", "b", "c", "d", "e"] {
        dispatcher.offer(job(name));
        let sent = send(dispatcher, now);
        dispatcher.attempt_ended(sent, &judgement(Verdict::Retry), now);
    }
    let until = dispatcher.paused_until(now).unwrap();
    assert_eq!(until, now + SECOND);
    until
}

#[test]
fn in_an_outage_one_request_at_a_time_probes_and_no_row_loses_an_attempt() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let mut at = outage(&mut dispatcher, now);
    let mut probed = vec![];
    for pause in [2, 4, 8, 15, 15] {
        let mut probe = send(&mut dispatcher, at);
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
    let probe = send(&mut dispatcher, at);
    dispatcher.attempt_ended(probe, &judgement(Verdict::Closed), at);
    send(&mut dispatcher, at);
    assert_eq!(dispatcher.next(at), Next::Send);
}

#[test]
fn a_row_that_was_in_trouble_is_in_doubt() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    let at = outage(&mut dispatcher, now);
    let probe = send(&mut dispatcher, at);
    assert!(probe.in_doubt);
}

#[test]
fn a_request_in_flight_when_an_outage_began_costs_its_row_nothing_and_waits_for_the_probe() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("x"));
    let sent = send(&mut dispatcher, now);
    let at = outage(&mut dispatcher, now);
    let after = dispatcher.attempt_ended(sent, &judgement(Verdict::Retry), now);
    assert!(matches!(after, AfterAttempt::Repeat));
    assert_eq!(dispatcher.paused_until(now).unwrap(), at);
}

#[test]
fn an_outage_that_lasts_longer_than_the_run_waits_stops_the_run() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    outage(&mut dispatcher, now);
    let late = now + 1800 * SECOND;
    let probe = send(&mut dispatcher, late);
    let after = dispatcher.attempt_ended(probe, &judgement(Verdict::Retry), late);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)), "{after:?}");
    assert!(matches!(dispatcher.stopped(), Some(Stop::Outage(details)) if details.code == "x"));
    assert!(
        dispatcher
            .with_stop_reason(job("b"))
            .last
            .message
            .starts_with("the outage of DingTalk lasted too long")
    );
}

#[test]
fn a_ban_pauses_the_run_costs_no_attempt_and_one_request_probes_after_it() {
    let (mut dispatcher, now, pause) = (dispatcher(""), Instant::now(), 300 * SECOND);
    let mut in_flight = vec![];
    for name in ["a", "b", "c"] {
        dispatcher.offer(job(name));
        in_flight.push(send(&mut dispatcher, now));
    }
    for sent in in_flight {
        let after = dispatcher.attempt_ended(sent, &judgement(Verdict::Banned), now);
        assert!(matches!(after, AfterAttempt::Repeat), "{after:?}");
    }
    assert_eq!(dispatcher.next(now), Next::Wait(Some(now + pause)));
    let probe = send(&mut dispatcher, now + pause);
    assert_eq!((name(&probe), probe.attempts), ("a", 0));
    assert_eq!(dispatcher.next(now + pause), Next::Wait(None));
    dispatcher.attempt_ended(probe, &judgement(Verdict::Closed), now + pause);
    send(&mut dispatcher, now + pause);
    assert_eq!(dispatcher.next(now + pause), Next::Send);
}

#[test]
fn a_fourth_ban_in_a_row_halts_the_run() {
    let (mut dispatcher, mut now) = (dispatcher(""), Instant::now());
    dispatcher.offer(job("a"));
    for _ in 0..3 {
        let sent = send(&mut dispatcher, now);
        assert!(matches!(
            dispatcher.attempt_ended(sent, &judgement(Verdict::Banned), now),
            AfterAttempt::Repeat
        ));
        now += 300 * SECOND;
    }
    let sent = send(&mut dispatcher, now);
    let after = dispatcher.attempt_ended(sent, &judgement(Verdict::Banned), now);
    assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::NotAttempted)));
    assert!(matches!(dispatcher.stopped(), Some(Stop::Halted(_))));
}

#[test]
fn probes_of_an_outage_cost_their_rows_nothing_however_many_there_are() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nmax_attempts = 2"), Instant::now());
    let mut at = outage(&mut dispatcher, now);
    for _ in 0..20 {
        let probe = send(&mut dispatcher, at);
        let after = dispatcher.attempt_ended(probe, &judgement(Verdict::Retry), at);
        assert!(matches!(after, AfterAttempt::Repeat), "{after:?}");
        at = dispatcher.paused_until(at).unwrap();
    }
    while let Some(job) = dispatcher.take_leftover() {
        assert!(job.attempts <= 1, "{job:?}");
    }
}

#[test]
fn a_banned_request_does_not_put_its_row_in_doubt() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    attempt(&mut dispatcher, Verdict::Banned, now);
    assert!(!send(&mut dispatcher, now + 300 * SECOND).in_doubt);
}

#[test]
fn a_request_without_a_connection_costs_the_row_no_attempt_and_the_run_no_retry() {
    let (mut dispatcher, now) = (dispatcher("[retry]\nmax_attempts = 1\nbudget = 0"), Instant::now());
    dispatcher.offer(job("a"));
    let mut at = now;
    for _ in 0..4 {
        let sent = send(&mut dispatcher, at);
        let after = dispatcher.attempt_ended(sent, &judgement(Verdict::Unreachable), at);
        let AfterAttempt::Retry(wait) = after else { panic!("{after:?}") };
        at += wait;
    }
    let sent = send(&mut dispatcher, at);
    assert!(matches!(
        dispatcher.attempt_ended(sent, &judgement(Verdict::Unreachable), at),
        AfterAttempt::Repeat
    ));
    at = dispatcher.paused_until(at).unwrap();
    let probe = send(&mut dispatcher, at);
    assert_eq!((probe.attempts, probe.in_doubt), (0, false));
}
