//! What a `close` is about: the rows of its lists, of the lists that an earlier run had, or of an earlier run's failures.

use std::path::{Path, PathBuf};

use crate::cli::CloseArgs;
use crate::exit::{ExitCode, Failure};
use crate::intake::{ListName, Lists};
use crate::journal::{self, Hasher, ListRecord, PastRun};
use crate::report;
use crate::settings::Settings;

/// What to do with a journal that is not what was written.
pub(super) const KEEP: &str = "keep the folder for whoever looks into it";

/// The rows, and the earlier run that was named, if one was.
pub(super) struct Orders {
    pub(super) lists: Lists,
    pub(super) named: Option<Named>,
}

/// An earlier run that the command line names.
pub(super) enum Named {
    /// To be gone on with.
    Resume(PastRun),
    /// To be asked again for what did not end.
    Retry(PastRun),
}

impl Named {
    pub(super) fn run(&self) -> &PastRun {
        match self {
            Self::Resume(run) | Self::Retry(run) => run,
        }
    }
}

impl Orders {
    pub(super) fn of(args: &CloseArgs, settings: &Settings, hasher: &Hasher) -> Result<Self, Failure> {
        let audit_dir = &settings.audit.dir;
        let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
        if let Some(run) = &args.retry_failed {
            let mut named = past_run(audit_dir, run)?;
            // The same command again, after a retry that was interrupted, means what it meant before.
            if run == "latest"
                && !named.is_complete()
                && let Some(first) = &named.latest.retry_of
            {
                named = past_run(audit_dir, first)?;
            }
            return Ok(Self { lists: left_over(&named, hasher)?, named: Some(Named::Retry(named)) });
        }
        let Some(run) = &args.resume else {
            return Ok(Self { lists: Lists::open(&inputs, &settings.input)?, named: None });
        };
        let named = past_run(audit_dir, run)?;
        let lists = match &named.latest.retry_of {
            _ if !inputs.is_empty() => Lists::open(&inputs, &settings.input)?,
            Some(first) => left_over(&past_run(audit_dir, first)?, hasher)?,
            None => Lists::open(&sources(&named)?, &settings.input)?,
        };
        Ok(Self { lists, named: Some(Named::Resume(named)) })
    }

    /// The run of which this one is a retry.
    pub(super) fn retry_of(&self) -> Option<String> {
        match self.named.as_ref()? {
            Named::Retry(run) => Some(run.latest.run_id.clone()),
            Named::Resume(run) => run.latest.retry_of.clone(),
        }
    }
}

/// The folder of a run that the command line names.
pub(super) fn find(audit_dir: &Path, run: &str) -> Result<PathBuf, Failure> {
    let found = journal::find_run(audit_dir, run).map_err(|error| {
        let problem = format!("cannot look for runs in {}: {error}", audit_dir.display());
        Failure::new(ExitCode::Usage, problem).hint("--audit-dir (audit.dir) says where runs are kept")
    })?;
    found.ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("there is no run {run:?} in {}", audit_dir.display()))
            .hint("name a run's folder, its id, or latest; --audit-dir says where runs are kept")
    })
}

fn past_run(audit_dir: &Path, run: &str) -> Result<PastRun, Failure> {
    let folder = find(audit_dir, run)?;
    let read = PastRun::look_into(&folder);
    let read =
        read.map_err(|error| Failure::new(ExitCode::Usage, format!("{}: {error}", folder.display())))?;
    let run = read.ok_or_else(|| {
        let problem = format!("the journal in {} does not begin with a run", folder.display());
        Failure::new(ExitCode::Usage, problem).hint(KEEP)
    })?;
    match &run.latest.queue {
        None => Ok(run),
        Some(queue) => {
            let problem =
                format!("run {} is a worker's, and what it left is on the queue {queue}", run.latest.run_id);
            Err(Failure::new(ExitCode::Usage, problem)
                .hint("work goes on with what waits, and queue requeue-dead puts back what failed"))
        }
    }
}

fn left_over(run: &PastRun, hasher: &Hasher) -> Result<Lists, Failure> {
    let id = &run.latest.run_id;
    if run.ended.is_none() {
        let problem = format!("run {id} has not come to its end, so nobody can say what failed in it");
        return Err(Failure::new(ExitCode::Usage, problem).hint(format!("--resume {id} goes on with it")));
    }
    let rows = report::left_over(&run.folder.join(journal::FILE_NAME), hasher.clone());
    let unreadable = |error| Failure::new(ExitCode::Usage, error).hint(KEEP);
    Lists::carried_over(&format!("run {id}"), rows.map_err(unreadable)?.map(|row| row.map_err(unreadable)))
}

/// The lists that a run had, by the names under which it had them.
fn sources(run: &PastRun) -> Result<Vec<ListName>, Failure> {
    let name = |list: &ListRecord| ListName { path: list.source.clone().into(), sheet: list.sheet.clone() };
    let sources: Vec<ListName> = run.latest.lists.iter().map(name).collect();
    if sources.iter().any(|source| source.path.as_os_str() == "-") {
        let problem = format!("run {} had a list from standard input", run.latest.run_id);
        return Err(Failure::new(ExitCode::Usage, problem).hint("give it once more, as INPUT"));
    }
    Ok(sources)
}
