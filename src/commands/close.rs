//! `close`: lists in, meetings ended, audit out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Value;
use indicatif::MultiProgress;
use tokio::sync::mpsc;
use tracing::{Instrument as _, info_span};

use crate::cli::{CloseArgs, ProgressArg};
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::events::Observers;
use crate::exit::{ExitCode, Failure};
use crate::intake::{Entry, Exclusions, IntakeError, ListFacts, Lists, Survey, Triage};
use crate::journal::{
    self, Chain, FileStorage, Hasher, Journal, JournalError, ListRecord, Record, RowCounts, RunFinished,
    RunStarted,
};
use crate::pace::Pacer;
use crate::printer;
use crate::report::{self, Progress, ProgressMode, Summary};
use crate::run::{self, Parts, RunEnd, Stop};
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::settings::{Auth, BaseUrl, Secret, Settings};
use crate::telemetry::RunLog;

/// Rows that are read ahead of the run.
const ROWS_AHEAD: usize = 256;

/// What every output of a rehearsal says.
const REHEARSAL: &str = "SANDBOX: a rehearsal, no real meeting was touched";

pub(super) async fn run(
    args: CloseArgs,
    config: Option<PathBuf>,
    terminal: &MultiProgress,
) -> Result<ExitCode, Failure> {
    let mut settings = super::settings(config, options(&args))?;
    let lists = Lists::open(&args.inputs, &settings.input)?;
    let exclusions = match &args.exclude {
        Some(path) => Exclusions::read(path, &settings.input)?,
        None => Exclusions::default(),
    };
    let survey = Survey::of(&lists, exclusions.clone())?;
    for line in report::remarks(&survey) {
        printer::err(&line);
    }
    guard(&survey, &settings)?;
    if args.dry_run {
        return Ok(dry_run(&survey, &settings, args.sandbox));
    }
    let clock = Clock::System;
    let (sandbox, auth) = dingtalk(&args, &mut settings).await?;
    let api = HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?;
    let rehearsal = settings.dingtalk.base_url.is_loopback();
    confirm(&args, &survey, &settings, rehearsal)?;

    let hasher = hasher(&settings)?;
    let started = run_started(&lists, &survey, &settings, rehearsal, &hasher);
    let begun = begin(&args, &settings, started, hasher, &clock)?;
    let signals = super::signals::listen().map_err(|error| Failure::new(ExitCode::Usage, error))?;
    let progress = Progress::start(progress_mode(args.progress), survey.total, rehearsal, terminal, &clock);
    let mut observer = Observers(vec![Box::new(RunLog::new(&begun.run_id)), Box::new(progress.observer())]);
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
        clock: clock.clone(),
    };
    // The span's name stands in every line that the run logs.
    let span = if rehearsal { info_span!("sandbox") } else { tracing::Span::none() };
    let end = run::run(parts, feed(lists, exclusions)).instrument(span).await;
    drop(progress);
    drop(sandbox);
    finish(&end, &begun, &clock)
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

fn guard(survey: &Survey, settings: &Settings) -> Result<(), Failure> {
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
    }
}

/// How the journal is hashed: under the configured key, if there is one.
fn hasher(settings: &Settings) -> Result<Hasher, Failure> {
    let Some(path) = &settings.audit.hmac_key_file else { return Ok(Hasher::PLAIN) };
    Hasher::from_key_file(path).map_err(|error| {
        let problem = format!("cannot read {}, which audit.hmac_key_file names: {error}", path.display());
        Failure::new(ExitCode::Usage, problem)
    })
}

/// A run whose folder and first record are on the disk.
struct Begun {
    run_id: String,
    folder: PathBuf,
    journal: Journal,
    hasher: Hasher,
}

/// Makes the run's folder and its first record, and proves both durable before anything is called.
fn begin(
    args: &CloseArgs,
    settings: &Settings,
    started: RunStarted,
    hasher: Hasher,
    clock: &Clock,
) -> Result<Begun, Failure> {
    let lost = |error: &dyn std::fmt::Display| {
        let dir = settings.audit.dir.display();
        Failure::new(
            ExitCode::AuditLost,
            format!("cannot write the audit to {dir}: {error}; nothing was called"),
        )
        .hint("make the folder writable, or name another with --audit-dir (audit.dir)")
    };
    let (run_id, folder) = make_folder(args, settings, &started, clock, &|error| lost(&error))?;
    let begun =
        start_journal(&folder, RunStarted { run_id: run_id.clone(), ..started }, hasher.clone(), clock);
    match begun {
        Ok(journal) => Ok(Begun { run_id, folder, journal, hasher }),
        Err(error) => {
            journal::discard_run_folder(&folder);
            Err(lost(&error))
        }
    }
}

/// The folder of the id that was asked for, or of the default one: start time and eight digits of the lists' digest, and
/// a number where two runs of the same lists start within a second.
fn make_folder(
    args: &CloseArgs,
    settings: &Settings,
    started: &RunStarted,
    clock: &Clock,
    lost: &dyn Fn(io::Error) -> Failure,
) -> Result<(String, PathBuf), Failure> {
    let refuse = |id: &str, hint: &str| {
        Err(Failure::new(ExitCode::Usage, format!("{id:?} cannot be this run's id")).hint(hint))
    };
    if let Some(id) = &args.run_id {
        if !journal::is_run_id(id) {
            return refuse(id, "letters, digits, dots, dashes and underscores can be in an id");
        }
        return match journal::create_run_folder(&settings.audit.dir, id).map_err(lost)? {
            Some(folder) => Ok((id.clone(), folder)),
            None => refuse(id, "a run of this id is there already: choose another --run-id"),
        };
    }
    let start = clock.timestamp().strftime("%Y%m%dT%H%M%SZ");
    let default = format!("{start}-{}", &started.lists_digest[..8]);
    let mut id = default.clone();
    for number in 2.. {
        if let Some(folder) = journal::create_run_folder(&settings.audit.dir, &id).map_err(lost)? {
            return Ok((id, folder));
        }
        id = format!("{default}-{number}");
    }
    unreachable!("a folder has fewer than 2^31 runs of one second")
}

fn start_journal(folder: &Path, started: RunStarted, hasher: Hasher, clock: &Clock) -> io::Result<Journal> {
    let path = folder.join(journal::FILE_NAME);
    let journal = Journal::new(path.clone(), FileStorage::create(&path)?, Chain::new(hasher));
    let io_error = |error: JournalError| io::Error::other(error.problem);
    journal.append(&Record::RunStarted(Box::new(started)), clock.timestamp()).map_err(io_error)?;
    journal.sync().map_err(io_error)?;
    journal::sync_folder(folder)?;
    Ok(journal)
}

/// Reads the lists a second time, on a thread of its own, no further ahead than the run can take.
fn feed(lists: Lists, exclusions: Exclusions) -> mpsc::Receiver<Result<Entry, IntakeError>> {
    let (sender, receiver) = mpsc::channel(ROWS_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut triage = Triage::new(exclusions);
        for row in lists.rows() {
            if sender.blocking_send(row.map(|row| triage.sort(row))).is_err() {
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
fn finish(end: &RunEnd, begun: &Begun, clock: &Clock) -> Result<ExitCode, Failure> {
    let Begun { folder, journal, hasher, .. } = begun;
    if let Some(Stop::AuditLost(error)) = &end.stop {
        return Err(error.clone().into());
    }
    if end.aborted {
        journal.sync()?;
        return Err(Failure::new(ExitCode::Interrupted, "let go of everything at the second signal"));
    }
    let code = ExitCode::of(end);
    let finished = RunFinished {
        exit_code: code.number(),
        reason: end.stop.as_ref().map_or(journal::EndReason::Completed, Stop::reason),
        detail: end.stop.as_ref().map(ToString::to_string).unwrap_or_default(),
        totals: end.totals.clone(),
    };
    journal.append(&Record::RunFinished(Box::new(finished)), clock.timestamp())?;
    journal.sync()?;
    let summary = report::write_reports(folder, hasher.clone())?;
    print_end(&summary, folder);
    Ok(code)
}

fn print_end(summary: &Summary, folder: &Path) {
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
}
