//! Every answer of DingTalk, and the outcome of its row.

use meeting_closer::{Reply, Sandbox, ScriptedReply};

use crate::support::{Closer, fast_sandbox};

const BAN: &str = r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#;

fn failure(status: u16, code: &str) -> ScriptedReply {
    Reply::failure(status, code, code).into()
}

fn closing(reply: Reply) -> ScriptedReply {
    ScriptedReply { reply, closes: true }
}

/// The result of a run with one row.
#[derive(Debug, PartialEq)]
struct RowResult {
    outcome: String,
    ended_by: String,
    code: String,
    attempts: u32,
    exit_code: i32,
    calls: u64,
}

impl RowResult {
    fn new(outcome: &str, ended_by: &str, code: &str, attempts: u32, exit_code: i32, calls: u64) -> Self {
        let (outcome, ended_by, code) = (outcome.into(), ended_by.into(), code.into());
        Self { outcome, ended_by, code, attempts, exit_code, calls }
    }
}

/// Closes one meeting that answers with this script.
async fn play(script: Vec<ScriptedReply>) -> RowResult {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m", script);
    let closer =
        Closer::at(&sandbox).set("PACE__BAN_PAUSE", "50ms").set("DINGTALK__REQUEST_TIMEOUT", "300ms");
    closer.list(["m"]);
    let ran = closer.close().await;
    let row = closer.audit().remove(0);
    if row["outcome"] == "closed" {
        assert!(sandbox.has_ended("m"), "{}", ran.printed());
    }
    let calls = sandbox.statistics().close_calls;
    let attempts = row["attempts"].parse().unwrap();
    RowResult::new(&row["outcome"], &row["ended_by"], &row["code"], attempts, ran.code, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_gives_the_right_outcome_and_costs_no_extra_call() {
    let cases: Vec<(Vec<ScriptedReply>, RowResult)> = vec![
        (vec![], RowResult::new("closed", "this_run", "200", 1, 0, 1)),
        (
            vec![closing(Reply::json(200, &serde_json::json!({"code": "200"})))],
            RowResult::new("closed", "this_run", "200", 1, 0, 1),
        ),
        (
            vec![failure(400, "resourceClose")],
            RowResult::new("already_closed", "earlier", "resourceClose", 1, 0, 1),
        ),
        (
            vec![failure(400, "orgAccessForbidden")],
            RowResult::new("failed", "", "orgAccessForbidden", 1, 1, 1),
        ),
        (vec![failure(400, "unknownUserError")], RowResult::new("failed", "", "unknownUserError", 1, 1, 1)),
        (vec![failure(400, "paramsTitleError")], RowResult::new("failed", "", "paramsTitleError", 1, 1, 1)),
        (vec![failure(400, "paramsError")], RowResult::new("failed", "", "paramsError", 1, 1, 1)),
        (vec![failure(404, "permissionError")], RowResult::new("failed", "", "permissionError", 1, 1, 1)),
        (
            vec![failure(500, "systemError"), failure(500, "systemError")],
            RowResult::new("closed", "this_run", "200", 3, 0, 3),
        ),
        (vec![failure(404, "waterLimitError")], RowResult::new("closed", "this_run", "200", 2, 0, 2)),
        (
            vec![failure(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi")],
            RowResult::new("closed", "this_run", "200", 2, 0, 2),
        ),
        (
            vec![failure(403, "Forbidden.AccessDenied.ApiCountLimitForOrg")],
            RowResult::new("not_attempted", "", "Forbidden.AccessDenied.ApiCountLimitForOrg", 1, 3, 1),
        ),
        (
            vec![Reply::raw(200, r#"{"errcode":404,"errmsg":"x"}"#).into()],
            RowResult::new("not_attempted", "", "404", 1, 3, 1),
        ),
        (vec![Reply::raw(200, BAN).into()], RowResult::new("closed", "this_run", "200", 1, 0, 2)),
        (
            vec![Reply::raw(403, "<html>blocked").header("content-type", "text/html").into()],
            RowResult::new("closed", "this_run", "200", 1, 0, 2),
        ),
        (
            vec![Reply::raw(200, r#"{"code":500,"cause":"systemError"}"#).into()],
            RowResult::new("closed", "this_run", "200", 2, 0, 2),
        ),
        (vec![Reply::raw(502, "<html>").into()], RowResult::new("closed", "this_run", "200", 2, 0, 2)),
        (
            vec![closing(Reply::raw(200, ""))],
            RowResult::new("already_closed", "unknown", "resourceClose", 2, 0, 2),
        ),
        (vec![closing(Reply::Drop)], RowResult::new("already_closed", "unknown", "resourceClose", 2, 0, 2)),
        (vec![Reply::Drop.into()], RowResult::new("closed", "this_run", "200", 2, 0, 2)),
        (vec![Reply::Silence.into()], RowResult::new("closed", "this_run", "200", 2, 0, 2)),
        (
            vec![
                Reply::raw(307, "")
                    .header("location", "/v1.0/conference/videoConferences/other?unionId=x")
                    .into(),
            ],
            RowResult::new("failed", "", "http_307", 1, 1, 1),
        ),
        (
            vec![Reply::raw(200, "x".repeat(200_000)).into()],
            RowResult::new("closed", "this_run", "200", 2, 0, 2),
        ),
        (vec![failure(400, "InvalidAuthentication")], RowResult::new("closed", "this_run", "200", 1, 0, 2)),
        (
            vec![failure(400, "InvalidAuthentication"), failure(400, "InvalidAuthentication")],
            RowResult::new("not_attempted", "", "InvalidAuthentication", 1, 3, 2),
        ),
        (vec![failure(418, "somethingNew")], RowResult::new("failed", "", "somethingNew", 1, 1, 1)),
    ];
    let plays = cases.into_iter().map(|(script, expected)| async move {
        let shown: String = format!("{script:?}").chars().take(300).collect();
        assert_eq!(play(script).await, expected, "{shown}");
    });
    let plays: Vec<_> = plays.map(tokio::spawn).collect();
    for play in plays {
        play.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_attempts_left_fails_with_the_last_answer() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m", vec![failure(500, "systemError"); 20]);
    let closer = Closer::at(&sandbox).set("RETRY__MAX_ATTEMPTS", "3");
    closer.list(["m"]);
    let ran = closer.close().await;
    let row = &closer.audit()[0];
    assert_eq!((ran.code, row["attempts"].as_str(), sandbox.statistics().close_calls), (1, "3", 3));
    assert_eq!(row["message"], "[sandbox] given up after 3 attempts: systemError");
    assert!(ran.stderr.contains("hint: systemError (1 row): "), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_every_row_would_get_halts_the_run_after_a_few_calls() {
    let mut settings = fast_sandbox();
    settings.quotas.month = Some(30);
    let sandbox = Sandbox::start(settings).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__CONCURRENCY", "4");
    let names: Vec<String> = (0..300).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    let ran = closer.close().await;
    assert_eq!(ran.code, 3, "{}", ran.printed());
    let calls = sandbox.statistics().close_calls;
    assert!((31..=34).contains(&calls), "{calls}");
    let summary = closer.summary();
    assert_eq!(summary["outcomes"]["closed"], 30);
    assert_eq!(summary["outcomes"]["not_attempted"], 270);
    assert_eq!(summary["rows_in"], 300);
    assert!(ran.stderr.contains("the month's quota of calls is spent"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_a_known_code_for_every_row_halts_the_run_after_a_few_calls() {
    for (reply, code) in [
        (Reply::raw(403, ""), "http_403"),
        (Reply::raw(401, "{}"), "http_401"),
        (Reply::failure(404, "InvalidAction.NotFound", "no such action"), "InvalidAction.NotFound"),
        (Reply::failure(403, "somethingNew", "new"), "somethingNew"),
        (Reply::raw(302, "").header("location", "/login"), "http_302"),
    ] {
        let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
        let closer = Closer::at(&sandbox).set("PACE__CONCURRENCY", "4");
        let names: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
        closer.list(names.iter().map(String::as_str));
        for name in &names {
            sandbox.script(name, [reply.clone()]);
        }
        let ran = closer.close().await;
        let (calls, summary) = (sandbox.statistics().close_calls, closer.summary());
        assert_eq!(ran.code, 3, "{}", ran.printed());
        assert!((5..=5 + 4).contains(&calls), "{calls}");
        assert_eq!(
            (&summary["reason"], &summary["outcomes"]["not_attempted"]),
            (&"halted".into(), &50.into())
        );
        assert_eq!(summary["codes"][code], calls, "{summary}");
        assert!(ran.stderr.contains(&format!("hint: {code}")), "{}", ran.printed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_halted_for_an_unknown_refusal_asks_the_refused_rows_again_when_it_continues() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__CONCURRENCY", "1");
    let names: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    for name in &names[..5] {
        sandbox.script(name, [Reply::raw(403, "")]);
    }
    let halted = closer.close().await;
    assert_eq!((halted.code, sandbox.statistics().close_calls), (3, 5), "{}", halted.printed());
    let continued = closer.close().await;
    assert_eq!(continued.code, 0, "{}", continued.printed());
    let statistics = sandbox.statistics();
    assert_eq!((statistics.close_calls, statistics.closed), (55, 50));
    assert_eq!(closer.summary()["outcomes"]["closed"], 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_refusal_has_no_known_code_fail_where_other_rows_are_closed() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__CONCURRENCY", "1");
    for refused in [&["a", "b", "c", "d"][..], &["x", "y", "z"]] {
        closer.list(refused.iter().copied().chain(["open"].into_iter().filter(|_| refused.len() == 4)));
        for name in refused {
            sandbox.script(name, [Reply::raw(403, "")]);
        }
        let ran = closer.run(&["close", "--yes", "--run-id", refused[0], "list.csv"]).await;
        let summary = crate::support::summary_of(&closer.folder.path().join("audit").join(refused[0]));
        assert_eq!(ran.code, 1, "{}", ran.printed());
        assert_eq!(summary["outcomes"]["failed"], refused.len());
        assert_eq!(summary["calls"], summary["rows_in"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_pauses_the_run_until_the_ban_ends() {
    let mut settings = fast_sandbox();
    settings.quotas.address = Some((20, std::time::Duration::from_secs(20)));
    settings.quotas.ban = std::time::Duration::from_secs(2);
    let sandbox = Sandbox::start(settings).await.unwrap();
    // The stand-in's window is longer than its ban, so the pause is longer than the window.
    let closer = Closer::at(&sandbox).set("PACE__BAN_PAUSE", "2100ms").set("PACE__CONCURRENCY", "4");
    let names: Vec<String> = (0..25).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    let ran = closer.run(&["close", "--yes", "--deadline", "2500ms", "list.csv"]).await;
    let statistics = sandbox.statistics();
    // The stand-in accepts the question whether it is the stand-in, the token and 18 closes. The requests in flight get the ban page, and so does one probe.
    assert_eq!(statistics.closed, 18, "{}", ran.printed());
    assert!(statistics.calls_while_banned <= 4 + 1, "{statistics}");
    assert!(ran.stderr.contains("paused for 2.1s: this address is banned"), "{}", ran.printed());
    assert_eq!(closer.summary()["rows_in"], 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_has_more_requests_than_the_rate_and_the_burst_allow() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "50");
    let names: Vec<String> = (0..120).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    assert_eq!(closer.close().await.code, 0);
    let statistics = sandbox.statistics();
    assert!(statistics.most_in_a_second <= 51, "{statistics}");
    assert_eq!(statistics.closed, 120);
}
