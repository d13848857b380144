//! Answers of DingTalk that halt a run or fail its rows.

use meeting_closer::{Reply, Sandbox};

use super::{LIST, assert_failure};
use crate::support::{Closer, fast_sandbox};

const CLOSE: [&str; 5] = ["close", "--yes", "--progress", "none", "list.csv"];

/// Uses a stand-in, with one request at a time.
fn configured(sandbox: &Sandbox) -> Closer {
    let closer = Closer::at(sandbox).set("PACE__CONCURRENCY", "1").set("PACE__BAN_PAUSE", "200ms");
    closer.file("list.csv", LIST);
    closer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_every_row_would_get_halts_the_run_with_a_reason_and_a_hint() {
    let refused =
        |code: &str, message: &str| Reply::failure(403, &format!("Forbidden.AccessDenied.{code}"), message);
    for (name, reply) in [
        (
            "months_quota_is_spent",
            refused("ApiCountLimitForOrg", "the organisation's calls of this month are used up"),
        ),
        ("address_is_not_allowed", refused("IpNotInWhiteList", "192.0.2.7 is not in the white list")),
        ("permission_is_missing", refused("AccessTokenPermissionDenied", "the app lacks the permission")),
        ("fresh_token_is_refused", Reply::failure(400, "InvalidAuthentication", "不合法的access_token")),
        ("host_is_no_dingtalk_api", Reply::raw(200, r#"{"errcode":404,"errmsg":"请求的URI地址不存在"}"#)),
        (
            "address_is_banned_again_and_again",
            Reply::raw(200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#),
        ),
    ] {
        let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
        for meeting in ["a", "b"] {
            sandbox.script(meeting, vec![reply.clone(); 9]);
        }
        assert_failure(name, &configured(&sandbox), &CLOSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_unknown_refusal_of_five_rows_halts_the_run_with_a_reason_and_a_hint() {
    for (name, reply) in [
        ("every_row_is_refused_without_a_code", Reply::raw(403, "")),
        ("every_row_is_refused_with_a_new_code", Reply::failure(403, "somethingNew", "said by DingTalk")),
        ("call_is_unknown", Reply::failure(404, "InvalidAction.NotFound", "said by DingTalk")),
    ] {
        let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
        let closer = configured(&sandbox);
        let meetings = ["a", "b", "c", "d", "e", "f"];
        closer.list(meetings);
        for meeting in meetings {
            sandbox.script(meeting, [reply.clone()]);
        }
        assert_failure(name, &closer, &CLOSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_an_access_token_halts() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    assert_failure(
        "credentials_are_refused",
        &configured(&sandbox).set("DINGTALK__APP_SECRET", "wrong"),
        &CLOSE,
    )
    .await;
    let corp = configured(&sandbox).set("DINGTALK__AUTH", "corp_token").set("DINGTALK__CORP_ID", "ding1");
    assert_failure("corp_credentials_are_refused", &corp.set("DINGTALK__APP_SECRET", "wrong"), &CLOSE).await;
    let suite = configured(&sandbox)
        .set("DINGTALK__AUTH", "third_party_app")
        .set("DINGTALK__SUITE_KEY", "key")
        .set("DINGTALK__SUITE_SECRET", "wrong")
        .set("DINGTALK__SUITE_TICKET", "ticket")
        .set("DINGTALK__CORP_ID", "ding1");
    assert_failure("suite_credentials_are_refused", &suite, &CLOSE).await;
    sandbox.script_tokens(vec![Reply::failure(500, "unknownError", "未知错误"); 9]);
    assert_failure("token_fails_again_and_again", &configured(&sandbox), &CLOSE).await;
    let unreachable = configured(&sandbox).set("DINGTALK__BASE_URL", "http://127.0.0.1:1");
    assert_failure("connection_is_refused", &unreachable, &CLOSE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_failure_is_reported_with_its_code_and_a_hint() {
    for (name, status, code) in [
        ("host_is_another", 404, "permissionError"),
        ("person_is_unknown", 400, "unknownUserError"),
        ("organisation_is_restricted", 400, "orgAccessForbidden"),
        ("id_is_none", 400, "paramsError"),
        ("dingtalk_has_trouble", 500, "systemError"),
        ("code_is_new", 418, "somethingNew"),
    ] {
        let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
        sandbox.script("a", vec![Reply::failure(status, code, "said by DingTalk"); 9]);
        assert_failure(name, &configured(&sandbox), &CLOSE).await;
    }
}
