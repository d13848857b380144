//! Wrong configurations.

use super::{LIST, assert_failure};
use crate::support::Closer;

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_key_value_and_expectation() {
    for (name, configuration) in [
        ("configuration_is_not_toml", "[dingtalk]\napp_secret = \"hunter2\napp_key = 1\n"),
        ("configuration_has_an_unknown_key", "[pace]\nrqs = 18\n"),
        ("configuration_has_an_unknown_section", "[speed]\nrqs = 18\n"),
        ("configuration_has_text_for_a_number", "[pace]\nconcurrency = \"hunter2\"\n"),
        ("configuration_has_a_number_for_text", "[audit]\ndir = [1]\n"),
        ("base_url_is_none", "[dingtalk]\nbase_url = \"dingtalk\"\n"),
        ("base_url_is_in_the_clear", "[dingtalk]\nbase_url = \"http://api.dingtalk.io\"\n"),
        (
            "base_url_has_a_password_and_no_port",
            "[dingtalk]\nbase_url = \"https://me:hunter2@api.dingtalk.io:x\"\n",
        ),
        ("base_url_has_a_path", "[dingtalk]\nbase_url = \"https://api.dingtalk.io/v1.0\"\n"),
        ("auth_is_unknown", "[dingtalk]\nauth = \"password\"\n"),
        ("request_timeout_is_none", "[dingtalk]\nrequest_timeout = \"10\"\n"),
        ("requests_per_second_is_zero", "[pace]\nrequests_per_second = 0\n"),
        ("burst_is_zero", "[pace]\nburst = 0\n"),
        ("concurrency_is_zero", "[pace]\nconcurrency = 0\n"),
        ("ban_pause_is_none", "[pace]\nban_pause = \"a while\"\n"),
        ("max_attempts_is_zero", "[retry]\nmax_attempts = 0\n"),
        ("multiplier_is_below_one", "[retry]\nmultiplier = 0.5\n"),
        ("max_interval_is_below_the_initial_one", "[retry]\nmax_interval = \"1ms\"\n"),
        ("retry_budget_is_negative", "[retry]\nbudget = -1\n"),
        ("guard_max_meetings_is_negative", "[guard]\nmax_meetings = -1\n"),
        ("guard_max_meetings_is_zero", "[guard]\nmax_meetings = 0\n"),
        ("guard_deadline_is_none", "[guard]\ndeadline = \"soon\"\n"),
        ("queue_url_has_a_wrong_port", "[queue]\nurl = \"redis://:hunter2@127.0.0.1:x\"\n"),
        ("queue_url_is_no_redis", "[queue]\nurl = \"http://:hunter2@127.0.0.1\"\n"),
        ("notify_when_is_unknown", "[notify]\nwhen = \"sometimes\"\n"),
        ("metrics_listen_is_no_address", "[metrics]\nlisten = \"9464\"\n"),
        (
            "secret_and_its_file_are_both_set",
            "[dingtalk]\napp_key = \"k\"\napp_secret = \"hunter2\"\napp_secret_file = \"s\"\n",
        ),
        ("app_key_is_missing", ""),
        ("app_secret_is_missing", "[dingtalk]\napp_key = \"k\"\n"),
        ("app_secret_file_is_missing", "[dingtalk]\napp_key = \"k\"\napp_secret_file = \"secret\"\n"),
        ("app_secret_file_is_empty", "[dingtalk]\napp_key = \"k\"\napp_secret_file = \"empty\"\n"),
        (
            "suite_ticket_is_missing",
            "[dingtalk]\nauth = \"third_party_app\"\nsuite_key = \"k\"\nsuite_secret = \"hunter2\"\n",
        ),
        (
            "corp_id_is_missing",
            "[dingtalk]\nauth = \"corp_token\"\napp_key = \"k\"\napp_secret = \"hunter2\"\n",
        ),
        ("access_token_is_missing", "[dingtalk]\nauth = \"access_token\"\n"),
        (
            "ca_file_is_missing",
            "[dingtalk]\napp_key = \"k\"\napp_secret = \"hunter2\"\nca_file = \"company.pem\"\n",
        ),
        (
            "ca_file_is_not_pem",
            "[dingtalk]\napp_key = \"k\"\napp_secret = \"hunter2\"\nca_file = \"list.csv\"\n",
        ),
        ("hmac_key_file_is_missing", "[audit]\nhmac_key_file = \"key\"\n"),
    ] {
        let closer = Closer::bare();
        closer.file("list.csv", LIST);
        closer.file("empty", "\n");
        closer.file("settings.toml", configuration);
        assert_failure(name, &closer, &["close", "--yes", "--config", "settings.toml", "list.csv"]).await;
        assert!(closer.run_folders().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_layer_is_named() {
    let closer = Closer::bare();
    closer.file("list.csv", LIST);
    assert_failure("configuration_is_missing", &closer, &["close", "--config", "nowhere.toml", "list.csv"])
        .await;
    assert_failure("rate_is_zero", &closer, &["close", "--sandbox", "--rate", "0", "list.csv"]).await;
    assert_failure("deadline_is_none", &closer, &["close", "--sandbox", "--deadline", "soon", "list.csv"])
        .await;
    let closer = closer.set("PACE__RQS", "18");
    assert_failure("variable_is_unknown", &closer, &["close", "--sandbox", "list.csv"]).await;
    let closer = Closer::bare().set("PACE__BURST", "many");
    assert_failure("variable_is_no_number", &closer, &["close", "--sandbox", "list.csv"]).await;
}
