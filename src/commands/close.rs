//! `close`: lists in, meetings ended, audit out.

use std::path::PathBuf;
use std::sync::Arc;

use config::Value;
use indicatif::MultiProgress;
use tracing::{Instrument as _, info_span};

use crate::cli::{CloseArgs, ProgressArg};
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::display::{self, Progress, ProgressMode};
use crate::events::Observers;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle::{self, LONGEST_OUTAGE, REHEARSAL, RowSource, Selection, after, feed, guard};
use crate::lists::{Exclusions, Survey};
use crate::metrics::Metrics;
use crate::pace::Pacer;
use crate::printer;
use crate::run::{self, RunParts};
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::settings::{Auth, BaseUrl, Secret, Settings};
use crate::telemetry::RunLog;

pub(super) async fn run(
    args: CloseArgs,
    config: Option<PathBuf>,
    terminal: &MultiProgress,
) -> Result<ExitCode, Failure> {
    let mut settings = super::settings(config, options(&args))?;
    let hasher = lifecycle::hasher(&settings)?;
    let selection = Selection::of(&args, &settings, &hasher)?;
    let retry_of = selection.retry_of();
    let Selection { lists, earlier } = selection;
    let exclusions = exclusions(args.exclude.as_ref(), &settings)?;
    let survey = Survey::of(&lists, exclusions.clone())?;
    display::remarks(&survey).iter().for_each(|line| printer::err(line));
    if survey.total == 0
        && let Some(run) = &retry_of
    {
        printer::out(&format!("run {run} has no failed and no not_attempted row: nothing to do"));
        return Ok(ExitCode::Done);
    }
    guard::check_max_meetings(&survey, &settings)?;
    if args.dry_run {
        return Ok(dry_run(&survey, &settings, args.sandbox));
    }
    let clock = Clock::System;
    let (sandbox, auth) = dingtalk(&args, &mut settings).await?;
    if !args.sandbox {
        // Read again when the run has ended. What is wrong with it is an error now, before anything is called.
        settings.notify.robot()?;
    }
    let api = HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?;
    let is_rehearsal = settings.dingtalk.base_url.is_loopback();
    confirm(&args, &survey, &settings, is_rehearsal)?;

    let source = RowSource::Lists { lists: &lists, survey: &survey, retry_of };
    let record = lifecycle::run_started(&settings, is_rehearsal, &hasher, source);
    let (started, history) = lifecycle::start(&args, &settings, earlier, record, hasher, &clock)?;
    let mut rows_done = 0;
    if started.is_continued {
        rows_done = survey.total - feed::rows_left(&lists, exclusions.clone(), history.clone())?;
        printer::err(&format!(
            "continuing run {}: {rows_done} of {} rows done",
            started.run_id, survey.total
        ));
    }
    let signals = lifecycle::signals::listen().map_err(|error| Failure::new(ExitCode::Usage, error))?;
    let mode = progress_mode(args.progress);
    let progress = Progress::start(mode, (rows_done, survey.total), is_rehearsal, terminal, &clock);
    // The span's name stands in every line that the run logs.
    let span = if is_rehearsal { info_span!("sandbox") } else { tracing::Span::none() };
    let metrics = Arc::new(Metrics::new(settings.pace.requests_per_second));
    let mut observer = Observers(vec![
        Box::new(RunLog::new(&started.run_id)),
        Box::new(progress.observer()),
        Box::new(metrics.watcher()),
    ]);
    #[cfg(feature = "otlp")]
    let traces = span.in_scope(|| after::begin_traces(&started.run_id, is_rehearsal, &clock, &mut observer));
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
    let end = run::run(parts, feed::feed(lists, exclusions, history)).instrument(span.clone()).await;
    drop(progress);
    drop(sandbox);
    let finished = lifecycle::finish(&end, &started, &clock);
    let note = is_rehearsal.then_some(REHEARSAL);
    span.in_scope(|| after::write_textfile(&metrics, &finished, note, &settings, &clock));
    #[cfg(feature = "otlp")]
    after::end_traces(traces, &finished, &clock).instrument(span.clone()).await;
    if !args.sandbox {
        let notice = after::notice(&finished, &end, &started, is_rehearsal);
        after::notify(&notice, &settings, &clock).instrument(span).await;
    }
    finished.map(|(code, _)| code)
}

fn options(args: &CloseArgs) -> Vec<(&'static str, Value)> {
    let path = |path: &PathBuf| Value::from(path.to_string_lossy().into_owned());
    let options = [
        ("pace.requests_per_second", args.rate.map(Value::from)),
        ("pace.concurrency", args.concurrency.map(Value::from)),
        ("guard.max_meetings", args.max_meetings.map(Value::from)),
        ("guard.deadline", args.deadline.clone().map(Value::from)),
        ("audit.dir", args.audit_dir.as_ref().map(path)),
    ];
    options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The meetings of an exclusion list; none without such a list.
pub(super) fn exclusions(path: Option<&PathBuf>, settings: &Settings) -> Result<Exclusions, Failure> {
    match path {
        Some(path) => Ok(Exclusions::read(path, &settings.input)?),
        None => Ok(Exclusions::default()),
    }
}

fn dry_run(survey: &Survey, settings: &Settings, sandbox: bool) -> ExitCode {
    printer::out(&display::contents(survey));
    printer::out(&display::forecast(survey, &settings.pace));
    if sandbox {
        printer::out(REHEARSAL);
    }
    printer::out("dry run: nothing was called");
    if survey.invalid > 0 { ExitCode::Incomplete } else { ExitCode::Done }
}

/// DingTalk as configured, or the stand-in in its place: then no credential is read, and none is sent.
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

fn confirm(
    args: &CloseArgs,
    survey: &Survey,
    settings: &Settings,
    is_rehearsal: bool,
) -> Result<(), Failure> {
    if args.sandbox || args.yes || survey.to_close == 0 {
        return Ok(());
    }
    let note = if is_rehearsal { " (a stand-in on this machine)" } else { "" };
    let question = format!("Close {} meetings at {}{note}?", survey.to_close, settings.dingtalk.base_url);
    guard::confirm(&question, "nothing was called")
}

fn progress_mode(arg: ProgressArg) -> ProgressMode {
    match arg {
        ProgressArg::Auto if printer::can_redraw() => ProgressMode::Bar,
        ProgressArg::Auto | ProgressArg::Plain => ProgressMode::Plain,
        ProgressArg::None => ProgressMode::None,
    }
}
