//! What DingTalk can say to all rows, or to some, that ends a run otherwise than well.

use meeting_closer::{Reply, Sandbox};

use super::{LIST, told};
use crate::support::{Closer, fast_sandbox};

const CLOSE: [&str; 5] = ["close", "--yes", "--progress", "none", "list.csv"];

/// At a stand-in, one request after the other.
fn configured(sandbox: &Sandbox) -> Closer {
    let closer = Closer::at(sandbox).set("PACE__CONCURRENCY", "1").set("PACE__BAN_PAUSE", "200ms");
    closer.file("list.csv", LIST);
    closer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_row_would_meet_halts_the_run_with_its_reason_and_what_to_do() {
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
        told(name, &configured(&sandbox), &CLOSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_had_halts_the_run() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    told("credentials_are_refused", &configured(&sandbox).set("DINGTALK__APP_SECRET", "wrong"), &CLOSE).await;
    let corp = configured(&sandbox).set("DINGTALK__AUTH", "corp_token").set("DINGTALK__CORP_ID", "ding1");
    told("corp_credentials_are_refused", &corp.set("DINGTALK__APP_SECRET", "wrong"), &CLOSE).await;
    let suite = configured(&sandbox)
        .set("DINGTALK__AUTH", "third_party_app")
        .set("DINGTALK__SUITE_KEY", "key")
        .set("DINGTALK__SUITE_SECRET", "wrong")
        .set("DINGTALK__SUITE_TICKET", "ticket")
        .set("DINGTALK__CORP_ID", "ding1");
    told("suite_credentials_are_refused", &suite, &CLOSE).await;
    sandbox.script_tokens(vec![Reply::failure(500, "unknownError", "未知错误"); 9]);
    told("token_fails_again_and_again", &configured(&sandbox), &CLOSE).await;
    let nobody = configured(&sandbox).set("DINGTALK__BASE_URL", "http://127.0.0.1:1");
    told("nobody_listens", &nobody, &CLOSE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_fails_for_good_is_told_by_its_code_with_what_to_do() {
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
        told(name, &configured(&sandbox), &CLOSE).await;
    }
}
