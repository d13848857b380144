//! The traces that a run sends to an OpenTelemetry collector.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../it/receiver.rs"]
mod receiver;

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;

use meeting_closer::{Quotas, Reply, Sandbox, SandboxSettings};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status::StatusCode};
use prost::Message as _;
use receiver::Receiver;

/// Runs `close --yes list.csv` in this folder with these variables. Returns the exit code and standard error.
async fn close(folder: &Path, sandbox: &Sandbox, variables: &[(&str, String)]) -> (Option<i32>, String) {
    std::fs::write(folder.join("list.csv"), "conferenceId,unionId\na,host\nb,host\n,host\n").unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_meeting-closer"))
        .args(["close", "--yes", "list.csv"])
        .current_dir(folder)
        .env_clear()
        .envs([
            ("MEETING_CLOSER__DINGTALK__BASE_URL", sandbox.base_url().as_str()),
            ("MEETING_CLOSER__DINGTALK__APP_KEY", "key"),
            ("MEETING_CLOSER__DINGTALK__APP_SECRET", "secret"),
            ("MEETING_CLOSER__RETRY__INITIAL_INTERVAL", "1ms"),
        ])
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

async fn sandbox() -> Sandbox {
    let sandbox =
        Sandbox::start(SandboxSettings { quotas: Quotas::unlimited(), ..SandboxSettings::default() });
    let sandbox = sandbox.await.unwrap();
    sandbox.script(
        "b",
        [Reply::failure(500, "systemError", "x"), Reply::failure(404, "permissionError", "no host")],
    );
    sandbox
}

fn attributes(of: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &KeyValue| match value.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        other => panic!("{other:?}"),
    };
    of.iter().map(|value| (value.key.trim_start_matches("meeting_closer.").to_owned(), text(value))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_a_span_of_the_run_and_one_of_every_row() {
    let (sandbox, collector) = (sandbox().await, Receiver::start(200, "").await);
    let folder = tempfile::tempdir().unwrap();
    let endpoint = collector.url("");
    let (code, printed) = close(folder.path(), &sandbox, &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).await;
    assert_eq!(code, Some(1), "{printed}");

    let (mut spans, mut services) = (vec![], vec![]);
    for sent in collector.received() {
        assert_eq!(
            (sent.path.as_str(), sent.content_type.as_str()),
            ("/v1/traces", "application/x-protobuf")
        );
        assert!(sent.query.is_empty());
        for of in ExportTraceServiceRequest::decode(sent.body).unwrap().resource_spans {
            services.push(attributes(&of.resource.unwrap().attributes)["service.name"].clone());
            spans.extend(of.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    assert!(services.iter().all(|name| name == "meeting-closer"), "{services:?}");
    let (runs, rows): (Vec<Span>, Vec<Span>) = spans.into_iter().partition(|span| span.name == "run");
    assert_eq!((runs.len(), rows.len()), (1, 3));
    let run = &runs[0];
    let run_id = std::fs::read_dir(folder.path().join("audit")).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        entry.path().is_dir().then(|| entry.file_name().into_string().unwrap())
    });
    let of_run = attributes(&run.attributes);
    assert_eq!(Some(&of_run["run_id"]), run_id.as_ref());
    assert_eq!((of_run["exit_code"].as_str(), of_run["sandbox"].as_str()), ("1", "true"));
    assert_eq!(run.status.as_ref().unwrap().code(), StatusCode::Error);

    for (conference_id, outcome, attempts, code, status) in [
        ("a", "closed", "1", "200", StatusCode::Unset),
        ("b", "failed", "2", "permissionError", StatusCode::Error),
        ("", "invalid", "0", "", StatusCode::Unset),
    ] {
        let of_row = |span: &&Span| attributes(&span.attributes)["conference_id"] == conference_id;
        let row = rows.iter().find(of_row).unwrap();
        let found = attributes(&row.attributes);
        assert_eq!(Some(&found["run_id"]), run_id.as_ref());
        let found = (found["outcome"].as_str(), found["attempts"].as_str(), found["code"].as_str());
        assert_eq!(found, (outcome, attempts, code));
        assert_eq!(row.status.as_ref().map_or(StatusCode::Unset, Status::code), status);
        assert_eq!((&row.trace_id, &row.parent_span_id), (&run.trace_id, &run.span_id));
        assert!(run.start_time_unix_nano <= row.start_time_unix_nano);
        assert!(row.end_time_unix_nano <= run.end_time_unix_nano);
        let asked = row.end_time_unix_nano > row.start_time_unix_nano;
        assert_eq!(asked, attempts != "0", "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_unless_the_environment_names_a_collector() {
    let (sandbox, collector) = (sandbox().await, Receiver::start(200, "").await);
    let folder = tempfile::tempdir().unwrap();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""));
    for variables in [vec![], vec![endpoint, ("OTEL_SDK_DISABLED", "true".into())]] {
        let (code, printed) = close(folder.path(), &sandbox, &variables).await;
        assert_eq!((code, collector.received().len()), (Some(1), 0), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_collector_or_a_bad_address_is_a_warning_and_keeps_the_exit_code() {
    let (sandbox, collector) = (sandbox().await, Receiver::start(400, "").await);
    let folder = tempfile::tempdir().unwrap();
    for (endpoint, warning) in [
        (collector.url("").replace("://", "://me:hunter2@"), "cannot export the last traces: "),
        ("http://me:hunter2@no where".into(), "cannot export traces: "),
    ] {
        let (code, printed) =
            close(folder.path(), &sandbox, &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).await;
        assert_eq!(code, Some(1), "{printed}");
        assert!(
            printed.lines().any(|line| line.contains(" WARN sandbox: ") && line.contains(warning)),
            "{printed}"
        );
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
