//! Whole runs against a simulated DingTalk, on paused time.

use super::test_run::*;
use std::time::Duration;

use super::*;
use crate::dingtalk::HttpAnswer;
use crate::meeting::{Cells, CloseRequest, UnionId};
use crate::outcome::{EndedBy, ReplyDetails};

#[tokio::test(start_paused = true)]
async fn every_row_leaves_with_one_outcome_and_the_totals_add_up() {
    let mut scene = TestRun::of(&["open", "ended", "wrong-host"])
        .script("ended", [failure(400, "resourceClose")])
        .script("wrong-host", [failure(404, "permissionError")]);
    for (name, kind) in
        [("", OutcomeKind::Invalid), ("open", OutcomeKind::Duplicate), ("vip", OutcomeKind::Excluded)]
    {
        let cells = Cells { conference_id: name.into(), union_id: "host".into() };
        scene.rows.push(TriagedRow::Unasked { origin: origin(), cells, kind, reason: "why".into() });
    }
    let (end, heard, _) = scene.play().await;
    assert_eq!(
        heard.brief(),
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
async fn a_meeting_named_with_two_hosts_is_never_said_to_have_ended_earlier() {
    let mut scene =
        TestRun::of(&["a"]).script("a", [failure(404, "permissionError"), failure(400, "resourceClose")]);
    let other = CloseRequest { union_id: UnionId::parse("guest").unwrap(), ..request("a") };
    scene.rows.push(TriagedRow::ToClose { origin: origin(), request: other });
    scene.rows.push(ready("b"));
    let scene = scene.script("b", [failure(400, "resourceClose")]);
    let (_, heard, _) = scene.play().await;
    let ended_by: Vec<_> = heard.outcomes.iter().map(|o| (o.conference_id.as_str(), o.ended_by)).collect();
    assert_eq!(ended_by, [("a", None), ("a", Some(EndedBy::Unknown)), ("b", Some(EndedBy::Earlier))]);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_repeated_until_it_is_over() {
    let (_, heard, _) = TestRun::of(&["a"])
        .script("a", [failure(500, "systemError"), Exchange::NoReply(crate::dingtalk::NoReply::Timeout)])
        .play()
        .await;
    assert_eq!(heard.brief(), [("a", OutcomeKind::Closed, 3)]);
    assert_eq!(heard.attempts, [("a".into(), 1), ("a".into(), 2), ("a".into(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn requests_leave_at_the_rate_and_retries_pay_for_theirs() {
    let mut scene = TestRun::of(&names(40));
    scene.settings = "[pace]\nrequests_per_second = 20\n[retry]\ninitial_interval = \"1ms\"";
    let (_, _, api) = scene.script("m0003", [failure(500, "systemError")]).play().await;
    let times: Vec<u128> = api.calls.lock().unwrap().iter().map(|(_, at)| at.as_millis()).collect();
    let expected: Vec<u128> = (0..41).map(|n| 50 + n * 50).collect();
    assert_eq!(times, expected);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_fetched_once_more_and_the_rows_lose_nothing() {
    let refusal = || [failure(400, "InvalidAuthentication")];
    let mut scene = TestRun::of(&["a", "b", "c"]);
    scene.settings = "[pace]\nrequests_per_second = 1000";
    let (_, heard, api) =
        scene.script("a", refusal()).script("b", refusal()).script("c", refusal()).play().await;
    assert!(
        heard.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed && o.attempts == 1),
        "{:?}",
        heard.brief()
    );
    assert_eq!(*api.token_calls.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_refused_too_halts_after_two_calls() {
    let mut scene = TestRun::of(&names(100));
    scene.settings = "[pace]\nconcurrency = 1";
    let refusals = std::iter::repeat_n(failure(400, "InvalidAuthentication"), 9);
    let (end, heard, api) = scene.script("m0000", refusals).play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(said)) if said.code == "InvalidAuthentication"));
    assert_eq!(api.calls.lock().unwrap().len(), 2);
    assert_eq!(heard.outcomes.iter().filter(|o| o.kind == OutcomeKind::NotAttempted).count(), 100);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_halt_before_any_call() {
    let scene = TestRun::of(&names(3));
    let said = ReplyDetails { code: "invalidClientIdOrSecret".into(), ..ReplyDetails::default() };
    scene.api.token_script.lock().unwrap().push_back(Err(TokenError::Refused(said)));
    let (end, heard, api) = scene.play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(said)) if said.code == "invalidClientIdOrSecret"));
    assert!(api.calls.lock().unwrap().is_empty());
    assert_eq!(heard.outcomes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_had_is_asked_for_as_often_as_a_meeting() {
    let scene = TestRun::of(&["a"]);
    let trouble =
        || Err(TokenError::Unavailable(ReplyDetails { code: "http_502".into(), ..ReplyDetails::default() }));
    scene.api.token_script.lock().unwrap().extend([trouble(), trouble()]);
    let (_, heard, api) = scene.play().await;
    assert_eq!(heard.brief(), [("a", OutcomeKind::Closed, 1)]);
    assert_eq!(*api.token_calls.lock().unwrap(), 3);

    let scene = TestRun::of(&["a"]);
    scene.api.token_script.lock().unwrap().extend((0..9).map(|_| trouble()));
    let (end, _, api) = scene.play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(_))));
    assert_eq!(*api.token_calls.lock().unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_every_row_would_meet_halts_after_a_handful_of_calls() {
    let mut scene = TestRun::of(&names(500));
    scene.settings = "[pace]\nrequests_per_second = 1000";
    let month = "Forbidden.AccessDenied.ApiCountLimitForOrg";
    for name in names(500) {
        scene = scene.script(name, [failure(403, month)]);
    }
    let (end, heard, api) = scene.play().await;
    assert!(matches!(end.stop, Some(Stop::Halted(said)) if said.code == month));
    assert_eq!(api.calls.lock().unwrap().len(), 16);
    assert_eq!(heard.outcomes.iter().filter(|o| o.kind == OutcomeKind::NotAttempted).count(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_signal_lets_what_is_in_flight_finish_and_starts_nothing_new() {
    let mut scene = TestRun::of(&names(100));
    scene.settings = "[pace]\nrequests_per_second = 20";
    scene.signals = vec![(Duration::from_millis(1010), Signal::Drain)];
    let (end, heard, api) = scene.play().await;
    assert!(matches!(end.stop, Some(Stop::Interrupted)) && !end.aborted);
    let calls = api.calls.lock().unwrap().len();
    assert_eq!(calls, 20);
    assert_eq!(heard.outcomes.iter().filter(|o| o.kind == OutcomeKind::Closed).count(), calls);
    assert_eq!(heard.outcomes.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_within_ten_seconds_is_left_in_doubt() {
    let mut scene = TestRun::of(&["a", "b"]);
    scene.api = Arc::new(Simulated { silent: true, ..Simulated::default() });
    scene.signals = vec![(Duration::from_secs(1), Signal::Drain)];
    let start = Instant::now();
    let (_, heard, _) = scene.play().await;
    assert_eq!(start.elapsed(), Duration::from_secs(11));
    assert_eq!(heard.brief(), [("a", OutcomeKind::NotAttempted, 1), ("b", OutcomeKind::NotAttempted, 1)]);
    assert!(heard.outcomes.iter().all(|o| o.details.code == "timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_lets_go_of_everything_at_once() {
    let mut scene = TestRun::of(&["a", "b"]);
    scene.api = Arc::new(Simulated { silent: true, ..Simulated::default() });
    scene.signals = vec![(Duration::from_secs(1), Signal::Drain), (Duration::from_secs(2), Signal::Abort)];
    let (end, heard, _) = scene.play().await;
    assert!(end.aborted && heard.outcomes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_starts_nothing_new_once_it_has_come() {
    let mut scene = TestRun::of(&names(100));
    scene.settings = "[pace]\nrequests_per_second = 20";
    scene.deadline = Some(Duration::from_millis(1010));
    let (end, heard, api) = scene.play().await;
    assert!(matches!(end.stop, Some(Stop::Deadline)));
    assert_eq!((api.calls.lock().unwrap().len(), heard.outcomes.len()), (20, 100));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_stops_everything_at_once() {
    let mut scene = TestRun::of(&names(100));
    scene.journal_records = 10;
    let (end, _, api) = scene.play().await;
    assert!(matches!(end.stop, Some(Stop::AuditLost(_))));
    assert!(api.calls.lock().unwrap().len() <= 10);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_rows_that_wait_do_not_pile_up() {
    let mut scene = TestRun::of(&names(6000));
    scene.settings = "[pace]\nrequests_per_second = 1000\n[retry]\nmax_attempts = 2\ninitial_interval = \"30s\"\nbudget = 100000";
    // Every other row, so that this is no outage.
    let (troubled, others) = (names(6000).into_iter().step_by(2), names(6000).into_iter().skip(1).step_by(2));
    for name in troubled {
        scene = scene.script(name, [failure(500, "systemError")]);
    }
    let (end, heard, _) = scene.play().await;
    assert_eq!(end.totals.calls, 9000);
    let others: std::collections::HashSet<&str> = others.collect();
    assert!(heard.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed
        && o.attempts == if others.contains(o.conference_id.as_str()) { 1 } else { 2 }));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_and_no_row_fails_of_it() {
    let mut scene = TestRun::of(&names(200));
    scene.settings = "[pace]\nrequests_per_second = 20\n[retry]\nmax_attempts = 2";
    scene.api.down.lock().unwrap().replace((Duration::from_secs(2), Duration::from_secs(122)));
    let (end, heard, api) = scene.play().await;
    assert!(heard.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed), "{:?}", heard.brief());
    let calls = api.calls.lock().unwrap();
    let during = calls.iter().filter(|(_, at)| (2..122).contains(&at.as_secs())).count();
    // Five to notice, what was in flight meanwhile, and the probes.
    assert!(during <= 5 + 16 + 11, "{during}");
    assert!(end.totals.paused_ms > 100_000, "{}", end.totals.paused_ms);
    assert_eq!(
        end.totals.timeline.spans.iter().map(|span| span.paused_ms).sum::<u64>(),
        end.totals.paused_ms
    );
    assert!(heard.resumed > 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_the_wait_for_an_outage_and_untouched_rows_are_not_attempted() {
    let mut scene = TestRun::of(&names(200));
    scene.settings = "[pace]\nrequests_per_second = 20";
    scene.api.down.lock().unwrap().replace((Duration::from_secs(2), Duration::from_hours(9)));
    scene.deadline = Some(Duration::from_mins(10));
    let (end, heard, _) = scene.play().await;
    assert!(matches!(end.stop, Some(Stop::Deadline)));
    let count = |kind| heard.outcomes.iter().filter(|o| o.kind == kind).count();
    assert_eq!((count(OutcomeKind::Failed), heard.outcomes.len()), (0, 200));
    assert!(count(OutcomeKind::NotAttempted) > 150);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_hit_is_found_and_told() {
    let mut scene = TestRun::of(&names(400));
    scene.settings = "[pace]\nrequests_per_second = 40";
    *scene.api.quota.lock().unwrap() = Some(10);
    let (end, heard, _) = scene.play().await;
    assert!(heard.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed), "{:?}", heard.brief());
    let pace = end.totals.pace;
    assert_eq!(pace.configured, 40_000);
    assert!((8_000..=10_000).contains(&pace.lowest), "{pace:?}");
    assert!(pace.unrefused.is_some_and(|rate| rate <= 10_000), "{pace:?}");
    assert!(heard.rates.first().is_some_and(|rate| *rate < 10.0), "{:?}", heard.rates);
    assert!(end.totals.throttled_calls < 40, "{}", end.totals.throttled_calls);
}

#[tokio::test(start_paused = true)]
async fn errors_that_are_no_throttling_never_raise_the_rate() {
    let mut scene = TestRun::of(&["a"]);
    scene.settings = "[pace]\nrequests_per_second = 40\n[retry]\nmax_attempts = 30\ninitial_interval = \"2s\"\nmultiplier = 1.0";
    let refusal = failure(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi");
    let trouble = std::iter::repeat_n(failure(500, "systemError"), 20);
    let (_, heard, _) = scene.script("a", std::iter::once(refusal).chain(trouble)).play().await;
    assert_eq!(heard.rates.len(), 1, "{:?}", heard.rates);
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_told_with_its_end_and_counts_as_a_refusal() {
    let ban = answer(200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#);
    let (end, heard, _) = TestRun::of(&["a"]).script("a", [ban]).play().await;
    assert_eq!(heard.paused, [Duration::from_mins(5)]);
    assert_eq!((heard.resumed, end.totals.throttled_calls, end.totals.paused_ms), (1, 1, 300_000));
    assert_eq!(heard.brief(), [("a", OutcomeKind::Closed, 1)]);
}

#[tokio::test(start_paused = true)]
async fn rows_in_lasting_trouble_of_their_own_are_no_outage_wherever_they_stand() {
    for (first, step) in [(50, 1), (170, 6)] {
        let mut scene = TestRun::of(&names(200));
        scene.settings = "[pace]\nrequests_per_second = 20";
        for name in names(200).into_iter().skip(first).step_by(step).take(5) {
            scene = scene.script(name, std::iter::repeat_n(failure(500, "systemError"), 100));
        }
        let (end, heard, _) = scene.play().await;
        let count = |kind| heard.outcomes.iter().filter(|o| o.kind == kind).count();
        assert!(end.stop.is_none(), "{:?}", end.stop);
        assert_eq!((count(OutcomeKind::Closed), count(OutcomeKind::Failed)), (195, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_fails_no_row_of_a_list_however_short() {
    for rows in [1, 4] {
        let scene = TestRun::of(&names(rows));
        let now = START.with(|start| *start.get_or_init(Instant::now)).elapsed();
        scene.api.down.lock().unwrap().replace((now, now + Duration::from_mins(2)));
        let (_, heard, _) = scene.play().await;
        assert!(
            heard.outcomes.iter().all(|o| o.kind == OutcomeKind::Closed && o.attempts == 1),
            "{:?}",
            heard.brief()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_pauses_nothing_while_the_old_token_serves() {
    let mut scene = TestRun::of(&names(3000));
    scene.settings = "[pace]\nrequests_per_second = 20";
    let trouble =
        || Err(TokenError::Unavailable(ReplyDetails { code: "http_502".into(), ..ReplyDetails::default() }));
    let short = TokenGrant { token: "t".into(), lifetime: Duration::from_secs(200) };
    scene
        .api
        .token_script
        .lock()
        .unwrap()
        .extend(std::iter::once(Ok(short)).chain((0..5).map(|_| trouble())));
    let (end, _, _) = scene.play().await;
    assert_eq!(end.totals.paused_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_let_go_of_is_no_outage_and_each_attempt_counts() {
    let mut scene = TestRun::of(&names(16));
    scene.api = Arc::new(Simulated { silent: true, ..Simulated::default() });
    scene.signals = vec![(Duration::from_secs(2), Signal::Drain)];
    let (end, heard, _) = scene.play().await;
    assert!(heard.outcomes.iter().all(|o| o.attempts == 1), "{:?}", heard.brief());
    assert_eq!(end.totals.paused_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_the_time_that_dingtalk_names_wins() {
    let mut scene = TestRun::of(&names(6));
    scene.settings = "[pace]\nrequests_per_second = 20";
    let busy =
        || HttpAnswer { status: 503, retry_after: Some(Duration::from_mins(2)), ..HttpAnswer::default() };
    for name in names(6) {
        scene = scene.script(name, [Exchange::Answered(busy())]);
    }
    let (_, _, api) = scene.play().await;
    let calls = api.calls.lock().unwrap();
    assert!(calls.iter().all(|(_, at)| at.as_secs() < 1 || at.as_secs() >= 120), "{calls:?}");
}

fn leases<const N: usize>(lasting: Duration) -> [Arc<Lease>; N] {
    let clock = Clock::tokio();
    std::array::from_fn(|_| Arc::new(Lease::new(clock.clone(), clock.now() + lasting)))
}

#[tokio::test(start_paused = true)]
async fn a_row_that_another_worker_took_over_is_never_sent_and_spends_no_permit() {
    let mut scene = TestRun::of(&["lost", "ours", "lost-later", "ours-later"]);
    scene.settings = "[pace]\nrequests_per_second = 1";
    let [lost, ours, lost_later, ours_later] = leases(Duration::from_secs(30));
    scene.leases = vec![lost.clone(), ours, lost_later.clone(), ours_later.clone()];
    lost.lose();
    for lease in [&lost_later, &ours_later] {
        lease.doubt();
    }
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        lost_later.lose();
        ours_later.renew(Instant::now() + Duration::from_secs(30));
    });
    let (end, heard, api) = scene.play().await;
    let calls: Vec<_> =
        api.calls.lock().unwrap().iter().map(|(name, at)| (name.clone(), at.as_millis())).collect();
    assert_eq!(calls, [("ours".into(), 50), ("ours-later".into(), 20_000)]);
    for (outcome, row) in heard.outcomes.iter().zip(["lost", "ours", "lost-later", "ours-later"]) {
        let told = (outcome.conference_id.as_str(), outcome.kind, outcome.details.message.as_str());
        if row.starts_with("lost") {
            assert_eq!(told, (row, OutcomeKind::NotAttempted, "another worker took it over"));
        } else {
            assert_eq!((told.0, told.1), (row, OutcomeKind::Closed));
        }
    }
    assert_eq!((heard.outcomes.len(), end.taken_over, end.stop.is_none()), (4, 2, true));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_taken_over_while_it_waits_is_not_repeated_and_may_be_the_last() {
    let mut scene = TestRun::of(&["a"]).script("a", [failure(500, "systemError")]);
    scene.settings = "[retry]\ninitial_interval = \"20s\"";
    let [lease] = leases(Duration::from_secs(1));
    scene.leases = vec![lease.clone()];
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        lease.lose();
    });
    let (end, heard, _) = scene.play().await;
    assert_eq!(heard.brief(), [("a", OutcomeKind::NotAttempted, 1)]);
    assert_eq!(heard.outcomes[0].details.message, "not repeated, another worker took it over: systemError");
    assert_eq!((end.totals.calls, end.taken_over), (1, 1));
}
