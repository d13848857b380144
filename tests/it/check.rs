//! `check`: each line passes and fails, and the command closes and leaves nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::SignedDuration;
use meeting_closer::{Clock, Reply, Sandbox};
use serde_json::json;

use crate::network::tls_front;
use crate::support::{Closer, CommandOutput, fast_sandbox};

/// The only line about an item.
pub(crate) fn line<'a>(ran: &'a CommandOutput, about: &str) -> &'a str {
    let is_about = |line: &&str| line.get(7..).is_some_and(|rest| rest.starts_with(&format!("{about}: ")));
    let lines: Vec<&str> = ran.stdout.lines().filter(is_about).collect();
    assert_eq!(lines.len(), 1, "{about}: {}", ran.printed());
    lines[0]
}

#[track_caller]
fn is_wrong(ran: &CommandOutput, code: i32, about: &str, part: &str) {
    let line = line(ran, about);
    assert!(
        line.starts_with("wrong  ") && line.contains(part) && line.contains("; hint: "),
        "{}",
        ran.printed()
    );
    assert_eq!(ran.code, code, "{}", ran.printed());
}

#[track_caller]
fn is_ok(ran: &CommandOutput, about: &str, part: &str) {
    let line = line(ran, about);
    assert!(line.starts_with("ok     ") && line.contains(part), "{}", ran.printed());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_prints_one_line_per_item_and_closes_and_leaves_nothing() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox)
        .set("METRICS__TEXTFILE", "run.prom")
        .set("AUDIT__HMAC_KEY_FILE", "key")
        .set("NOTIFY__ROBOT_WEBHOOK", "https://oapi.dingtalk.com/robot/send?access_token=hunter2");
    closer.file("key", "k\n");
    let ran = closer.run(&["check", "--audit-dir", "kept"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.printed());
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let expected = [
        "ok     configuration: no file, and 9 environment variables".to_owned(),
        "ok     credentials: internal_app is complete".to_owned(),
        "ok     robot: its secrets are readable".to_owned(),
        "ok     hmac key: key is readable".to_owned(),
        "ok     audit: kept does not exist yet; it can be created, written and locked".to_owned(),
        line(&ran, "room").to_owned(),
        "ok     metrics: run.prom can be written".to_owned(),
        format!(
            "ok     dingtalk: {} answers: it is the sandbox, and closes no real meeting",
            sandbox.base_url()
        ),
        "ok     clock: agrees with DingTalk's".to_owned(),
        "ok     token: fetched with internal_app, valid for 2h; only a close request can prove the permission to close meetings"
            .to_owned(),
    ];
    assert_eq!(lines, expected);
    is_ok(&ran, "room", " free; 5000 rows need about 10.00 MB");
    let statistics = sandbox.statistics();
    assert_eq!((statistics.token_calls, statistics.close_calls), (1, 0));
    assert_eq!(names(closer.folder.path()), ["key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_the_only_line_of_check() {
    let closer = Closer::bare();
    closer.file("settings.toml", "[pace]\nrate = 1\n");
    let ran = closer.run(&["check", "--config", "settings.toml"]).await;
    is_wrong(&ran, 2, "configuration", "rate");
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_secret_is_reported_with_its_key_and_the_rest_is_still_checked() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::bare()
        .set("DINGTALK__BASE_URL", &sandbox.base_url())
        .set("DINGTALK__APP_KEY", "key")
        .set("DINGTALK__APP_SECRET_FILE", "missing")
        .set("NOTIFY__ROBOT_SECRET_FILE", "missing too")
        .set("AUDIT__HMAC_KEY_FILE", "missing three");
    let ran = closer.run(&["check"]).await;
    is_wrong(&ran, 2, "credentials", "cannot read missing, which dingtalk.app_secret_file names");
    is_wrong(&ran, 2, "robot", "cannot read missing too, which notify.robot_secret_file names");
    is_wrong(&ran, 2, "hmac key", "cannot read missing three, which audit.hmac_key_file names");
    is_ok(&ran, "dingtalk", " answers");
    assert!(!ran.stdout.contains("token"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_fetches_a_token_in_every_way_and_shows_no_secret() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let ways: [&[(&str, &str)]; 4] = [
        &[("APP_KEY", "key"), ("APP_SECRET", "hunter2")],
        &[
            ("AUTH", "third_party_app"),
            ("SUITE_KEY", "key"),
            ("SUITE_SECRET", "hunter2"),
            ("SUITE_TICKET", "hunter2"),
            ("CORP_ID", "corp"),
        ],
        &[("AUTH", "corp_token"), ("APP_KEY", "key"), ("APP_SECRET", "hunter2"), ("CORP_ID", "corp")],
        &[("AUTH", "access_token"), ("ACCESS_TOKEN", "hunter2")],
    ];
    for way in ways {
        let base = Closer::bare().set("DINGTALK__BASE_URL", &sandbox.base_url());
        let closer =
            way.iter().fold(base, |closer, (key, value)| closer.set(&format!("DINGTALK__{key}"), value));
        let ran = closer.run(&["check", "-vv"]).await;
        assert_eq!(ran.code, 0, "{}", ran.printed());
        is_ok(
            &ran,
            "token",
            if way[0].1 == "access_token" {
                "only a request can prove that it is valid"
            } else {
                "valid for 2h"
            },
        );
        let printed = ran.printed();
        assert!(!printed.contains("hunter2") && !printed.contains("sandbox-token-"), "{printed}");
    }
    assert_eq!(sandbox.statistics().token_calls, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_dingtalk_has_its_hint() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let ran = Closer::at(&sandbox).set("DINGTALK__APP_SECRET", "wrong").run(&["check"]).await;
    is_wrong(
        &ran,
        3,
        "token",
        "(invalidClientIdOrSecret); hint: check dingtalk.app_key and dingtalk.app_secret",
    );
    assert!(line(&ran, "token").ends_with("the account's own region"), "{}", ran.printed());
    for (code, hint) in [
        ("Forbidden.AccessDenied.AccessTokenPermissionDenied", "grant the app the permission"),
        ("Forbidden.AccessDenied.IpNotInWhiteList", "add this machine's outgoing address"),
    ] {
        sandbox.script_tokens([Reply::failure(403, code, "no")]);
        let ran = closer.run(&["check"]).await;
        is_wrong(&ran, 3, "token", &format!("({code}); hint: {hint}"));
        is_ok(&ran, "dingtalk", " answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_distinguishes_a_wrong_host_a_ban_and_a_server_error() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    for (reply, part) in [
        (Reply::json(200, &json!({"errcode": 404, "errmsg": "x"})), "hint: the address is no DingTalk API"),
        (Reply::raw(200, "<html>").header("content-type", "text/html"), "is no DingTalk API (HTTP 200)"),
        (Reply::raw(404, "{}"), "is no DingTalk API (HTTP 404)"),
        (Reply::ban(), "has banned this address"),
        (Reply::raw(502, "<html>"), "has trouble (HTTP 502)"),
        (Reply::Drop, "the connection broke"),
    ] {
        sandbox.script_tokens([reply]);
        let ran = closer.run(&["check"]).await;
        is_wrong(&ran, 3, "dingtalk", part);
        assert!(!ran.stdout.contains("token:") && !ran.stdout.contains("clock:"), "{}", ran.printed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_distinguishes_no_connection_no_answer_and_an_untrusted_certificate() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at = |url: &str| {
        Closer::bare()
            .set("DINGTALK__BASE_URL", url)
            .set("DINGTALK__APP_KEY", "k")
            .set("DINGTALK__APP_SECRET", "s")
            .set("DINGTALK__REQUEST_TIMEOUT", "50ms")
    };
    let ran = at(&format!("http://{free}")).run(&["check"]).await;
    is_wrong(&ran, 3, "dingtalk", "could not connect: ");

    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script_tokens([Reply::Silence]);
    let ran = at(&sandbox.base_url()).run(&["check"]).await;
    is_wrong(&ran, 3, "dingtalk", "no answer in time");

    let (port, authority) = tls_front(&sandbox).await;
    let closer = at(&format!("https://localhost:{port}")).set("DINGTALK__REQUEST_TIMEOUT", "10s");
    closer.file("ca.pem", authority);
    let ran = closer.run(&["check"]).await;
    is_wrong(&ran, 3, "dingtalk", "the certificate is not trusted: ");
    assert!(line(&ran, "dingtalk").contains("dingtalk.ca_file"), "{}", ran.printed());
    let ran = closer.set("DINGTALK__CA_FILE", "ca.pem").run(&["check"]).await;
    is_ok(&ran, "dingtalk", &format!("https://localhost:{port} answers"));
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let ran = at("https://localhost:1").set("DINGTALK__CA_FILE", "missing.pem").run(&["check"]).await;
    is_wrong(&ran, 2, "dingtalk", "cannot read missing.pem, which dingtalk.ca_file names");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_compares_the_clock_with_dingtalks() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    for (ahead, code, start) in [
        (SignedDuration::from_secs(90), 0, "warn   clock: 1m "),
        (SignedDuration::from_secs(-90), 0, "warn   clock: 1m "),
        (SignedDuration::from_hours(2), 2, "wrong  clock: "),
        (SignedDuration::from_hours(-2), 2, "wrong  clock: "),
    ] {
        let date = (Clock::System.timestamp() - ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let grant = Reply::json(200, &json!({"accessToken": "t", "expireIn": 7200}));
        sandbox.script_tokens([grant.header("date", &date)]);
        let ran = closer.run(&["check"]).await;
        let line = line(&ran, "clock");
        let direction = if ahead.is_negative() { " behind DingTalk's" } else { " ahead of DingTalk's" };
        assert!(line.starts_with(start) && line.contains(direction), "{}", ran.printed());
        assert!(line.contains("hint: let the machine keep its time"), "{}", ran.printed());
        assert_eq!(ran.code, code, "{}", ran.printed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_a_folder_that_is_not_writable_not_private_or_full() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.file("file", "");
    let ran = closer.run(&["check", "--audit-dir", "file"]).await;
    is_wrong(&ran, 2, "audit", "cannot write the audit to file: ");
    assert!(!ran.stdout.contains("room:"), "{}", ran.printed());

    let folder = closer.folder.path().join("audit");
    std::fs::create_dir(&folder).unwrap();
    let mode = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o755);
    let ran = closer.run(&["check"]).await;
    assert!(line(&ran, "audit").starts_with("warn   ") && ran.code == 0, "{}", ran.printed());
    mode(0o700);
    let ran = closer.run(&["check"]).await;
    is_ok(&ran, "audit", "audit can be written and locked");
    assert!(names(&folder).is_empty());

    let ran = Closer::at(&sandbox).set("GUARD__MAX_MEETINGS", "1000000000000000").run(&["check"]).await;
    is_wrong(&ran, 2, "room", "1000000000000000 rows need about ");
    let ran = Closer::at(&sandbox).set("METRICS__TEXTFILE", "missing/run.prom").run(&["check"]).await;
    is_wrong(&ran, 2, "metrics", "cannot write missing/run.prom, which metrics.textfile names");
}
