//! What a `close` asks for: the rows of its lists, of the lists of an earlier run, or of that run's failures.

use std::path::{Path, PathBuf};

use crate::cli::CloseArgs;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Hasher, ListRecord, PastRun};
use crate::lists::{ListName, Lists};
use crate::settings::Settings;

/// What to do with a run's folder whose journal was altered.
pub(crate) const KEEP_FOLDER: &str = "keep the folder as evidence";

/// The rows, and the earlier run that the command line names, if it names one.
pub(crate) struct Selection {
    pub(crate) lists: Lists,
    pub(crate) earlier: Option<EarlierRun>,
}

/// An earlier run that the command line names.
pub(crate) enum EarlierRun {
    /// `--resume`: continue it.
    Resume(PastRun),
    /// `--retry-failed`: ask again for what did not end.
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
    /// Reads the command line, opens the lists, and looks the earlier run up.
    pub(crate) fn of(args: &CloseArgs, settings: &Settings, hasher: &Hasher) -> Result<Self, Failure> {
        let audit_dir = &settings.audit.dir;
        let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
        if let Some(run) = &args.retry_failed {
            let mut earlier = past_run(audit_dir, run)?;
            // After a retry that was interrupted, the same command means the same run again.
            if run == "latest"
                && !earlier.is_complete()
                && let Some(first) = &earlier.latest.retry_of
            {
                earlier = past_run(audit_dir, first)?;
            }
            let lists = left_over(&earlier, hasher)?;
            return Ok(Self { lists, earlier: Some(EarlierRun::Retry(earlier)) });
        }
        let Some(run) = &args.resume else {
            return Ok(Self { lists: Lists::open(&inputs, &settings.input)?, earlier: None });
        };
        let earlier = past_run(audit_dir, run)?;
        let lists = match &earlier.latest.retry_of {
            _ if !inputs.is_empty() => Lists::open(&inputs, &settings.input)?,
            Some(first) => left_over(&past_run(audit_dir, first)?, hasher)?,
            None => Lists::open(&sources(&earlier)?, &settings.input)?,
        };
        Ok(Self { lists, earlier: Some(EarlierRun::Resume(earlier)) })
    }

    /// The run of which this one is a retry.
    pub(crate) fn retry_of(&self) -> Option<String> {
        match self.earlier.as_ref()? {
            EarlierRun::Retry(run) => Some(run.latest.run_id.clone()),
            EarlierRun::Resume(run) => run.latest.retry_of.clone(),
        }
    }
}

/// The folder of a run that the command line names.
pub(crate) fn find_run(audit_dir: &Path, run: &str) -> Result<PathBuf, Failure> {
    let found = journal::find_run(audit_dir, run).map_err(|error| {
        let problem = format!("cannot look for runs in {}: {error}", audit_dir.display());
        Failure::new(ExitCode::Usage, problem)
            .hint("--audit-dir (audit.dir) names the folder that keeps the runs")
    })?;
    found.ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("there is no run {run:?} in {}", audit_dir.display())).hint(
            "name a run's folder, its id, or latest; --audit-dir (audit.dir) names the folder that keeps the runs",
        )
    })
}

fn past_run(audit_dir: &Path, run: &str) -> Result<PastRun, Failure> {
    let folder = find_run(audit_dir, run)?;
    let read = PastRun::look_into(&folder);
    let read =
        read.map_err(|error| Failure::new(ExitCode::Usage, format!("{}: {error}", folder.display())))?;
    let run = read.ok_or_else(|| {
        let problem = format!("the journal in {} does not begin with a run", folder.display());
        Failure::new(ExitCode::Usage, problem).hint(KEEP_FOLDER)
    })?;
    match &run.latest.queue {
        None => Ok(run),
        Some(queue) => {
            let problem = format!(
                "run {} is a worker's, and its open rows are on the queue {queue}",
                run.latest.run_id
            );
            Err(Failure::new(ExitCode::Usage, problem)
                .hint("`work` continues what waits there; `queue requeue-dead` puts back what failed"))
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

/// The lists that a run had, by the names under which it had them.
fn sources(run: &PastRun) -> Result<Vec<ListName>, Failure> {
    let name = |list: &ListRecord| ListName { path: list.source.clone().into(), sheet: list.sheet.clone() };
    let sources: Vec<ListName> = run.latest.lists.iter().map(name).collect();
    if sources.iter().any(|source| source.path.as_os_str() == "-") {
        let problem = format!("run {} read a list from standard input", run.latest.run_id);
        return Err(Failure::new(ExitCode::Usage, problem).hint("give that list again, as INPUT"));
    }
    Ok(sources)
}
