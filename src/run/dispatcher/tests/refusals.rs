//! What a refusal that every row may get means for the rows that got it.

use super::*;

fn refusal(status: u16, code: &str) -> Judgement {
    let details = ReplyDetails {
        code: code.into(),
        http_status: Some(status),
        message: "refused".into(),
        ..ReplyDetails::default()
    };
    Judgement { details, ..judgement(Verdict::Refused) }
}

fn bare() -> Judgement {
    refusal(403, "http_403")
}

/// Sends requests for these rows at once.
fn send_all(dispatcher: &mut Paced, names: &[&str], now: Instant) -> Vec<Job> {
    let send_one = |name: &&str| {
        dispatcher.offer(job(name));
        send(dispatcher, now)
    };
    names.iter().map(send_one).collect()
}

/// Holds so many rows, one after the other.
fn hold(dispatcher: &mut Paced, rows: usize, now: Instant) {
    for name in ["a", "b", "c", "d", "e"].into_iter().take(rows) {
        dispatcher.offer(job(name));
        let sent = send(dispatcher, now);
        assert!(matches!(dispatcher.attempt_ended(sent, &bare(), now), AfterAttempt::Held));
    }
}

/// The rows that failed after they were held.
fn failed(dispatcher: &mut Paced, more_rows: bool, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| dispatcher.take_failed(more_rows, now)).map(|job| name(&job).to_owned()).collect()
}

#[test]
fn the_fifth_row_with_the_same_refusal_halts_the_run_and_no_row_failed() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    hold(&mut dispatcher, 4, now);
    assert!(dispatcher.stopped().is_none() && !dispatcher.is_idle());
    dispatcher.offer(job("e"));
    let sent = send(&mut dispatcher, now);
    assert!(matches!(dispatcher.attempt_ended(sent, &bare(), now), AfterAttempt::Held));
    assert!(matches!(dispatcher.stopped(), Some(Stop::Halted(details)) if details.code == "http_403"));
    assert!(failed(&mut dispatcher, false, now).is_empty());
    let left: Vec<Job> = std::iter::from_fn(|| dispatcher.take_leftover()).collect();
    assert_eq!(left.len(), 5);
    assert!(left.iter().all(|job| job.attempts == 1 && job.last.code == "http_403"), "{left:?}");
    assert!(dispatcher.is_idle());
}

#[test]
fn any_other_final_answer_shows_that_the_held_rows_failed() {
    let others = [
        judgement(Verdict::Closed),
        judgement(Verdict::AlreadyEnded),
        refusal(404, "permissionError"),
        refusal(404, "http_404"),
        refusal(403, "somethingNew"),
    ];
    for other in others {
        let (mut dispatcher, now) = (dispatcher(""), Instant::now());
        hold(&mut dispatcher, 4, now);
        dispatcher.offer(job("x"));
        let sent = send(&mut dispatcher, now);
        dispatcher.attempt_ended(sent, &other, now);
        assert_eq!(failed(&mut dispatcher, true, now), ["a", "b", "c", "d"], "{other:?}");
        assert!(dispatcher.stopped().is_none());
        // The count begins anew.
        hold(&mut dispatcher, 3, now);
        assert!(dispatcher.stopped().is_none());
    }
}

#[test]
fn an_answer_that_says_nothing_of_the_refusal_neither_clears_nor_adds_to_it() {
    for verdict in [
        Verdict::Retry,
        Verdict::Unreachable,
        Verdict::Throttled(Throttle::Second),
        Verdict::Banned,
        Verdict::TokenRefused,
    ] {
        let (mut dispatcher, now) = (dispatcher(""), Instant::now());
        hold(&mut dispatcher, 4, now);
        attempt(&mut dispatcher, verdict, now);
        assert!(failed(&mut dispatcher, true, now).is_empty() && dispatcher.stopped().is_none());
        let later = now + 400 * SECOND;
        let again = send(&mut dispatcher, later);
        dispatcher.attempt_ended(again, &bare(), later);
        assert!(matches!(dispatcher.stopped(), Some(Stop::Halted(_))), "{verdict:?}");
    }
}

#[test]
fn before_the_run_halts_every_request_in_flight_is_heard_and_one_other_answer_is_enough() {
    for (last, halts) in [(bare(), true), (judgement(Verdict::Closed), false)] {
        let (mut dispatcher, now) = (dispatcher(""), Instant::now());
        let mut sent = send_all(&mut dispatcher, &["a", "b", "c", "d", "e", "f", "g"], now);
        let seventh = sent.pop().unwrap();
        for job in sent {
            assert!(matches!(dispatcher.attempt_ended(job, &bare(), now), AfterAttempt::Held));
        }
        dispatcher.offer(job("h"));
        assert_eq!(dispatcher.next(now), Next::Wait(None));
        assert!(dispatcher.stopped().is_none());
        dispatcher.attempt_ended(seventh, &last, now);
        assert_eq!(dispatcher.stopped().is_some(), halts);
        assert_eq!(failed(&mut dispatcher, true, now).len(), if halts { 0 } else { 6 });
    }
}

#[test]
fn held_rows_failed_when_no_other_row_comes_and_when_the_run_stops_for_another_reason() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    hold(&mut dispatcher, 3, now);
    let until = dispatcher.held_until().unwrap();
    assert!(failed(&mut dispatcher, true, until - Duration::from_nanos(1)).is_empty());
    assert_eq!(failed(&mut dispatcher, true, until), ["a", "b", "c"]);
    assert!(dispatcher.is_idle() && dispatcher.held_until().is_none());

    hold(&mut dispatcher, 2, now);
    assert_eq!(failed(&mut dispatcher, false, now), ["a", "b"]);

    hold(&mut dispatcher, 2, now);
    dispatcher.offer(job("x"));
    assert!(dispatcher.held_until().is_none() && failed(&mut dispatcher, true, until).is_empty());
    dispatcher.stop(Stop::Deadline);
    assert_eq!(failed(&mut dispatcher, true, now), ["a", "b"]);
}

#[test]
fn a_refusal_with_a_known_code_fails_its_row_at_once_however_often_it_comes() {
    let (mut dispatcher, now) = (dispatcher(""), Instant::now());
    for sent in ["a", "b", "c", "d", "e", "f"] {
        dispatcher.offer(job(sent));
        let sent = send(&mut dispatcher, now);
        let after = dispatcher.attempt_ended(sent, &refusal(404, "permissionError"), now);
        assert!(matches!(after, AfterAttempt::Ended(_, OutcomeKind::Failed)), "{after:?}");
    }
    assert!(dispatcher.stopped().is_none());
}
