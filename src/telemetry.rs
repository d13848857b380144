//! Logs a run's events on standard error, with ids as fields.
//!
//! Invariant: no field is a secret. Access tokens and credentials are types that cannot be printed.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, trace, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::events::{Observe, RunEvent};
use crate::outcome::OutcomeKind;
use crate::wording;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogForm {
    Text,
    Json,
}

/// The level for so many `-q` and `-v`.
pub(crate) const fn level(quiet: u8, verbose: u8) -> LevelFilter {
    match (quiet, verbose) {
        (0, 0) => LevelFilter::INFO,
        (0, 1) => LevelFilter::DEBUG,
        (0, _) => LevelFilter::TRACE,
        (1, _) => LevelFilter::WARN,
        (_, _) => LevelFilter::ERROR,
    }
}

/// Starts to log on standard error. The bar that `terminal` draws there stays below the lines.
pub(crate) fn start(level: LevelFilter, form: LogForm, terminal: &MultiProgress) {
    let ours = Targets::new().with_default(LevelFilter::WARN.min(level)).with_target("meeting_closer", level);
    let terminal = terminal.clone();
    let writer = move || AroundTheBar(terminal.clone());
    let layer = match form {
        LogForm::Text => {
            let ansi = crate::printer::can_redraw()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            fmt::layer().with_writer(writer).with_target(false).with_ansi(ansi).boxed()
        }
        LogForm::Json => {
            fmt::layer().with_writer(writer).json().flatten_event(true).with_target(false).boxed()
        }
    };
    // In tests there is a second start. The first one stays.
    let _ = tracing_subscriber::registry().with(layer.with_filter(ours)).try_init();
}

/// Standard error, with the bar taken away while a line is written.
struct AroundTheBar(MultiProgress);

impl Write for AroundTheBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Logs a run's events.
#[derive(Debug)]
pub(crate) struct RunLog {
    run_id: String,
}

impl RunLog {
    pub(crate) fn new(run_id: &str) -> Self {
        Self { run_id: run_id.to_owned() }
    }
}

impl Observe for RunLog {
    fn observe(&mut self, event: &RunEvent<'_>) {
        let run_id = self.run_id.as_str();
        match event {
            RunEvent::AttemptStarted { request, attempt } => {
                trace!(run_id, conference_id = %request.conference_id, attempt, "sending");
            }
            RunEvent::AttemptEnded { request, attempt, judgement, elapsed } => debug!(
                run_id,
                conference_id = %request.conference_id,
                attempt,
                code = judgement.details.code,
                http_status = judgement.details.http_status,
                request_id = judgement.details.request_id,
                elapsed_ms = millis(*elapsed),
                "attempt ended: {}", judgement.reason
            ),
            RunEvent::RetryPlanned { request, attempt, judgement, wait } => debug!(
                run_id,
                conference_id = %request.conference_id,
                attempt,
                code = judgement.details.code,
                request_id = judgement.details.request_id,
                wait_ms = millis(*wait),
                "retrying in {}: {}", wording::precise_duration(millis(*wait)), judgement.reason
            ),
            RunEvent::RowEnded { outcome } => match outcome.kind {
                OutcomeKind::Failed => warn!(
                    run_id,
                    row = %outcome.origin,
                    conference_id = outcome.conference_id,
                    attempt = outcome.attempts,
                    code = outcome.details.code,
                    request_id = outcome.details.request_id,
                    "not closed: {}", outcome.details.message
                ),
                // The preview of the run shows them.
                OutcomeKind::Invalid => {
                    debug!(run_id, row = %outcome.origin, "invalid row: {}", outcome.details.message);
                }
                OutcomeKind::Closed
                | OutcomeKind::AlreadyClosed
                | OutcomeKind::Duplicate
                | OutcomeKind::Excluded
                | OutcomeKind::Withdrawn
                | OutcomeKind::NotAttempted => {
                    debug!(run_id, row = %outcome.origin, conference_id = outcome.conference_id, "{}", outcome.kind);
                }
            },
            RunEvent::Paused { reason, wait } => {
                warn!(
                    run_id,
                    wait_ms = millis(*wait),
                    "paused for {}: {reason}",
                    wording::duration(millis(*wait))
                );
            }
            RunEvent::Resumed => info!(run_id, "the pause is over"),
            RunEvent::RateChanged { per_second, reason } => {
                info!(run_id, "rate is now {per_second:.1} requests a second: {reason}");
            }
            RunEvent::TokenFetched => debug!(run_id, "fetched an access token"),
            RunEvent::TokenFetchFailed { problem, wait } => {
                warn!(run_id, wait_ms = millis(*wait), "{problem}");
            }
            RunEvent::Stopping { reason } => info!(run_id, "stopping: {reason}"),
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::*;
    use crate::fixtures::close_request;

    use crate::outcome::{Judgement, ReplyDetails, Verdict};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log line of an event, without its time.
    fn line(event: &RunEvent<'_>) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer().with_writer(move || writer.clone()).without_time().with_ansi(false);
        let subscriber =
            tracing_subscriber::registry().with(layer.with_target(false).with_filter(LevelFilter::TRACE));
        tracing::subscriber::with_default(subscriber, || RunLog::new("r").observe(event));
        let line = String::from_utf8(lines.0.lock().clone()).unwrap();
        line.trim().to_owned()
    }

    #[test]
    fn each_event_of_an_attempt_is_one_plain_line_with_its_ids_as_fields() {
        let request = close_request("c", "u");
        let details =
            ReplyDetails { code: "systemError".into(), http_status: Some(500), ..ReplyDetails::default() };
        let judgement = Judgement { verdict: Verdict::Retry, reason: "trouble", details, retry_after: None };
        let (judgement, elapsed, wait) = (&judgement, Duration::from_millis(30), Duration::from_millis(500));
        let request = &request;
        assert_eq!(
            line(&RunEvent::AttemptStarted { request, attempt: 1 }),
            r#"TRACE sending run_id="r" conference_id=c attempt=1"#
        );
        assert_eq!(
            line(&RunEvent::AttemptEnded { request, attempt: 1, judgement, elapsed }),
            r#"DEBUG attempt ended: trouble run_id="r" conference_id=c attempt=1 code="systemError" http_status=500 request_id="" elapsed_ms=30"#
        );
        assert_eq!(
            line(&RunEvent::RetryPlanned { request, attempt: 1, judgement, wait }),
            r#"DEBUG retrying in 500ms: trouble run_id="r" conference_id=c attempt=1 code="systemError" request_id="" wait_ms=500"#
        );
    }

    #[test]
    fn each_event_of_the_run_is_one_plain_line() {
        let wait = Duration::from_mins(5);
        for (event, expected) in [
            (
                RunEvent::Paused { reason: "banned", wait },
                r#"WARN paused for 5m: banned run_id="r" wait_ms=300000"#,
            ),
            (
                RunEvent::RateChanged { per_second: 58.23, reason: "refusals" },
                r#"INFO rate is now 58.2 requests a second: refusals run_id="r""#,
            ),
            (RunEvent::Stopping { reason: "a signal" }, r#"INFO stopping: a signal run_id="r""#),
        ] {
            assert_eq!(line(&event), expected);
        }
    }
}
