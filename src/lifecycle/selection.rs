//! Which rows a `close` means: those of its lists, of an earlier run's lists, or an earlier run's failures.
//!
//! Invariant: the rows are copied and counted before anything is called.

use std::path::{Path, PathBuf};

use super::guard;
use super::preview::{self, InvalidRows};
use crate::cli::CloseArgs;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Hasher, ListRecord, PastRun};
use crate::lists::{Exclusions, ListName, Lists, Survey};
use crate::settings::Settings;

/// The hint about a folder with a damaged journal.
pub(crate) const KEEP_FOLDER: &str = "keep the folder as evidence";

/// The rows, and the earlier run that the command line names.
pub(crate) struct Selection {
    pub(super) lists: Lists,
    pub(super) exclusions: Exclusions,
    pub(crate) survey: Survey,
    pub(super) earlier: Option<EarlierRun>,
}

/// An earlier run that the command line names.
pub(super) enum EarlierRun {
    /// `--resume`: continue the run.
    Resume(PastRun),
    /// `--retry-failed`: start a new run over the rows that are failed or `not_attempted`.
    Retry(PastRun),
}

impl EarlierRun {
    pub(super) fn run(&self) -> &PastRun {
        match self {
            Self::Resume(run) | Self::Retry(run) => run,
        }
    }
}

impl Selection {
    /// Opens the lists, finds the earlier run, reads the exclusions, and counts the rows.
    pub(crate) fn of(args: &CloseArgs, settings: &Settings, hasher: &Hasher) -> Result<Self, Failure> {
        let (lists, earlier) = open(args, settings, hasher)?;
        let exclusions = guard::exclusions(args.guards.exclude.as_deref(), settings)?;
        let named = if args.dry_run {
            InvalidRows::All
        } else if args.sandbox || args.guards.yes {
            InvalidRows::BEFORE_A_RUN
        } else {
            InvalidRows::BEFORE_A_QUESTION
        };
        let survey = preview::survey(&lists, &exclusions, named)?;
        Ok(Self { lists, exclusions, survey, earlier })
    }

    /// The run of which this one is a retry.
    pub(crate) fn retry_of(&self) -> Option<String> {
        match self.earlier.as_ref()? {
            EarlierRun::Retry(run) => Some(run.latest.run_id.clone()),
            EarlierRun::Resume(run) => run.latest.retry_of.clone(),
        }
    }
}

/// Opens the lists, and finds the earlier run that the command line names.
fn open(
    args: &CloseArgs,
    settings: &Settings,
    hasher: &Hasher,
) -> Result<(Lists, Option<EarlierRun>), Failure> {
    let audit_dir = &settings.audit.dir;
    let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
    if let Some(run) = &args.retry_failed {
        let mut earlier = past_run(audit_dir, run)?;
        // If the latest run is an unfinished retry, the same command means the run that it retries.
        if run == "latest"
            && !earlier.is_complete()
            && let Some(first) = &earlier.latest.retry_of
        {
            earlier = past_run(audit_dir, first)?;
        }
        let lists = left_over(&earlier, hasher)?;
        return Ok((lists, Some(EarlierRun::Retry(earlier))));
    }
    let Some(run) = &args.resume else {
        return Ok((Lists::open(&inputs, &settings.input)?, None));
    };
    let earlier = past_run(audit_dir, run)?;
    let lists = match &earlier.latest.retry_of {
        Some(_) | None if !inputs.is_empty() => Lists::open(&inputs, &settings.input)?,
        Some(first) => left_over(&past_run(audit_dir, first)?, hasher)?,
        None => Lists::open(&sources(&earlier)?, &settings.input)?,
    };
    Ok((lists, Some(EarlierRun::Resume(earlier))))
}

/// The folder of a run that the command line names.
pub(crate) fn find_run(audit_dir: &Path, run: &str) -> Result<PathBuf, Failure> {
    let found = journal::find_run(audit_dir, run).map_err(|error| {
        let problem = format!("cannot read the audit folder {}: {error}", audit_dir.display());
        Failure::new(ExitCode::Usage, problem)
            .hint("set --audit-dir (audit.dir) to the folder that keeps the runs")
    })?;
    found.ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("there is no run {run:?} in {}", audit_dir.display())).hint(
            "name a run by its folder, its id, or latest; set --audit-dir (audit.dir) to the folder that keeps the runs",
        )
    })
}

fn past_run(audit_dir: &Path, run: &str) -> Result<PastRun, Failure> {
    let folder = find_run(audit_dir, run)?;
    let read = PastRun::look_into(&folder);
    let read = read.map_err(|error| {
        Failure::new(ExitCode::Usage, format!("cannot read the run in {}: {error}", folder.display()))
    })?;
    let run = read.ok_or_else(|| {
        let problem = format!("the journal in {} does not begin with the start of a run", folder.display());
        Failure::new(ExitCode::Usage, problem).hint(KEEP_FOLDER)
    })?;
    match &run.latest.queue {
        None => Ok(run),
        Some(queue) => {
            let problem = format!(
                "run {} belongs to a worker, and its open rows are on the queue {queue}",
                run.latest.run_id
            );
            Err(Failure::new(ExitCode::Usage, problem)
                .hint("run `work` to continue; run `queue requeue-dead` first to put dead entries back"))
        }
    }
}

fn left_over(run: &PastRun, hasher: &Hasher) -> Result<Lists, Failure> {
    let id = &run.latest.run_id;
    if run.ended.is_none() {
        let problem = format!("run {id} is unfinished");
        return Err(Failure::new(ExitCode::Usage, problem).hint(format!("finish it first: --resume {id}")));
    }
    let rows = journal::left_over(&run.folder.join(journal::FILE_NAME), hasher.clone());
    let unreadable = |error| Failure::new(ExitCode::Usage, error).hint(KEEP_FOLDER);
    Lists::carried_over(&format!("run {id}"), rows.map_err(unreadable)?.map(|row| row.map_err(unreadable)))
}

/// The names of an earlier run's lists.
fn sources(run: &PastRun) -> Result<Vec<ListName>, Failure> {
    let name = |list: &ListRecord| ListName { path: list.source.clone().into(), sheet: list.sheet.clone() };
    let sources: Vec<ListName> = run.latest.lists.iter().map(name).collect();
    if sources.iter().any(|source| source.path.as_os_str() == "-") {
        let problem = format!("run {} read a list from standard input", run.latest.run_id);
        return Err(Failure::new(ExitCode::Usage, problem).hint("pass that list again as INPUT"));
    }
    // The journal is text, so it cannot hold such a name. The file of the name that it holds is another one.
    if let Some(list) = sources.iter().find(|list| list.path.to_string_lossy().contains('\u{fffd}')) {
        let run = &run.latest.run_id;
        let problem = format!("the name of a list of run {run} is not valid UTF-8: {}", list.path.display());
        return Err(Failure::new(ExitCode::Usage, problem).hint("give the run's lists again, as INPUT"));
    }
    Ok(sources)
}
