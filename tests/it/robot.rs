//! The group robot: its message, when it sends one, and what happens if DingTalk refuses the message.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use meeting_closer::{Reply, Sandbox};
use serde_json::Value;
use sha2::Sha256;

use crate::receiver::{Received, Receiver};
use crate::support::{Closer, fast_sandbox};

const OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

/// Announces every run.
fn with_robot(sandbox: &Sandbox, robot: &Receiver) -> Closer {
    Closer::at(sandbox)
        .set("NOTIFY__ROBOT_WEBHOOK", &robot.url("robot/send?access_token=hunter4"))
        .set("NOTIFY__WHEN", "always")
}

fn value<'a>(sent: &'a Received, name: &str) -> &'a str {
    sent.query.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
}

/// The message's title and text.
fn message(sent: &Received) -> (String, String) {
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(body["msgtype"], "markdown");
    let text = |name: &str| body["markdown"][name].as_str().unwrap().to_owned();
    (text("title"), text("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_gets_one_signed_message_with_the_result_and_the_command_to_continue() {
    let (sandbox, robot) = (Sandbox::start(fast_sandbox()).await.unwrap(), Receiver::start(200, OK).await);
    let closer =
        with_robot(&sandbox, &robot).set("NOTIFY__ROBOT_SECRET_FILE", "key").set("PACE__CONCURRENCY", "1");
    closer.file("key", "hunter5\n");
    closer.list(["a", "b", "c", "d"]);
    sandbox.script("b", [Reply::failure(404, "permissionError", "x")]);
    sandbox.script("c", [Reply::failure(403, "Forbidden.AccessDenied.ApiCountLimitForOrg", "spent")]);
    let ran = closer.close().await;
    assert_eq!(ran.code, 3, "{}", ran.printed());

    let sent = robot.received();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let sent = &sent[0];
    assert_eq!((sent.path.as_str(), sent.content_type.as_str()), ("/robot/send", "application/json"));
    assert_eq!(value(sent, "access_token"), "hunter4");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hunter5").unwrap();
    mac.update(format!("{}\nhunter5", value(sent, "timestamp")).as_bytes());
    assert_eq!(value(sent, "sign"), BASE64_STANDARD.encode(mac.finalize().into_bytes()));

    let folder = closer.run_folder();
    let id = folder.file_name().unwrap().to_str().unwrap();
    let (title, text) = message(sent);
    assert_eq!(title, "SANDBOX: meeting-closer: exit code 3");
    let continued = ran.stderr.lines().find_map(|line| line.strip_prefix("to continue: ")).unwrap();
    for part in [
        "### SANDBOX: meeting-closer: exit code 3\n\n**a rehearsal, no real meeting was touched**\n\nhalted: DingTalk",
        "> DingTalk would answer the same to every row: spent (Forbidden.AccessDenied.ApiCountLimitForOrg)\n",
        "- closed: 1\n- failed: 1\n- not_attempted: 2\n- rows in: 4\n",
        "- permissionError (1 row): the union id must be the meeting's host;",
        &format!("**To continue**: {continued}\n"),
        &format!("run {id}, in {}", folder.canonicalize().unwrap().display()),
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!text.contains("resourceClose") && !text.contains("- 200"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_lost_message_is_a_warning_without_a_secret_and_keeps_the_exit_code() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    for (status, body, warning) in [
        (
            200,
            r#"{"errcode":310000,"errmsg":"no hunter4 hunter5"}"#,
            "DingTalk refused the message: no [redacted] [redacted] (310000)",
        ),
        (
            502,
            "<html>",
            "the message may or may not have arrived, so it is not sent again: an answer that cannot be read",
        ),
        (0, "", "the message may or may not have arrived, so it is not sent again: the connection broke"),
    ] {
        let robot = Receiver::start(status, body).await;
        let closer = with_robot(&sandbox, &robot).set("NOTIFY__ROBOT_SECRET", "hunter5");
        closer.list(["m"]);
        let ran = closer.run(&["close", "--yes", "-vv", "list.csv"]).await;
        assert_eq!((ran.code, robot.received().len()), (0, 1), "{}", ran.printed());
        let line = ran.stderr.lines().find(|line| line.contains("the group robot's message: ")).unwrap();
        assert!(line.contains(" WARN ") && line.contains("sandbox") && line.contains(warning), "{line}");
        let mut everything = ran.printed();
        for file in std::fs::read_dir(closer.run_folder()).unwrap() {
            everything += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
        }
        assert!(!everything.contains("hunter4") && !everything.contains("hunter5"), "{everything}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successful_run_is_announced_only_if_configured_and_a_sandbox_rehearsal_never() {
    let (sandbox, robot) = (Sandbox::start(fast_sandbox()).await.unwrap(), Receiver::start(200, OK).await);
    for (when, ids, messages) in [
        ("always", ["a", "b"], 1),
        ("failure", ["a", "b"], 0),
        ("failure", ["a", ""], 1),
        ("never", ["a", ""], 0),
    ] {
        let before = robot.received().len();
        let closer = with_robot(&sandbox, &robot).set("NOTIFY__WHEN", when);
        closer.list(ids);
        let ran = closer.close().await;
        assert_eq!(robot.received().len() - before, messages, "{when} {}", ran.printed());
    }
    let before = robot.received().len();
    let closer = with_robot(&sandbox, &robot).set("NOTIFY__ROBOT_SECRET_FILE", "/nowhere");
    closer.list(["a", ""]);
    let ran = closer.run(&["close", "--sandbox", "list.csv"]).await;
    assert_eq!((ran.code, robot.received().len() - before), (1, 0), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_robot_is_reported_before_any_call() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    for (webhook, expected) in [
        (
            "http://oapi.dingtalk.com/robot/send?access_token=hunter4",
            "error: notify.robot_webhook is an http URL: expected https, because http would show its access token to the network\n",
        ),
        (
            "hunter4",
            "error: notify.robot_webhook is no URL: expected https://oapi.dingtalk.com/robot/send?access_token=",
        ),
    ] {
        let closer = Closer::at(&sandbox).set("NOTIFY__ROBOT_WEBHOOK_FILE", "webhook");
        closer.file("webhook", webhook);
        closer.list(["m"]);
        let ran = closer.close().await;
        assert_eq!((ran.code, sandbox.statistics().token_calls), (2, 0), "{}", ran.printed());
        assert!(ran.stderr.starts_with(expected) && !ran.stderr.contains("hunter4"), "{}", ran.printed());
    }
}
