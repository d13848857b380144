//! What a run leaves for those who were not there: its figures in a file, a message in a group, its traces.
//!
//! Invariant: nothing here changes the exit code. What fails is a warning.

use tracing::{debug, warn};

use super::begin::Begun;
use crate::clock::Clock;
use crate::dingtalk::{self, Message, Robot};
use crate::exit::{ExitCode, Failure};
use crate::metrics::{Metrics, write_textfile};
use crate::outcome::OutcomeKind;
use crate::report::{Notice, Summary};
use crate::run::RunEnd;
use crate::settings::Settings;

/// How a run ended: with its reports, or with what kept it from them.
pub(super) type Ended = Result<(ExitCode, Summary), Failure>;

/// The exit code of a run that ended so.
fn exit_code(ended: &Ended) -> ExitCode {
    match ended {
        Ok((code, _)) => *code,
        Err(failure) => failure.code,
    }
}

/// What a group is told of a run, but for whether it was a rehearsal and how it is continued.
pub(super) fn notice(ended: &Ended, end: &RunEnd, begun: &Begun, earlier: &[(OutcomeKind, u64)]) -> Notice {
    let code = exit_code(ended);
    let folder = std::path::absolute(&begun.folder).unwrap_or_else(|_| begun.folder.clone());
    let (outcomes, codes, detail) = match ended {
        Ok((_, summary)) => {
            let rows = |kind: OutcomeKind| summary.outcomes.get(kind.name()).copied().unwrap_or(0);
            let codes = summary.codes.clone().into_iter().filter(|(code, _)| !dingtalk::says_ended(code));
            (OutcomeKind::ALL.map(|kind| (kind, rows(kind))).into(), codes.collect(), summary.detail.clone())
        }
        Err(failure) => {
            let now = |kind: OutcomeKind| end.totals.outcomes.get(kind.name()).copied().unwrap_or(0);
            let outcomes = earlier.iter().map(|(kind, rows)| (*kind, rows + now(*kind)));
            (outcomes.collect(), vec![], failure.problem.clone())
        }
    };
    Notice {
        run_id: begun.run_id.clone(),
        folder: folder.display().to_string(),
        exit_code: code.number(),
        meaning: code.meaning(),
        detail,
        outcomes,
        codes,
        ..Notice::default()
    }
}

/// Writes the run's figures into the textfile, where one is configured; `note` is put before them.
pub(super) fn leave_textfile(
    metrics: &Metrics,
    ended: &Ended,
    note: Option<&str>,
    settings: &Settings,
    clock: &Clock,
) {
    let Some(path) = &settings.metrics.textfile else { return };
    metrics.run_ended(exit_code(ended).number(), clock.timestamp());
    let note = note.map(|note| format!("# {note}\n")).unwrap_or_default();
    if let Err(error) = write_textfile(path, &format!("{note}{}", metrics.text())) {
        warn!("cannot write {}, which metrics.textfile names: {error}", path.display());
    }
}

/// Says it in the group, where a robot is configured and wants to know of this run. A signal goes before.
pub(super) async fn tell_the_group(notice: &Notice, settings: &Settings, clock: &Clock) {
    if !settings.notify.when.wants(notice.exit_code) {
        return;
    }
    let mut signals = match super::signals::listen() {
        Ok(signals) => signals,
        Err(error) => return warn!("the group was not told of this run: {error}"),
    };
    let told = tokio::select! {
        told = say(notice, settings, clock) => told,
        _ = signals.recv() => Err("a signal came".into()),
    };
    match told {
        Ok(()) => debug!("the group was told of this run"),
        Err(problem) => warn!("the group was not told of this run: {problem}"),
    }
}

async fn say(notice: &Notice, settings: &Settings, clock: &Clock) -> Result<(), String> {
    let access = settings.notify.robot().map_err(|error| error.to_string())?;
    let Some(access) = access else { return Ok(()) };
    let robot = Robot::new(&settings.dingtalk, access, clock.clone()).map_err(|error| error.to_string())?;
    let message = Message { title: notice.title(), text: notice.text() };
    robot.say(&message).await.map_err(|error| error.to_string())
}

/// Begins the run's traces, where the environment names a collector.
#[cfg(feature = "otlp")]
pub(super) fn begin_traces(
    run_id: &str,
    rehearsal: bool,
    clock: &Clock,
    observers: &mut crate::events::Observers,
) -> Option<crate::traces::Traces> {
    let traces = crate::traces::Traces::start(run_id, rehearsal, clock);
    let traces = traces.unwrap_or_else(|problem| {
        warn!("no traces are exported: {problem}");
        None
    })?;
    observers.0.push(Box::new(traces.observer()));
    Some(traces)
}

/// Hands on what is left of the run's traces.
#[cfg(feature = "otlp")]
pub(super) async fn end_traces(traces: Option<crate::traces::Traces>, ended: &Ended, clock: &Clock) {
    let Some(traces) = traces else { return };
    if let Err(problem) = traces.end(exit_code(ended).number(), clock).await {
        warn!("the last traces were not exported: {problem}");
    }
}
