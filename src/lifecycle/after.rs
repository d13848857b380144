//! What follows a run: metrics in a textfile, a message from the group robot, traces.
//!
//! Invariant: nothing here changes the exit code. Every failure is only a warning.

use std::io::Write as _;

use tracing::{debug, warn};

use super::finish::{Finished, exit_code};
use super::notice::Notice;
use super::signals;
use super::start::StartedRun;
use crate::atomic_file;
use crate::clock::Clock;
use crate::dingtalk::{self, Message, Robot};
use crate::metrics::Metrics;
use crate::outcome::OutcomeKind;
use crate::run::RunEnd;
use crate::settings::Settings;

/// The robot's message about a run.
pub(crate) fn notice(finished: &Finished, end: &RunEnd, run: &StartedRun, is_rehearsal: bool) -> Notice {
    let code = exit_code(finished);
    let folder = std::path::absolute(&run.folder).unwrap_or_else(|_| run.folder.clone());
    let (outcomes, codes, detail) = match finished {
        Ok((_, summary)) => {
            let rows = |kind: OutcomeKind| summary.outcomes.get(kind.name()).copied().unwrap_or(0);
            let codes = summary.codes.clone().into_iter().filter(|(code, _)| !dingtalk::says_ended(code));
            (OutcomeKind::ALL.map(|kind| (kind, rows(kind))).into(), codes.collect(), summary.detail.clone())
        }
        Err(failure) => {
            let outcomes = OutcomeKind::ALL.map(|kind| (kind, run.earlier(kind) + end.count(kind)));
            (outcomes.into(), vec![], failure.problem.clone())
        }
    };
    Notice {
        run_id: run.run_id.clone(),
        folder: folder.display().to_string(),
        is_rehearsal,
        exit_code: code.number(),
        meaning: code.meaning(),
        detail,
        outcomes,
        codes,
        next_command: run.next_command.clone().filter(|_| end.stop.is_some() || end.aborted),
    }
}

/// Writes the run's metrics to the textfile, if one is configured, below a comment with `note`.
pub(crate) fn write_textfile(
    metrics: &Metrics,
    finished: &Finished,
    note: Option<&str>,
    settings: &Settings,
    clock: &Clock,
) {
    let Some(path) = &settings.metrics.textfile else { return };
    metrics.run_ended(exit_code(finished).number(), clock.timestamp());
    let note = note.map(|note| format!("# {note}\n")).unwrap_or_default();
    let text = format!("{note}{}", metrics.text());
    // The collector runs as another user, and the metrics contain no ids.
    if let Err(error) = atomic_file::replace(path, 0o644, |file| file.write_all(text.as_bytes())) {
        warn!("cannot write the metrics to {} (metrics.textfile): {error}", path.display());
    }
}

/// Sends the message to the group, if a robot is configured and `notify.when` includes this exit code. A signal cancels it.
pub(crate) async fn notify(notice: &Notice, settings: &Settings, clock: &Clock) {
    if !settings.notify.when.wants(notice.exit_code) {
        return;
    }
    let mut signals = match signals::listen() {
        Ok(signals) => signals,
        Err(failure) => return warn!("the group robot's message was not sent: {}", failure.problem),
    };
    let sent = tokio::select! {
        sent = send(notice, settings, clock) => sent,
        _ = signals.recv() => Err("a signal came before the answer".into()),
    };
    match sent {
        Ok(()) => debug!("the group robot sent its message"),
        Err(problem) => warn!("the group robot's message: {problem}"),
    }
}

async fn send(notice: &Notice, settings: &Settings, clock: &Clock) -> Result<(), String> {
    let access = settings.notify.robot().map_err(|error| error.to_string())?;
    let Some(access) = access else { return Ok(()) };
    let robot = Robot::new(&settings.dingtalk, access, clock.clone()).map_err(|error| error.to_string())?;
    let message = Message { title: notice.title(), text: notice.text() };
    robot.say(&message).await.map_err(|error| error.to_string())
}

/// Begins the run's traces, if the environment names a collector.
#[cfg(feature = "otlp")]
pub(crate) fn begin_traces(
    run_id: &str,
    is_rehearsal: bool,
    clock: &Clock,
    observers: &mut crate::events::Observers,
) -> Option<crate::traces::Traces> {
    let traces = crate::traces::Traces::start(run_id, is_rehearsal, clock);
    let traces = traces.unwrap_or_else(|problem| {
        warn!("cannot export traces: {problem}");
        None
    })?;
    observers.0.push(Box::new(traces.observer()));
    Some(traces)
}

/// Exports the rest of the run's traces.
#[cfg(feature = "otlp")]
pub(crate) async fn end_traces(traces: Option<crate::traces::Traces>, finished: &Finished, clock: &Clock) {
    let Some(traces) = traces else { return };
    if let Err(problem) = traces.end(exit_code(finished).number(), clock).await {
        warn!("cannot export the last traces: {problem}");
    }
}
