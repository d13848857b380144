//! `close`: closes the meetings in the lists, and writes the audit.

use std::path::PathBuf;
use std::sync::Arc;

use config::Value;
use indicatif::MultiProgress;
use tracing::{Instrument as _, Span, info_span};

use super::layers;
use crate::cli::{CloseArgs, ProgressArg};
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::display::{self, Progress, ProgressMode};
use crate::events::Observers;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle::{
    self, Feed, LONGEST_OUTAGE, REHEARSAL, Remainder, Selection, StartedRun, after, guard, preview, signals,
};
use crate::metrics::Metrics;
use crate::pace::Pacer;
use crate::printer;
use crate::run::{self, RunParts, Signal};
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::settings::{Auth, BaseUrl, Secret, Settings};
use crate::telemetry::RunLog;

pub(super) async fn run(
    args: CloseArgs,
    config: Option<PathBuf>,
    terminal: &MultiProgress,
) -> Result<ExitCode, Failure> {
    let mut settings = layers::settings_in(args.audit.audit_dir.as_ref(), config, options(&args))?;
    let hasher = lifecycle::hasher(&settings)?;
    let selection = Selection::of(&args, &settings, &hasher)?;
    let total = selection.survey.total;
    if total == 0
        && let Some(run) = selection.retry_of()
    {
        printer::out(&format!("run {run} has no failed and no not_attempted row: nothing to do"));
        return Ok(ExitCode::Done);
    }
    guard::check_max_meetings(&selection.survey, &settings)?;
    if args.dry_run {
        let is_rehearsal = args.sandbox.then_some(true);
        let outlook = lifecycle::look_ahead(&args, &settings, &selection, &hasher, is_rehearsal)?;
        return Ok(preview::dry_run_of_close(&selection.survey, &outlook, &settings, args.sandbox));
    }
    let clock = Clock::System;
    let (sandbox, auth) = dingtalk(&args, &mut settings).await?;
    if sandbox.is_none() {
        // The message after the run reads these settings again. An error in them must come before anything is called.
        settings.notify.robot()?;
    }
    let mut api = HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?;
    let is_rehearsal = lifecycle::is_rehearsal(&settings, &api).await;
    api.expect_sandbox(is_rehearsal);
    let outlook = lifecycle::look_ahead(&args, &settings, &selection, &hasher, Some(is_rehearsal))?;
    guard::confirm_close(&args, &selection.survey, &outlook, &settings, is_rehearsal)?;
    let (started, feed) = lifecycle::start(&args, &settings, selection, &hasher, is_rehearsal, &clock)?;
    let (mut rows_done, mut rows) = (0, total);
    if started.is_continued {
        let Remainder { rows: left, withdrawn, .. } = feed.remainder()?;
        (rows_done, rows) = (total - left, total + withdrawn);
        let withdrawn = display::withdrawn(withdrawn);
        printer::err(&format!(
            "continuing run {}: {rows_done} of {total} rows done{withdrawn}",
            started.run_id
        ));
    }
    let signals = signals::listen()?;
    let mode = progress_mode(args.progress);
    let progress = Progress::start(mode, (rows_done, rows), is_rehearsal, terminal, &clock);
    // The span marks every log line of a rehearsal.
    let span = if is_rehearsal { info_span!("sandbox") } else { Span::none() };
    let parts = CloseParts { settings, clock, api, sandbox, started, feed, signals, progress, is_rehearsal };
    close(parts).instrument(span).await
}

/// What [`close`] needs.
struct CloseParts {
    settings: Settings,
    clock: Clock,
    api: HttpApi,
    sandbox: Option<Sandbox>,
    started: StartedRun,
    feed: Feed,
    signals: tokio::sync::mpsc::Receiver<Signal>,
    progress: Progress,
    is_rehearsal: bool,
}

/// Does the started run, and what follows it.
async fn close(parts: CloseParts) -> Result<ExitCode, Failure> {
    let CloseParts { settings, clock, api, sandbox, started, feed, signals, progress, is_rehearsal } = parts;
    let metrics = Arc::new(Metrics::new(settings.pace.requests_per_second));
    let mut observer = Observers(vec![
        Box::new(RunLog::new(&started.run_id)),
        Box::new(progress.observer()),
        Box::new(metrics.watcher()),
    ]);
    #[cfg(feature = "otlp")]
    let traces = after::begin_traces(&started.run_id, is_rehearsal, &clock, &mut observer);
    let parts = RunParts {
        api: Arc::new(api),
        pacer: Pacer::new(&settings.pace, settings.guard.deadline.is_none().then_some(LONGEST_OUTAGE)),
        pace: settings.pace,
        retry: settings.retry,
        seed: fastrand::u64(..),
        journal: &started.journal,
        observer: &mut observer,
        signals,
        deadline: settings.guard.deadline.map(|deadline| clock.now() + deadline),
        clock: clock.clone(),
    };
    let end = run::run(parts, feed.start()).await;
    drop(progress);
    let is_sandbox = sandbox.is_some();
    drop(sandbox);
    let finished = lifecycle::finish(&end, &started, &clock);
    let note = is_rehearsal.then_some(REHEARSAL);
    after::write_textfile(&metrics, &finished, note, &settings, &clock);
    #[cfg(feature = "otlp")]
    after::end_traces(traces, &finished, &clock).await;
    if !is_sandbox {
        let notice = after::notice(&finished, &end, &started, is_rehearsal);
        after::notify(&notice, &settings, &clock).await;
    }
    finished.map(|(code, _)| code)
}

fn options(args: &CloseArgs) -> Vec<(&'static str, Value)> {
    layers::given([
        ("pace.requests_per_second", args.pace.rate.map(Value::from)),
        ("pace.concurrency", args.pace.concurrency.map(Value::from)),
        ("guard.max_meetings", args.guards.max_meetings.map(Value::from)),
        ("guard.deadline", args.deadline.clone().map(Value::from)),
    ])
}

/// DingTalk as configured; or the sandbox, without reading or sending real credentials.
async fn dingtalk(args: &CloseArgs, settings: &mut Settings) -> Result<(Option<Sandbox>, Auth), Failure> {
    if !args.sandbox {
        return Ok((None, settings.dingtalk.auth()?));
    }
    let sandbox = Sandbox::start(SandboxSettings::default())
        .await
        .map_err(|error| Failure::new(ExitCode::Usage, format!("cannot start the sandbox: {error}")))?;
    settings.dingtalk = settings.dingtalk.at(BaseUrl::parse(&sandbox.base_url())?);
    let app_secret = Secret::value("dingtalk.app_secret", "sandbox");
    Ok((Some(sandbox), Auth::InternalApp { app_key: "sandbox".into(), app_secret }))
}

fn progress_mode(arg: ProgressArg) -> ProgressMode {
    match arg {
        ProgressArg::Auto if printer::can_redraw() => ProgressMode::Bar,
        ProgressArg::Auto | ProgressArg::Plain => ProgressMode::Plain,
        ProgressArg::None => ProgressMode::None,
    }
}
