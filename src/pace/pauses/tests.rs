//! The pauses, answer by answer, at instants that each test chooses.

use super::*;
use crate::outcome::{ReplyDetails, Throttle};
use crate::settings::tests::load_text;

const SECOND: Duration = Duration::from_secs(1);
const BAN: Duration = Duration::from_mins(5);
const LONGEST_OUTAGE: Duration = Duration::from_mins(30);

fn pauses(text: &str) -> Pauses {
    Pauses::new(&load_text(text).unwrap().pace, Some(LONGEST_OUTAGE))
}

fn judgement(verdict: Verdict) -> Judgement {
    let http_status = (verdict != Verdict::Unreachable).then_some(500);
    let details = ReplyDetails { http_status, ..ReplyDetails::default() };
    Judgement { verdict, reason: "r", details, retry_after: None }
}

/// A judgement whose answer names a wait.
fn named(verdict: Verdict, wait: Duration) -> Judgement {
    Judgement { retry_after: Some(wait), ..judgement(verdict) }
}

/// DingTalk bans this address, as the run reports it.
fn ban(pauses: &mut Pauses, now: Instant) -> bool {
    let banned = judgement(Verdict::Banned);
    pauses.answered(&banned, now);
    pauses.banned(&banned, now)
}

/// One row is in trouble for the first time, as the run reports it.
fn trouble(pauses: &mut Pauses, verdict: Verdict, now: Instant) -> Option<OutageStep> {
    pauses.answered(&judgement(verdict), now);
    pauses.trouble(&judgement(verdict), false, now)
}

/// Five rows are in trouble: an outage. Returns when the first probe may be sent.
fn outage(pauses: &mut Pauses, now: Instant) -> Instant {
    for _ in 0..4 {
        assert_eq!(trouble(pauses, Verdict::Retry, now), None);
    }
    assert_eq!(trouble(pauses, Verdict::Retry, now), Some(OutageStep::Wait(SECOND)));
    now + SECOND
}

fn pause_end(pauses: &Pauses, now: Instant) -> Option<Instant> {
    pauses.current(now).map(|pause| pause.until)
}

#[test]
fn without_trouble_requests_may_be_sent() {
    assert_eq!(pauses("").admission(Instant::now()), Admission::Go);
}

#[test]
fn the_longer_of_two_pauses_counts_and_a_pause_of_zero_is_none() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    pauses.pause(now, Duration::ZERO, "none");
    assert_eq!(pauses.current(now), None);
    pauses.pause(now, 9 * SECOND, "long");
    pauses.pause(now, SECOND, "short");
    let long = Pause { until: now + 9 * SECOND, wait: 9 * SECOND, reason: "long" };
    assert_eq!(pauses.admission(now), Admission::Until(long));
    assert_eq!(pauses.admission(now + 9 * SECOND), Admission::Go);
}

#[test]
fn after_a_bans_pause_requests_probe_until_one_is_answered() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    assert!(ban(&mut pauses, now));
    assert_eq!(pause_end(&pauses, now), Some(now + BAN));
    let after = now + BAN;
    assert_eq!(pauses.admission(after), Admission::Probe(ProbeFor::Ban));
    // A probe without an answer proves nothing.
    pauses.answered(&judgement(Verdict::Unreachable), after);
    assert_eq!(pauses.admission(after), Admission::Probe(ProbeFor::Ban));
    pauses.answered(&judgement(Verdict::Throttled(Throttle::Second)), after);
    assert_eq!(pauses.admission(after), Admission::Go);
}

#[test]
fn bans_of_requests_that_were_in_flight_together_count_once() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    for second in 0..10 {
        assert!(ban(&mut pauses, now + second * SECOND));
    }
    assert_eq!(pause_end(&pauses, now), Some(now + BAN));
}

#[test]
fn a_fourth_ban_in_a_row_is_no_ban() {
    let (mut pauses, mut now) = (pauses(""), Instant::now());
    for _ in 0..MAX_BANS {
        assert!(ban(&mut pauses, now));
        now += BAN;
    }
    assert!(!ban(&mut pauses, now));
    assert_eq!(pauses.current(now), None);
}

#[test]
fn an_answer_between_two_bans_starts_the_count_again() {
    let (mut pauses, mut now) = (pauses(""), Instant::now());
    for _ in 0..3 * MAX_BANS {
        assert!(ban(&mut pauses, now));
        now += BAN;
        pauses.answered(&judgement(Verdict::Closed), now);
    }
}

#[test]
fn an_answer_to_a_request_that_was_sent_before_a_ban_does_not_end_it() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    ban(&mut pauses, now);
    pauses.answered(&judgement(Verdict::Closed), now + SECOND);
    assert_eq!(pauses.admission(now + BAN), Admission::Probe(ProbeFor::Ban));
}

#[test]
fn a_ban_lasts_as_long_as_dingtalk_says_and_no_shorter_than_is_configured() {
    for (wait, pause) in [(None, 60), (Some(5), 60), (Some(120), 120)] {
        let (mut pauses, now) = (pauses("[pace]\nban_pause = \"1m\""), Instant::now());
        let retry_after = wait.map(Duration::from_secs);
        assert!(pauses.banned(&Judgement { retry_after, ..judgement(Verdict::Banned) }, now));
        assert_eq!(pause_end(&pauses, now), Some(now + pause * SECOND), "{wait:?}");
    }
}

#[test]
fn trouble_of_five_rows_is_an_outage_and_one_request_at_a_time_probes() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    let mut at = outage(&mut pauses, now);
    for pause in [2, 4, 8, 15, 15] {
        assert_eq!(pauses.admission(at), Admission::Probe(ProbeFor::Outage));
        let step = trouble(&mut pauses, Verdict::Retry, at);
        assert_eq!(step, Some(OutageStep::Wait(pause * SECOND)));
        assert_eq!(pause_end(&pauses, at), Some(at + pause * SECOND));
        at += pause * SECOND;
    }
    pauses.answered(&judgement(Verdict::AlreadyEnded), at);
    assert_eq!(pauses.admission(at), Admission::Go);
}

#[test]
fn requests_without_a_connection_are_an_outage_too() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    let steps: Vec<_> = (0..5).map(|_| trouble(&mut pauses, Verdict::Unreachable, now)).collect();
    assert_eq!(steps, [None, None, None, None, Some(OutageStep::Wait(SECOND))]);
}

#[test]
fn repeated_trouble_of_one_row_is_no_outage() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    assert!((0..100).all(|_| pauses.trouble(&judgement(Verdict::Retry), true, now).is_none()));
    assert_eq!(pauses.admission(now), Admission::Go);
}

#[test]
fn a_request_in_flight_when_an_outage_began_waits_for_the_same_probe() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    let at = outage(&mut pauses, now);
    let later = now + SECOND / 4;
    assert_eq!(trouble(&mut pauses, Verdict::Retry, later), Some(OutageStep::Wait(at - later)));
    assert_eq!(pause_end(&pauses, later), Some(at));
}

#[test]
fn in_an_outage_the_longer_of_our_wait_and_dingtalks_counts() {
    for (wait, pause) in [(1, 2), (120, 120)] {
        let (mut pauses, now) = (pauses(""), Instant::now());
        let at = outage(&mut pauses, now);
        let step = pauses.trouble(&named(Verdict::Retry, wait * SECOND), false, at);
        assert_eq!(step, Some(OutageStep::Wait(pause * SECOND)));
        assert_eq!(pause_end(&pauses, at), Some(at + pause * SECOND));
    }
}

#[test]
fn a_ban_does_not_end_an_outage() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    let at = outage(&mut pauses, now);
    assert!(ban(&mut pauses, at));
    assert_eq!(pauses.admission(at + BAN), Admission::Probe(ProbeFor::Outage));
}

#[test]
fn an_outage_is_too_long_once_it_has_lasted_as_long_as_the_run_waits() {
    for (longest, is_too_long) in [(Some(LONGEST_OUTAGE), true), (None, false)] {
        let (settings, now) = (load_text("").unwrap().pace, Instant::now());
        let mut pauses = Pauses::new(&settings, longest);
        outage(&mut pauses, now);
        let just_before = now + LONGEST_OUTAGE - Duration::from_nanos(1);
        assert!(matches!(trouble(&mut pauses, Verdict::Retry, just_before), Some(OutageStep::Wait(_))));
        let later = now + 2 * LONGEST_OUTAGE;
        let step = trouble(&mut pauses, Verdict::Retry, later).unwrap();
        assert_eq!(step == OutageStep::TooLong, is_too_long, "{longest:?} {step:?}");
        assert_eq!(pauses.current(later).is_none(), is_too_long, "{longest:?}");
    }
}

#[test]
fn a_missing_access_token_is_an_outage_only_after_dingtalk_has_answered() {
    let (mut pauses, now) = (pauses(""), Instant::now());
    assert_eq!(pauses.no_access_token(now), None);
    for verdict in [Verdict::Retry, Verdict::Unreachable, Verdict::Banned] {
        pauses.answered(&judgement(verdict), now);
        assert_eq!(pauses.no_access_token(now), None, "{verdict:?}");
    }
    pauses.answered(&judgement(Verdict::Closed), now);
    for wait in [1, 2, 4, 8, 15, 15] {
        assert_eq!(pauses.no_access_token(now), Some(OutageStep::Wait(wait * SECOND)));
    }
    assert_eq!(pause_end(&pauses, now), Some(now + 15 * SECOND));
    assert_eq!(pauses.no_access_token(now + LONGEST_OUTAGE), Some(OutageStep::TooLong));
}
