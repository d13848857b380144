//! Exports a run's traces over OTLP: one span for the run, and in it one span for each row, from its first request to its
//! outcome. Only the feature `otlp` builds this.
//!
//! Invariant: nothing is exported unless the environment names a collector, and no failure of the collector changes a run.

use std::env;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::Timestamp;
use opentelemetry::trace::{
    Span as _, SpanBuilder, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::events::{Observe, RunEvent};
use crate::outcome::{Outcome, OutcomeKind};

/// How long one export may take, and the last one at the run's end.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Without one of these, nothing is exported.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The traces of one run.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    run: Context,
    run_id: String,
}

impl Traces {
    /// Starts the run's span if the environment names a collector. `OTEL_SDK_DISABLED=true` turns it off. OpenTelemetry itself
    /// reads its other variables: headers, sampling, batches, the service's name.
    pub(crate) fn start(run_id: &str, sandbox: bool, clock: &Clock) -> Result<Option<Self>, String> {
        let is = |name: &str, value: &str| env::var(name).is_ok_and(|text| text.eq_ignore_ascii_case(value));
        let named = |name: &&str| env::var(name).is_ok_and(|text| !text.is_empty());
        if is("OTEL_SDK_DISABLED", "true") || !ENDPOINTS.iter().any(named) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().with_http_client(Transport::new()?);
        // The exporter's error shows the collector's address, which can contain a password.
        let exporter = exporter.build().map_err(|_| {
            format!("{} or another variable of the exporter cannot be used", ENDPOINTS.join(", "))
        })?;
        let mut resource = Resource::builder();
        if env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("meeting-closer");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("meeting-closer");
        let run = tracer.span_builder("run").with_start_time(system_time(clock.timestamp()));
        let run = run.with_attributes([
            KeyValue::new("meeting_closer.run_id", run_id.to_owned()),
            KeyValue::new("meeting_closer.sandbox", sandbox),
        ]);
        let run = Context::new().with_span(tracer.build_with_context(run, &Context::new()));
        Ok(Some(Self { provider, tracer, run, run_id: run_id.to_owned() }))
    }

    /// The observer that makes a span of every row.
    pub(crate) fn observer(&self) -> impl Observe + use<> {
        RowSpans { tracer: self.tracer.clone(), run: self.run.clone(), run_id: self.run_id.clone() }
    }

    /// Ends the run's span and exports the rest. It takes no longer than 5 seconds.
    pub(crate) async fn end(self, exit_code: u8, clock: &Clock) -> Result<(), String> {
        let span = self.run.span();
        span.set_attribute(KeyValue::new("meeting_closer.exit_code", i64::from(exit_code)));
        if exit_code != 0 {
            span.set_status(Status::error(format!("exit code {exit_code}")));
        }
        span.end_with_timestamp(system_time(clock.timestamp()));
        let provider = self.provider;
        let export = tokio::task::spawn_blocking(move || {
            // A shutdown alone would not report a failure. After a failure, it is not waited for.
            let flushed = provider.force_flush();
            let _ = provider.shutdown_with_timeout(if flushed.is_ok() { MAX_TIME } else { Duration::ZERO });
            flushed
        });
        export.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

struct RowSpans {
    tracer: SdkTracer,
    run: Context,
    run_id: String,
}

impl Observe for RowSpans {
    fn observe(&mut self, event: &RunEvent<'_>) {
        match event {
            RunEvent::RowEnded { outcome } => {
                let row = row(&self.tracer, outcome, &self.run_id);
                let mut span = self.tracer.build_with_context(row, &self.run);
                if outcome.kind == OutcomeKind::Failed {
                    span.set_status(Status::error(outcome.details.message.clone()));
                }
                span.end_with_timestamp(system_time(outcome.finished_at));
            }
            RunEvent::AttemptStarted { .. }
            | RunEvent::AttemptEnded { .. }
            | RunEvent::RetryPlanned { .. }
            | RunEvent::Paused { .. }
            | RunEvent::Resumed
            | RunEvent::RateChanged { .. }
            | RunEvent::TokenFetched
            | RunEvent::TokenFetchFailed { .. }
            | RunEvent::Stopping { .. } => {}
        }
    }
}

fn row(tracer: &SdkTracer, outcome: &Outcome, run_id: &str) -> SpanBuilder {
    let start = outcome.first_attempt_at.unwrap_or(outcome.finished_at);
    tracer.span_builder("row").with_start_time(system_time(start)).with_attributes([
        KeyValue::new("meeting_closer.run_id", run_id.to_owned()),
        KeyValue::new("meeting_closer.conference_id", outcome.conference_id.clone()),
        KeyValue::new("meeting_closer.outcome", outcome.kind.name()),
        KeyValue::new("meeting_closer.attempts", i64::from(outcome.attempts)),
        KeyValue::new("meeting_closer.code", outcome.details.code.clone()),
    ])
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

/// The exporter's requests, over the HTTP client that DingTalk's requests use: there is one TLS stack.
#[derive(Debug)]
struct Transport {
    client: reqwest::Client,
    /// The exporter calls from its own thread.
    runtime: Handle,
}

impl Transport {
    fn new() -> Result<Self, String> {
        // A second call fails because the first one has installed the provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(MAX_TIME).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(|error| error.to_string())?;
        Ok(Self { client, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = async move {
            let answer = client.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(answer.bytes().await?);
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            Ok(response)
        };
        // The collector's URL can contain a password.
        self.runtime.spawn(sent).await?.map_err(|error: reqwest::Error| error.without_url().into())
    }
}
