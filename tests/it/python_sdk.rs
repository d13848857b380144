//! DingTalk's official Python SDK understands the stand-in's answers.

use std::process::Command;

use meeting_closer::{Reply, Sandbox};

use crate::support::fast_sandbox;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_sdk_closes_a_meeting_and_raises_the_documented_codes() {
    let python = std::env::var("MEETING_CLOSER_SDK_PYTHON")
        .expect("tests/run installs the SDK and names its interpreter in MEETING_CLOSER_SDK_PYTHON");
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    sandbox.script("trouble", [Reply::failure(500, "systemError", "systemError:busy")]);
    let endpoint = sandbox.base_url().trim_start_matches("http://").to_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sdk_client.py");
    let mut command = Command::new(python);
    command.arg(script).arg(endpoint);
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let happened: serde_json::Value = serde_json::from_str(&printed)
        .unwrap_or_else(|_| panic!("{printed}{}", String::from_utf8_lossy(&output.stderr)));
    let expected = serde_json::json!({
        "open": {"closed": 200, "cause": "sucess"},
        "again": {"exception": "resourceClose"},
        "guest": {"exception": "permissionError"},
        "trouble": {"exception": "systemError"},
    });
    assert_eq!(happened, expected);
}
