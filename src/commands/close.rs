//! `close`: lists in, meetings ended, audit out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::Value;
use indicatif::MultiProgress;
use tokio::sync::mpsc;
use tracing::{Instrument as _, info_span};

use super::aftermath::{self, Ended};
use super::begin::{Begun, begin, hasher};
use super::orders::Orders;
use crate::cli::{CloseArgs, ProgressArg};
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::events::Observers;
use crate::exit::{ExitCode, Failure};
use crate::intake::{Exclusions, IntakeError, ListFacts, Lists, Survey, Triage};
use crate::journal::{self, Hasher, ListRecord, Record, RowCounts, RunFinished, RunStarted};
use crate::metrics::Metrics;
use crate::outcome::OutcomeKind;
use crate::pace::Pacer;
use crate::printer;
use crate::report::{self, Notice, Progress, ProgressMode, Summary};
use crate::run::{self, Arrival, History, Parts, RunEnd, Stop};
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::settings::{Auth, BaseUrl, Secret, Settings};
use crate::telemetry::RunLog;

/// Rows that are read ahead of the run.
const ROWS_AHEAD: usize = 256;

/// How long an outage of DingTalk is waited out where no deadline bounds the wait.
pub(super) const PATIENCE: Duration = Duration::from_mins(30);

/// What every output of a rehearsal says.
const REHEARSAL: &str = "SANDBOX: a rehearsal, no real meeting was touched";

pub(super) async fn run(
    args: CloseArgs,
    config: Option<PathBuf>,
    terminal: &MultiProgress,
) -> Result<ExitCode, Failure> {
    let mut settings = super::settings(config, options(&args))?;
    let hasher = hasher(&settings)?;
    let orders = Orders::of(&args, &settings, &hasher)?;
    let retry_of = orders.retry_of();
    let Orders { lists, named } = orders;
    let exclusions = match &args.exclude {
        Some(path) => Exclusions::read(path, &settings.input)?,
        None => Exclusions::default(),
    };
    let survey = Survey::of(&lists, exclusions.clone())?;
    for line in report::remarks(&survey) {
        printer::err(&line);
    }
    if survey.total == 0
        && let Some(run) = &retry_of
    {
        printer::out(&format!("run {run} has no failed and no not_attempted row: nothing to do"));
        return Ok(ExitCode::Done);
    }
    guard(&survey, &settings)?;
    if args.dry_run {
        return Ok(dry_run(&survey, &settings, args.sandbox));
    }
    let clock = Clock::System;
    let (sandbox, auth) = dingtalk(&args, &mut settings).await?;
    if !args.sandbox {
        // Read again when the run has ended; what is wrong with it now is told before anything is called.
        settings.notify.robot()?;
    }
    let api = HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?;
    let rehearsal = settings.dingtalk.base_url.is_loopback();
    confirm(&args, &survey, &settings, rehearsal)?;

    let started = RunStarted { retry_of, ..run_started(&lists, &survey, &settings, rehearsal, &hasher) };
    let (begun, history) = begin(&args, &settings, named, started, hasher, &clock)?;
    let earlier = OutcomeKind::ALL.map(|kind| (kind, history.count(kind)));
    let mut rows_done = 0;
    if begun.is_continued {
        rows_done = survey.total - rows_left(&lists, exclusions.clone(), history.clone())?;
        printer::err(&format!("continuing run {}: {rows_done} of {} rows done", begun.run_id, survey.total));
    }
    let signals = super::signals::listen().map_err(|error| Failure::new(ExitCode::Usage, error))?;
    let progress =
        Progress::start(progress_mode(args.progress), (rows_done, survey.total), rehearsal, terminal, &clock);
    // The span's name stands in every line that the run logs.
    let span = if rehearsal { info_span!("sandbox") } else { tracing::Span::none() };
    let metrics = Arc::new(Metrics::new(settings.pace.requests_per_second));
    let mut observer = Observers(vec![
        Box::new(RunLog::new(&begun.run_id)),
        Box::new(progress.observer()),
        Box::new(metrics.watcher()),
    ]);
    #[cfg(feature = "otlp")]
    let traces = span.in_scope(|| aftermath::begin_traces(&begun.run_id, rehearsal, &clock, &mut observer));
    let parts = Parts {
        api: Arc::new(api),
        pacer: Pacer::new(&settings.pace),
        pace: settings.pace,
        retry: settings.retry,
        seed: fastrand::u64(..),
        journal: &begun.journal,
        observer: &mut observer,
        signals,
        deadline: settings.guard.deadline.map(|deadline| clock.now() + deadline),
        patience: settings.guard.deadline.is_none().then_some(PATIENCE),
        clock: clock.clone(),
    };
    let end = run::run(parts, feed(lists, exclusions, history)).instrument(span.clone()).await;
    drop(progress);
    drop(sandbox);
    let ended = finish(&end, &begun, &earlier, &clock);
    let note = rehearsal.then_some(REHEARSAL);
    span.in_scope(|| aftermath::leave_textfile(&metrics, &ended, note, &settings, &clock));
    #[cfg(feature = "otlp")]
    aftermath::end_traces(traces, &ended, &clock).instrument(span.clone()).await;
    if !args.sandbox {
        let notice = Notice {
            rehearsal,
            to_continue: (end.stop.is_some() || end.aborted).then(|| how_to_continue(&begun)),
            ..aftermath::notice(&ended, &end, &begun, &earlier)
        };
        aftermath::tell_the_group(&notice, &settings, &clock).instrument(span).await;
    }
    ended.map(|(code, _)| code)
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

/// Refuses more meetings than somebody said.
pub(super) fn guard(survey: &Survey, settings: &Settings) -> Result<(), Failure> {
    match settings.guard.max_meetings {
        Some(most) if survey.to_close > most => {
            let problem =
                format!("the lists hold {} meetings, and at most {most} may be closed", survey.to_close);
            Err(Failure::new(ExitCode::Usage, problem)
                .hint("check that these are the right lists, or raise --max-meetings (guard.max_meetings)"))
        }
        Some(_) | None => Ok(()),
    }
}

fn dry_run(survey: &Survey, settings: &Settings, sandbox: bool) -> ExitCode {
    printer::out(&report::contents(survey));
    printer::out(&report::forecast(survey, &settings.pace));
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

fn confirm(args: &CloseArgs, survey: &Survey, settings: &Settings, rehearsal: bool) -> Result<(), Failure> {
    if args.sandbox || args.yes || survey.to_close == 0 {
        return Ok(());
    }
    let note = if rehearsal { " (a stand-in on this machine)" } else { "" };
    let question = format!("Close {} meetings at {}{note}?", survey.to_close, settings.dingtalk.base_url);
    if !printer::can_ask() {
        let problem = format!("nobody can be asked: {question}");
        return Err(Failure::new(ExitCode::Usage, problem).hint("say --yes to close without being asked"));
    }
    if printer::ask(&question) {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Usage, "not confirmed: nothing was called"))
}

/// The first record, but for the run's id.
fn run_started(
    lists: &Lists,
    survey: &Survey,
    settings: &Settings,
    sandbox: bool,
    hasher: &Hasher,
) -> RunStarted {
    let list = |facts: ListFacts| ListRecord {
        source: facts.source.to_string(),
        sheet: facts.sheet.map(|sheet| sheet.to_string()),
        sha256: facts.sha256,
        bytes: facts.bytes,
    };
    RunStarted {
        run_id: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        keyed: hasher.is_keyed(),
        sandbox,
        lists: lists.facts().into_iter().map(list).collect(),
        lists_digest: lists.digest(),
        rows: RowCounts {
            total: survey.total,
            to_close: survey.to_close,
            invalid: survey.invalid,
            duplicate: survey.duplicate,
            excluded: survey.excluded,
        },
        settings: settings.for_journal(),
        retry_of: None,
        queue: None,
    }
}

/// How many rows of the lists the journal knows no outcome of.
fn rows_left(lists: &Lists, exclusions: Exclusions, mut history: History) -> Result<u64, IntakeError> {
    let mut triage = Triage::new(exclusions);
    let mut left = 0;
    for row in lists.rows() {
        left += u64::from(history.admit(triage.sort(row?)).is_some());
    }
    Ok(left)
}

/// Reads the lists once more, on a thread of its own, no further ahead than the run can take.
/// Rows that the journal knows are left out.
fn feed(
    lists: Lists,
    exclusions: Exclusions,
    mut history: History,
) -> mpsc::Receiver<Result<Arrival, IntakeError>> {
    let (sender, receiver) = mpsc::channel(ROWS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut triage = Triage::new(exclusions);
        for row in lists.rows() {
            let arrival = row.map(|row| history.admit(triage.sort(row))).transpose();
            if let Some(arrival) = arrival
                && sender.blocking_send(arrival).is_err()
            {
                return;
            }
        }
        for arrival in history.left_in_doubt() {
            if sender.blocking_send(Ok(arrival)).is_err() {
                return;
            }
        }
    });
    receiver
}

fn progress_mode(arg: ProgressArg) -> ProgressMode {
    match arg {
        ProgressArg::Auto if printer::can_redraw() => ProgressMode::Bar,
        ProgressArg::Auto | ProgressArg::Plain => ProgressMode::Plain,
        ProgressArg::None => ProgressMode::None,
    }
}

/// The last record, the reports, the table and the hints.
fn finish(end: &RunEnd, begun: &Begun, earlier: &[(OutcomeKind, u64)], clock: &Clock) -> Ended {
    let Begun { folder, journal, hasher, .. } = begun;
    if let Some(Stop::AuditLost(error)) = &end.stop {
        say_how_to_continue(begun);
        return Err(error.clone().into());
    }
    if end.aborted {
        journal.sync()?;
        say_how_to_continue(begun);
        return Err(Failure::new(ExitCode::Interrupted, "let go of everything at the second signal"));
    }
    let code =
        ExitCode::of(end, |kind| earlier.iter().filter(|(of, _)| *of == kind).map(|(_, rows)| rows).sum());
    let finished = RunFinished {
        exit_code: code.number(),
        reason: end.stop.as_ref().map_or(journal::EndReason::Completed, Stop::reason),
        detail: end.stop.as_ref().map(ToString::to_string).unwrap_or_default(),
        totals: end.totals.clone(),
    };
    journal.append(&Record::RunFinished(Box::new(finished)), clock.timestamp())?;
    journal.sync()?;
    let summary =
        report::write_reports(folder, hasher.clone()).inspect_err(|_| say_how_to_continue(begun))?;
    print_end(&summary, folder);
    // What stopped the run before any row was asked for is the code of no row.
    if let Some(Stop::Halted(said)) = &end.stop
        && !summary.codes.contains_key(&said.code)
        && let Some(advice) = report::hint(&said.code)
    {
        printer::err(&format!("hint: {}: {advice}", said.code));
    }
    if end.stop.is_some() {
        say_how_to_continue(begun);
    }
    Ok((code, summary))
}

/// The same command again goes on where this one stopped; `latest` may be another run by then.
fn how_to_continue(begun: &Begun) -> String {
    let named = |option: &str| match option {
        "--resume" => Some(begun.run_id.clone()),
        "--retry-failed" => begun.retry_of.clone(),
        _ => None,
    };
    let mut run = None;
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words = words.filter(|word| word != "--fresh").map(|word| {
        let before = run.take();
        run = named(&word);
        let id = match word.split_once('=') {
            Some((option, "latest")) => named(option).map(|id| format!("{option}={id}")),
            None if word == "latest" => before,
            Some(_) | None => None,
        };
        quoted(&id.unwrap_or(word))
    });
    words.collect::<Vec<_>>().join(" ")
}

fn say_how_to_continue(begun: &Begun) {
    printer::err(&format!("to continue: {}", how_to_continue(begun)));
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What is printed of a run that has its reports.
pub(super) fn print_end(summary: &Summary, folder: &Path) {
    if summary.sandbox {
        printer::out(REHEARSAL);
    }
    printer::out(&report::closing_table(summary));
    printer::out(&folder.display().to_string());
    if !summary.detail.is_empty() {
        printer::err(&format!("stopped early: {}", summary.detail));
    }
    for (code, rows) in &summary.codes {
        if let Some(advice) = report::hint(code) {
            printer::err(&format!("hint: {code} ({rows} rows): {advice}"));
        }
    }
    if let Some(advice) = summary.pace.advice() {
        printer::err(&format!("hint: {advice}"));
    }
}
