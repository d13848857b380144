//! The four ways to an access token, and no secret in any output.

use meeting_closer::{Reply, Sandbox};

use crate::support::{Closer, fast_sandbox};

fn configured(sandbox: &Sandbox, keys: &[(&str, &str)]) -> Closer {
    let mut closer = Closer::bare()
        .set("DINGTALK__BASE_URL", &sandbox.base_url())
        .set("PACE__REQUESTS_PER_SECOND", "1000")
        .set("RETRY__INITIAL_INTERVAL", "1ms");
    for (key, value) in keys {
        closer = closer.set(&format!("DINGTALK__{key}"), value);
    }
    closer.list(["m"]);
    closer
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_an_access_token_closes_a_meeting() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let third_party = [
        ("AUTH", "third_party_app"),
        ("SUITE_KEY", "key"),
        ("SUITE_SECRET", "s"),
        ("SUITE_TICKET_FILE", "ticket"),
        ("CORP_ID", "corp"),
    ];
    let corp =
        [("AUTH", "corp_token"), ("APP_KEY", "key"), ("APP_SECRET_FILE", "secret"), ("CORP_ID", "ding/1")];
    let ways: [&[(&str, &str)]; 4] = [
        &[("APP_KEY", "key"), ("APP_SECRET", "s")],
        &third_party,
        &corp,
        &[("AUTH", "access_token"), ("ACCESS_TOKEN_FILE", "token")],
    ];
    for keys in ways {
        let closer = configured(&sandbox, keys);
        closer.file("ticket", "t\n");
        closer.file("secret", "s\n");
        // Another program has stored a token that the first way fetched.
        closer.file("token", "sandbox-token-1\n");
        let ran = closer.close().await;
        assert_eq!(ran.code, 0, "{keys:?} {}", ran.printed());
    }
    assert_eq!(sandbox.statistics().token_calls, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_halt_before_any_meeting_is_asked_for() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = configured(&sandbox, &[("APP_KEY", "key"), ("APP_SECRET", "wrong")]);
    let ran = closer.close().await;
    assert_eq!((ran.code, sandbox.statistics().close_calls), (3, 0), "{}", ran.printed());
    let row = &closer.audit()[0];
    assert_eq!(row["outcome"], "not_attempted");
    assert!(row["message"].contains("无效的clientId"), "{row:?}");
    assert!(ran.stderr.contains("invalidClientIdOrSecret"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_during_the_run_is_fetched_once_more_and_costs_no_attempt() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer =
        configured(&sandbox, &[("APP_KEY", "key"), ("APP_SECRET", "s")]).set("PACE__CONCURRENCY", "8");
    let names: Vec<String> = (0..40).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    let refusal = Reply::failure(400, "InvalidAuthentication", "不合法的access_token");
    sandbox.script("m5", [refusal]);
    let ran = closer.close().await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(closer.audit().iter().all(|row| row["attempts"] == "1"));
    assert_eq!((sandbox.statistics().token_calls, sandbox.statistics().close_calls), (2, 41));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_token_request_is_repeated() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script_tokens([Reply::raw(502, "<html>"), Reply::Drop]);
    let closer = configured(&sandbox, &[("APP_KEY", "key"), ("APP_SECRET", "s")]);
    let ran = closer.close().await;
    assert_eq!((ran.code, sandbox.statistics().token_calls), (0, 3), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_output_or_file_of_a_run() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    // DingTalk repeats the secret in one refusal.
    sandbox.script_tokens([Reply::failure(500, "server.error", "cannot check hunter2")]);
    let closer = configured(&sandbox, &[("APP_KEY", "key"), ("APP_SECRET", "hunter2")]);
    let ran = closer.run(&["close", "--yes", "-vv", "--log-format", "json", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let mut everything = ran.printed();
    for entry in std::fs::read_dir(closer.run_folder()).unwrap() {
        everything += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    assert!(everything.contains("cannot check [redacted]"), "{everything}");
    assert!(!everything.contains("hunter2") && !everything.contains("sandbox-token-"), "{everything}");
}
