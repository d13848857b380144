//! Whole runs against a simulated DingTalk, on paused time.

use super::test_run::*;
use std::time::Duration;

use super::*;
use crate::dingtalk::HttpAnswer;
use crate::meeting::{Cells, CloseRequest, UnionId};
use crate::outcome::{EndedBy, ReplyDetails};

#[tokio::test(start_paused = true)]
async fn every_row_gets_one_outcome_and_the_totals_add_up() {
    let mut test_run = TestRun::of(&["open", "ended", "wrong-host"])
        .script("ended", [failure(400, "resourceClose")])
        .script("wrong-host", [failure(404, "permissionError")]);
    for (name, kind) in
        [("", OutcomeKind::Invalid), ("open", OutcomeKind::Duplicate), ("vip", OutcomeKind::Excluded)]
    {
        let cells = Cells { conference_id: name.into(), union_id: "host".into() };
        test_run.rows.push(TriagedRow::Unasked { origin: origin(), cells, kind, reason: "why".into() });
    }
    let (end, observed, _) = test_run.play().await;
    assert_eq!(
        observed.brief(),
        [
            ("", OutcomeKind::Invalid, 0),
            ("ended", OutcomeKind::AlreadyClosed, 1),
            ("open", OutcomeKind::Closed, 1),
            ("open", OutcomeKind::Duplicate, 0),
            ("vip", OutcomeKind::Excluded, 0),
            ("wrong-host", OutcomeKind::Failed, 1),
        ]
    );
    assert_eq!(end.totals.outcomes.values().sum::<u64>(), 6);
    assert_eq!((end.totals.calls, end.stop.is_none()), (3, true));
}

#[tokio::test(start_paused = true)]
async fn a_meeting_asked_for_under_two_hosts_has_an_unknown_end() {
    let mut test_run =
        TestRun::of(&["a"]).script("a", [failure(404, "permissionError"), failure(400, "resourceClose")]);
    let other = CloseRequest { union_id: UnionId::parse("guest").unwrap(), ..request("a") };
    test_run.rows.push(TriagedRow::ToClose { origin: origin(), request: other });
    test_run.rows.push(ready("b"));
    let test_run = test_run.script("b", [failure(400, "resourceClose")]);
    let (_, observed, _) = test_run.play().await;
    let ended_by: Vec<_> = observed.outcomes.iter().map(|o| (o.conference_id.as_str(), o.ended_by)).collect();
    assert_eq!(ended_by, [("a", None), ("a", Some(EndedBy::Unknown)), ("b", Some(EndedBy::Earlier))]);
}

#[tokio::test(start_paused = true)]
async fn a_row_in_trouble_is_retried_until_the_trouble_is_over() {
    let (_, observed, _) = TestRun::of(&["a"])
        .script("a", [failure(500, "systemError"), Exchange::NoReply(crate::dingtalk::NoReply::Timeout)])
        .play()
        .await;
    assert_eq!(observed.brief(), [("a", OutcomeKind::Closed, 3)]);
    assert_eq!(observed.attempts, [("a".into(), 1), ("a".into(), 2), ("a".into(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_at_the_rate_and_retries_take_permits_too() {
    let mut test_run = TestRun::of(&names(40));
    test_run.settings = "[pace]\nrequests_per_second = 20\n[retry]\ninitial_interval = \"1ms\"";
    let (_, _, api) = test_run.script("m0003", [failure(500, "systemError")]).play().await;
    let times: Vec<u128> = api.calls.lock().unwrap().iter().map(|(_, at)| at.as_millis()).collect();
    let expected: Vec<u128> = (0..41).map(|n| 50 + n * 50).collect();
    assert_eq!(times, expected);
}

#[tokio::test(start_paused = true)]
async fn after_a_refused_access_token_one_new_token_is_fetched_and_no_row_loses_an_attempt() {
    let refusal = || [failure(400, "InvalidAuthentication")];
    let mut test_run = TestRun::of(&["a", "b", "c"]);
    test_run.settings = "[pace]\nrequests_per_second = 1000";
    let (_, observed, api) =
        test_run.script("a", refusal()).script("b", refusal()).script("c", refusal()).play().await;
    assert!(
        observed.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed && o.attempts == 1),
        "{:?}",
        observed.brief()
    );
    assert_eq!(*api.token_calls.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_access_token_that_is_refused_too_halts_the_run_after_two_calls() {
    let mut test_run = TestRun::of(&names(100));
    test_run.settings = "[pace]\nconcurrency = 1";
    let refusals = std::iter::repeat_n(failure(400, "InvalidAuthentication"), 9);
    let (end, observed, api) = test_run.script("m0000", refusals).play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(details)) if details.code == "InvalidAuthentication"));
    assert_eq!(api.calls.lock().unwrap().len(), 2);
    assert_eq!(observed.outcomes.iter().filter(|o| o.kind == OutcomeKind::NotAttempted).count(), 100);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_halt_the_run_before_any_call() {
    let test_run = TestRun::of(&names(3));
    let details = ReplyDetails { code: "invalidClientIdOrSecret".into(), ..ReplyDetails::default() };
    test_run.api.token_script.lock().unwrap().push_back(Err(TokenError::Refused(details)));
    let (end, observed, api) = test_run.play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(details)) if details.code == "invalidClientIdOrSecret"));
    assert!(api.calls.lock().unwrap().is_empty());
    assert_eq!(observed.outcomes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_access_token_is_asked_for_up_to_max_attempts_times() {
    let test_run = TestRun::of(&["a"]);
    let trouble =
        || Err(TokenError::Unavailable(ReplyDetails { code: "http_502".into(), ..ReplyDetails::default() }));
    test_run.api.token_script.lock().unwrap().extend([trouble(), trouble()]);
    let (_, observed, api) = test_run.play().await;
    assert_eq!(observed.brief(), [("a", OutcomeKind::Closed, 1)]);
    assert_eq!(*api.token_calls.lock().unwrap(), 3);

    let test_run = TestRun::of(&["a"]);
    test_run.api.token_script.lock().unwrap().extend((0..9).map(|_| trouble()));
    let (end, _, api) = test_run.play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(_))));
    assert_eq!(*api.token_calls.lock().unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_every_row_would_get_halts_the_run_after_a_few_calls() {
    let mut test_run = TestRun::of(&names(500));
    test_run.settings = "[pace]\nrequests_per_second = 1000";
    let month = "Forbidden.AccessDenied.ApiCountLimitForOrg";
    for name in names(500) {
        test_run = test_run.script(name, [failure(403, month)]);
    }
    let (end, observed, api) = test_run.play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(details)) if details.code == month));
    assert_eq!(api.calls.lock().unwrap().len(), 16);
    assert_eq!(observed.outcomes.iter().filter(|o| o.kind == OutcomeKind::NotAttempted).count(), 500);
}

#[tokio::test(start_paused = true)]
async fn after_a_signal_requests_in_flight_finish_and_no_new_one_is_sent() {
    let mut test_run = TestRun::of(&names(100));
    test_run.settings = "[pace]\nrequests_per_second = 20";
    test_run.signals = vec![(Duration::from_millis(1010), Signal::Drain)];
    let (end, observed, api) = test_run.play().await;
    assert!(matches!(end.stop, Some(Stop::Interrupted)) && !end.aborted);
    let calls = api.calls.lock().unwrap().len();
    assert_eq!(calls, 20);
    assert_eq!(observed.outcomes.iter().filter(|o| o.kind == OutcomeKind::Closed).count(), calls);
    assert_eq!(observed.outcomes.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_finish_within_ten_seconds_is_abandoned() {
    let mut test_run = TestRun::of(&["a", "b"]);
    test_run.api = Arc::new(ScriptedApi { silent: true, ..ScriptedApi::default() });
    test_run.signals = vec![(Duration::from_secs(1), Signal::Drain)];
    let start = Instant::now();
    let (_, observed, _) = test_run.play().await;
    assert_eq!(start.elapsed(), Duration::from_secs(11));
    assert_eq!(observed.brief(), [("a", OutcomeKind::NotAttempted, 1), ("b", OutcomeKind::NotAttempted, 1)]);
    assert!(observed.outcomes.iter().all(|o| o.details.code == "timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_aborts_the_run_at_once() {
    let mut test_run = TestRun::of(&["a", "b"]);
    test_run.api = Arc::new(ScriptedApi { silent: true, ..ScriptedApi::default() });
    test_run.signals = vec![(Duration::from_secs(1), Signal::Drain), (Duration::from_secs(2), Signal::Abort)];
    let (end, observed, _) = test_run.play().await;
    assert!(end.aborted && observed.outcomes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_no_new_request_is_sent() {
    let mut test_run = TestRun::of(&names(100));
    test_run.settings = "[pace]\nrequests_per_second = 20";
    test_run.deadline = Some(Duration::from_millis(1010));
    let (end, observed, api) = test_run.play().await;
    assert!(matches!(end.stop, Some(Stop::Deadline)));
    assert_eq!((api.calls.lock().unwrap().len(), observed.outcomes.len()), (20, 100));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_stops_the_run_at_once() {
    let mut test_run = TestRun::of(&names(100));
    test_run.journal_records = 10;
    let (end, _, api) = test_run.play().await;
    assert!(matches!(end.stop, Some(Stop::AuditLost(_))));
    assert!(api.calls.lock().unwrap().len() <= 10);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_retries_wait_without_holding_up_the_run() {
    let mut test_run = TestRun::of(&names(6000));
    test_run.settings = "[pace]\nrequests_per_second = 1000\n[retry]\nmax_attempts = 2\ninitial_interval = \"30s\"\nbudget = 100000";
    // Only every second row is in trouble, so this is no outage.
    let (troubled, others) = (names(6000).into_iter().step_by(2), names(6000).into_iter().skip(1).step_by(2));
    for name in troubled {
        test_run = test_run.script(name, [failure(500, "systemError")]);
    }
    let (end, observed, _) = test_run.play().await;
    assert_eq!(end.totals.calls, 9000);
    let others: std::collections::HashSet<&str> = others.collect();
    assert!(observed.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed
        && o.attempts == if others.contains(o.conference_id.as_str()) { 1 } else { 2 }));
}

#[tokio::test(start_paused = true)]
async fn the_run_waits_until_an_outage_is_over_and_no_row_fails_because_of_it() {
    let mut test_run = TestRun::of(&names(200));
    test_run.settings = "[pace]\nrequests_per_second = 20\n[retry]\nmax_attempts = 2";
    test_run.api.down.lock().unwrap().replace((Duration::from_secs(2), Duration::from_secs(122)));
    let (end, observed, api) = test_run.play().await;
    assert!(observed.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed), "{:?}", observed.brief());
    let calls = api.calls.lock().unwrap();
    let during = calls.iter().filter(|(_, at)| (2..122).contains(&at.as_secs())).count();
    // Five requests that show the outage, those in flight meanwhile, and the probes.
    assert!(during <= 5 + 16 + 11, "{during}");
    assert!(end.totals.paused_ms > 100_000, "{}", end.totals.paused_ms);
    assert_eq!(
        end.totals.timeline.spans.iter().map(|span| span.paused_ms).sum::<u64>(),
        end.totals.paused_ms
    );
    assert!(observed.resumed > 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_an_outage_and_the_other_rows_are_not_attempted() {
    let mut test_run = TestRun::of(&names(200));
    test_run.settings = "[pace]\nrequests_per_second = 20";
    test_run.api.down.lock().unwrap().replace((Duration::from_secs(2), Duration::from_hours(9)));
    test_run.deadline = Some(Duration::from_mins(10));
    let (end, observed, _) = test_run.play().await;
    assert!(matches!(end.stop, Some(Stop::Deadline)));
    let count = |kind| observed.outcomes.iter().filter(|o| o.kind == kind).count();
    assert_eq!((count(OutcomeKind::Failed), observed.outcomes.len()), (0, 200));
    assert!(count(OutcomeKind::NotAttempted) > 150);
}

#[tokio::test(start_paused = true)]
async fn the_run_finds_a_quota_below_its_rate_and_reports_it() {
    let mut test_run = TestRun::of(&names(400));
    test_run.settings = "[pace]\nrequests_per_second = 40";
    *test_run.api.quota.lock().unwrap() = Some(10);
    let (end, observed, _) = test_run.play().await;
    assert!(observed.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed), "{:?}", observed.brief());
    let pace = end.totals.pace;
    assert_eq!(pace.configured, 40_000);
    assert!((8_000..=10_000).contains(&pace.lowest), "{pace:?}");
    assert!(pace.unrefused.is_some_and(|rate| rate <= 10_000), "{pace:?}");
    assert!(observed.rates.first().is_some_and(|rate| *rate < 10.0), "{:?}", observed.rates);
    assert!(end.totals.throttled_calls < 40, "{}", end.totals.throttled_calls);
}

#[tokio::test(start_paused = true)]
async fn errors_never_raise_the_rate() {
    let mut test_run = TestRun::of(&["a"]);
    test_run.settings = "[pace]\nrequests_per_second = 40\n[retry]\nmax_attempts = 30\ninitial_interval = \"2s\"\nmultiplier = 1.0";
    let refusal = failure(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi");
    let trouble = std::iter::repeat_n(failure(500, "systemError"), 20);
    let (_, observed, _) = test_run.script("a", std::iter::once(refusal).chain(trouble)).play().await;
    assert_eq!(observed.rates.len(), 1, "{:?}", observed.rates);
}

#[tokio::test(start_paused = true)]
async fn a_bans_pause_is_reported_with_its_end_and_counts_as_a_refusal() {
    let ban = answer(200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#);
    let (end, observed, _) = TestRun::of(&["a"]).script("a", [ban]).play().await;
    assert_eq!(observed.paused, [Duration::from_mins(5)]);
    assert_eq!((observed.resumed, end.totals.throttled_calls, end.totals.paused_ms), (1, 1, 300_000));
    assert_eq!(observed.brief(), [("a", OutcomeKind::Closed, 1)]);
}

#[tokio::test(start_paused = true)]
async fn five_rows_with_lasting_trouble_are_no_outage_wherever_they_stand() {
    for (first, step) in [(50, 1), (170, 6)] {
        let mut test_run = TestRun::of(&names(200));
        test_run.settings = "[pace]\nrequests_per_second = 20";
        for name in names(200).into_iter().skip(first).step_by(step).take(5) {
            test_run = test_run.script(name, std::iter::repeat_n(failure(500, "systemError"), 100));
        }
        let (end, observed, _) = test_run.play().await;
        let count = |kind| observed.outcomes.iter().filter(|o| o.kind == kind).count();
        assert!(end.stop.is_none(), "{:?}", end.stop);
        assert_eq!((count(OutcomeKind::Closed), count(OutcomeKind::Failed)), (195, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_fails_no_row_of_a_short_list() {
    for rows in [1, 4] {
        let test_run = TestRun::of(&names(rows));
        let now = START.with(|start| *start.get_or_init(Instant::now)).elapsed();
        test_run.api.down.lock().unwrap().replace((now, now + Duration::from_mins(2)));
        let (_, observed, _) = test_run.play().await;
        assert!(
            observed.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed && o.attempts == 1),
            "{:?}",
            observed.brief()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_of_the_access_token_pauses_nothing_while_the_old_token_is_valid() {
    let mut test_run = TestRun::of(&names(3000));
    test_run.settings = "[pace]\nrequests_per_second = 20";
    let trouble =
        || Err(TokenError::Unavailable(ReplyDetails { code: "http_502".into(), ..ReplyDetails::default() }));
    let short = TokenGrant { token: "t".into(), lifetime: Duration::from_secs(200) };
    test_run
        .api
        .token_script
        .lock()
        .unwrap()
        .extend(std::iter::once(Ok(short)).chain((0..5).map(|_| trouble())));
    let (end, _, _) = test_run.play().await;
    assert_eq!(end.totals.paused_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn abandoned_requests_are_no_outage_and_each_counts_as_an_attempt() {
    let mut test_run = TestRun::of(&names(16));
    test_run.api = Arc::new(ScriptedApi { silent: true, ..ScriptedApi::default() });
    test_run.signals = vec![(Duration::from_secs(2), Signal::Drain)];
    let (end, observed, _) = test_run.play().await;
    assert!(observed.outcomes.iter().all(|o| o.attempts == 1), "{:?}", observed.brief());
    assert_eq!(end.totals.paused_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_a_longer_wait_that_dingtalk_names_counts() {
    let mut test_run = TestRun::of(&names(6));
    test_run.settings = "[pace]\nrequests_per_second = 20";
    let busy =
        || HttpAnswer { status: 503, retry_after: Some(Duration::from_mins(2)), ..HttpAnswer::default() };
    for name in names(6) {
        test_run = test_run.script(name, [Exchange::Answered(busy())]);
    }
    let (_, _, api) = test_run.play().await;
    let calls = api.calls.lock().unwrap();
    assert!(calls.iter().all(|(_, at)| at.as_secs() < 1 || at.as_secs() >= 120), "{calls:?}");
}

fn leases<const N: usize>(lasting: Duration) -> [Arc<Lease>; N] {
    let clock = Clock::tokio();
    std::array::from_fn(|_| Arc::new(Lease::new(clock.clone(), clock.now() + lasting)))
}

#[tokio::test(start_paused = true)]
async fn a_row_that_another_worker_took_over_is_never_sent_and_takes_no_permit() {
    let mut test_run = TestRun::of(&["lost", "held", "lost-later", "held-later"]);
    test_run.settings = "[pace]\nrequests_per_second = 1";
    let [lost, held, lost_later, held_later] = leases(Duration::from_secs(30));
    test_run.leases = vec![lost.clone(), held, lost_later.clone(), held_later.clone()];
    lost.lose();
    for lease in [&lost_later, &held_later] {
        lease.doubt();
    }
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        lost_later.lose();
        held_later.renew(Instant::now() + Duration::from_secs(30));
    });
    let (end, observed, api) = test_run.play().await;
    let calls: Vec<_> =
        api.calls.lock().unwrap().iter().map(|(name, at)| (name.clone(), at.as_millis())).collect();
    assert_eq!(calls, [("held".into(), 50), ("held-later".into(), 20_000)]);
    for (outcome, row) in observed.outcomes.iter().zip(["lost", "held", "lost-later", "held-later"]) {
        let ended = (outcome.conference_id.as_str(), outcome.kind, outcome.details.message.as_str());
        if row.starts_with("lost") {
            assert_eq!(ended, (row, OutcomeKind::NotAttempted, "another worker took it over"));
        } else {
            assert_eq!((ended.0, ended.1), (row, OutcomeKind::Closed));
        }
    }
    assert_eq!((observed.outcomes.len(), end.taken_over, end.stop.is_none()), (4, 2, true));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_taken_over_while_it_waits_is_not_retried_and_may_end_the_run() {
    let mut test_run = TestRun::of(&["a"]).script("a", [failure(500, "systemError")]);
    test_run.settings = "[retry]\ninitial_interval = \"20s\"";
    let [lease] = leases(Duration::from_secs(1));
    test_run.leases = vec![lease.clone()];
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        lease.lose();
    });
    let (end, observed, _) = test_run.play().await;
    assert_eq!(observed.brief(), [("a", OutcomeKind::NotAttempted, 1)]);
    assert_eq!(
        observed.outcomes[0].details.message,
        "not retried, because another worker took it over: systemError"
    );
    assert_eq!((end.totals.calls, end.taken_over), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_every_row_gets_halts_the_run_after_a_few_calls_and_no_row_fails() {
    for (settings, most) in [("[pace]\nconcurrency = 1", 5), ("", 5 + 16)] {
        let mut test_run = TestRun::of(&names(200));
        test_run.settings = settings;
        for name in names(200) {
            test_run = test_run.script(name, [answer(403, "")]);
        }
        let (end, observed, _) = test_run.play().await;
        assert!(matches!(&end.stop, Some(Stop::Halted(details)) if details.code == "http_403"), "{end:?}");
        assert!((5..=most).contains(&end.totals.calls), "{}", end.totals.calls);
        assert_eq!(observed.outcomes.len(), 200);
        assert!(observed.outcomes.iter().all(|o| o.kind == OutcomeKind::NotAttempted));
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_few_rows_fail_those_rows_alone_wherever_they_stand() {
    for (first, step) in [(0, 1), (50, 1), (196, 1), (3, 9)] {
        let mut test_run = TestRun::of(&names(200));
        for name in names(200).into_iter().skip(first).step_by(step).take(4) {
            test_run = test_run.script(name, [failure(404, "InvalidAction.NotFound")]);
        }
        let (end, observed, _) = test_run.play().await;
        let count = |kind| observed.outcomes.iter().filter(|o| o.kind == kind).count();
        assert!(end.stop.is_none(), "{:?}", end.stop);
        assert_eq!((count(OutcomeKind::Closed), count(OutcomeKind::Failed)), (196, 4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_held_when_its_only_companion_is_taken_over_fails_and_the_run_ends() {
    let mut test_run = TestRun::of(&["a", "b"]).script("a", [answer(403, "")]);
    let [held, lost] = leases(Duration::from_secs(30));
    test_run.leases = vec![held, lost.clone()];
    lost.doubt();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        lost.lose();
    });
    let (end, observed, _) = test_run.play().await;
    assert_eq!(observed.brief(), [("a", OutcomeKind::Failed, 1), ("b", OutcomeKind::NotAttempted, 0)]);
    assert!(end.stop.is_none());
}
