//! What DingTalk can answer, and what becomes of the row.

use meeting_closer::{Reply, Sandbox, ScriptedReply};

use crate::support::{Closer, fast_sandbox};

const BAN: &str = r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#;

fn failure(status: u16, code: &str) -> ScriptedReply {
    Reply::failure(status, code, code).into()
}

fn closing(reply: Reply) -> ScriptedReply {
    ScriptedReply { reply, closes: true }
}

/// Outcome, who ended it, code, attempts, exit code, and calls.
type Came<'a> = (&'a str, &'a str, &'a str, &'a str, i32, u64);

/// Runs one meeting through a script; its outcome, who ended it, the code, the attempts, the exit code, and the calls.
async fn play(script: Vec<ScriptedReply>) -> (String, String, String, String, i32, u64) {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m", script);
    let closer =
        Closer::at(&sandbox).set("PACE__BAN_PAUSE", "50ms").set("DINGTALK__REQUEST_TIMEOUT", "300ms");
    closer.list(["m"]);
    let ran = closer.close().await;
    let row = closer.audit().remove(0);
    let column = |name: &str| row[name].clone();
    let claimed = column("outcome");
    if claimed == "closed" || claimed == "already_closed" {
        assert!(sandbox.has_ended("m") || claimed == "already_closed", "{}", ran.said());
    }
    let calls = sandbox.statistics().close_calls;
    (claimed, column("ended_by"), column("code"), column("attempts"), ran.code, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_ends_its_row_truthfully_and_costs_no_call_too_many() {
    let cases: Vec<(Vec<ScriptedReply>, Came<'static>)> = vec![
        (vec![], ("closed", "this_run", "200", "1", 0, 1)),
        (
            vec![closing(Reply::json(200, &serde_json::json!({"code": "200"})))],
            ("closed", "this_run", "200", "1", 0, 1),
        ),
        (vec![failure(400, "resourceClose")], ("already_closed", "earlier", "resourceClose", "1", 0, 1)),
        (vec![failure(400, "orgAccessForbidden")], ("failed", "", "orgAccessForbidden", "1", 1, 1)),
        (vec![failure(400, "unknownUserError")], ("failed", "", "unknownUserError", "1", 1, 1)),
        (vec![failure(400, "paramsTitleError")], ("failed", "", "paramsTitleError", "1", 1, 1)),
        (vec![failure(400, "paramsError")], ("failed", "", "paramsError", "1", 1, 1)),
        (vec![failure(404, "permissionError")], ("failed", "", "permissionError", "1", 1, 1)),
        (
            vec![failure(500, "systemError"), failure(500, "systemError")],
            ("closed", "this_run", "200", "3", 0, 3),
        ),
        (vec![failure(404, "waterLimitError")], ("closed", "this_run", "200", "2", 0, 2)),
        (
            vec![failure(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi")],
            ("closed", "this_run", "200", "2", 0, 2),
        ),
        (
            vec![failure(403, "Forbidden.AccessDenied.ApiCountLimitForOrg")],
            ("not_attempted", "", "Forbidden.AccessDenied.ApiCountLimitForOrg", "1", 3, 1),
        ),
        (
            vec![Reply::raw(200, r#"{"errcode":404,"errmsg":"x"}"#).into()],
            ("not_attempted", "", "404", "1", 3, 1),
        ),
        (vec![Reply::raw(200, BAN).into()], ("closed", "this_run", "200", "1", 0, 2)),
        (
            vec![Reply::raw(403, "<html>blocked").header("content-type", "text/html").into()],
            ("closed", "this_run", "200", "1", 0, 2),
        ),
        (
            vec![Reply::raw(200, r#"{"code":500,"cause":"systemError"}"#).into()],
            ("closed", "this_run", "200", "2", 0, 2),
        ),
        (vec![Reply::raw(502, "<html>").into()], ("closed", "this_run", "200", "2", 0, 2)),
        (vec![closing(Reply::raw(200, ""))], ("already_closed", "unknown", "resourceClose", "2", 0, 2)),
        (vec![closing(Reply::Drop)], ("already_closed", "unknown", "resourceClose", "2", 0, 2)),
        (vec![Reply::Drop.into()], ("closed", "this_run", "200", "2", 0, 2)),
        (vec![Reply::Silence.into()], ("closed", "this_run", "200", "2", 0, 2)),
        (
            vec![
                Reply::raw(307, "")
                    .header("location", "/v1.0/conference/videoConferences/other?unionId=x")
                    .into(),
            ],
            ("failed", "", "http_307", "1", 1, 1),
        ),
        (vec![Reply::raw(200, "x".repeat(200_000)).into()], ("closed", "this_run", "200", "2", 0, 2)),
        (vec![failure(400, "InvalidAuthentication")], ("closed", "this_run", "200", "1", 0, 2)),
        (
            vec![failure(400, "InvalidAuthentication"), failure(400, "InvalidAuthentication")],
            ("not_attempted", "", "InvalidAuthentication", "1", 3, 2),
        ),
        (vec![failure(418, "somethingNew")], ("failed", "", "somethingNew", "1", 1, 1)),
    ];
    let plays = cases.into_iter().map(|(script, expected)| async move {
        let told = format!("{script:?}");
        let (outcome, ended_by, code, attempts, exit, calls) = play(script).await;
        let came: Came<'_> = (&*outcome, &*ended_by, &*code, &*attempts, exit, calls);
        assert_eq!(came, expected, "{}", told.chars().take(300).collect::<String>());
    });
    let plays: Vec<_> = plays.map(tokio::spawn).collect();
    for play in plays {
        play.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_run_out_fail_the_row_with_the_last_answer() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("m", vec![failure(500, "systemError"); 20]);
    let closer = Closer::at(&sandbox).set("RETRY__MAX_ATTEMPTS", "3");
    closer.list(["m"]);
    let ran = closer.close().await;
    let row = &closer.audit()[0];
    assert_eq!((ran.code, row["attempts"].as_str(), sandbox.statistics().close_calls), (1, "3", 3));
    assert_eq!(row["message"], "[sandbox] given up after 3 attempts: systemError");
    assert!(ran.stderr.contains("hint: systemError (1 row): "), "{}", ran.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_row_would_meet_stops_the_run_after_a_handful_of_calls() {
    let mut settings = fast_sandbox();
    settings.quotas.month = Some(30);
    let sandbox = Sandbox::start(settings).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__CONCURRENCY", "4");
    let names: Vec<String> = (0..300).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    let ran = closer.close().await;
    assert_eq!(ran.code, 3, "{}", ran.said());
    let calls = sandbox.statistics().close_calls;
    assert!((31..=34).contains(&calls), "{calls}");
    let summary = closer.summary();
    assert_eq!(summary["outcomes"]["closed"], 30);
    assert_eq!(summary["outcomes"]["not_attempted"], 270);
    assert_eq!(summary["rows_in"], 300);
    assert!(ran.stderr.contains("the month's quota of calls is spent"), "{}", ran.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_silences_the_run_until_its_end() {
    let mut settings = fast_sandbox();
    settings.quotas.address = Some((20, std::time::Duration::from_secs(20)));
    settings.quotas.ban = std::time::Duration::from_secs(2);
    let sandbox = Sandbox::start(settings).await.unwrap();
    // The stand-in's window outlives its ban, so the pause is longer than the window.
    let closer = Closer::at(&sandbox).set("PACE__BAN_PAUSE", "2100ms").set("PACE__CONCURRENCY", "4");
    let names: Vec<String> = (0..25).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    let ran = closer.run(&["close", "--yes", "--deadline", "2500ms", "list.csv"]).await;
    let statistics = sandbox.statistics();
    // The token and 19 closes are let in; what was in flight then hears of the ban, and one probe after the pause.
    assert_eq!(statistics.closed, 19, "{}", ran.said());
    assert!(statistics.calls_while_banned <= 4 + 1, "{statistics}");
    assert!(ran.stderr.contains("paused for 2.1s: this address is banned"), "{}", ran.said());
    assert_eq!(closer.summary()["rows_in"], 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_holds_more_requests_than_the_rate_and_the_burst_allow() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "50");
    let names: Vec<String> = (0..120).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    assert_eq!(closer.close().await.code, 0);
    let statistics = sandbox.statistics();
    assert!(statistics.most_in_a_second <= 51, "{statistics}");
    assert_eq!(statistics.closed, 120);
}
