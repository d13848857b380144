//! Beginning a run, or going on with one that was left unfinished.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use super::orders::Named;
use crate::cli::CloseArgs;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::journal::{
    self, Chain, DIGITS_IN_ID, FileStorage, Hasher, Journal, JournalError, PastRun, Record, RecoverError,
    RunStarted, RunsError,
};
use crate::run::History;
use crate::settings::Settings;
use crate::{printer, report};

/// A run whose folder and first record are on the disk.
pub(super) struct Begun {
    pub(super) run_id: String,
    pub(super) folder: PathBuf,
    pub(super) journal: Journal,
    pub(super) hasher: Hasher,
    pub(super) is_continued: bool,
    /// The run of which this one is a retry.
    pub(super) retry_of: Option<String>,
}

/// How the journal is hashed: under the configured key, if there is one.
pub(super) fn hasher(settings: &Settings) -> Result<Hasher, Failure> {
    let Some(path) = &settings.audit.hmac_key_file else { return Ok(Hasher::PLAIN) };
    Hasher::from_key_file(path).map_err(|error| {
        let problem = format!("cannot read {}, which audit.hmac_key_file names: {error}", path.display());
        Failure::new(ExitCode::Usage, problem)
            .hint("name a file that can be read and holds the key, or set audit.hmac_key_file to \"\"")
    })
}

/// Goes on with the run that was named, or with the unfinished one of the same lists, or makes a new one, and proves its
/// journal writable before anything is called. The audit folder is locked meanwhile, so that two invocations with the same
/// lists cannot both begin.
pub(super) fn begin(
    args: &CloseArgs,
    settings: &Settings,
    named: Option<Named>,
    started: RunStarted,
    hasher: Hasher,
    clock: &Clock,
) -> Result<(Begun, History), Failure> {
    let audit_dir = &settings.audit.dir;
    let lost = |error: &dyn Display| lost(audit_dir, error);
    let _lock = journal::lock_audit_dir(audit_dir).map_err(|error| lost(&error))?;
    let resumed = to_resume(named, &started)?;
    let runs = match journal::runs_of_the_same_work(audit_dir, &started, resumed.as_ref(), &hasher) {
        Ok(runs) => runs,
        Err(RunsError::BrokenStart(_)) if args.fresh => vec![],
        Err(error @ RunsError::BrokenStart(_)) => {
            return Err(Failure::new(ExitCode::Usage, error).hint(keep_broken(&hasher)));
        }
        Err(RunsError::Io(error)) => return Err(lost(&error)),
    };
    if let Some(running) = runs.iter().find(|run| run.is_running()) {
        return Err(busy(running));
    }
    // A newer run that is whole says that an older one was given up.
    let unfinished = resumed.or_else(|| runs.into_iter().next_back().filter(|run| !is_whole(run)));
    if let Some(unfinished) = unfinished {
        let id = &unfinished.latest.run_id;
        let same_id = args.run_id.as_ref().is_none_or(|wanted| wanted == id);
        if let Some(begun) = go_on(&unfinished, &started, &hasher, same_id && !args.fresh, clock)? {
            return Ok(begun);
        }
    }
    let retry_of = started.retry_of.clone();
    let (run_id, folder) = make_folder(args, audit_dir, &started, clock)?;
    let begun =
        start_journal(&folder, RunStarted { run_id: run_id.clone(), ..started }, hasher.clone(), clock);
    match begun {
        Ok(journal) => {
            Ok((Begun { run_id, folder, journal, hasher, is_continued: false, retry_of }, History::default()))
        }
        Err(error) => {
            journal::discard_run_folder(&folder);
            Err(lost(&error))
        }
    }
}

/// Whether every row of a run has its outcome, and its reports tell so. One that could not write its reports goes on to do
/// that: it calls nothing.
fn is_whole(run: &PastRun) -> bool {
    run.is_complete() && report::are_made(&run.folder, &run.head_hash)
}

/// The named run, where there is something to go on with. A complete run of the same lists is never redone: a new one
/// starts, and says so.
fn to_resume(named: Option<Named>, started: &RunStarted) -> Result<Option<PastRun>, Failure> {
    let Some(named) = named else { return Ok(None) };
    let run = named.run();
    let id = &run.latest.run_id;
    if !run.is_at_the_same_place(started) {
        let problem = format!(
            "run {id} was not against this DingTalk: one of the two is a rehearsal, or the addresses differ"
        );
        return Err(Failure::new(ExitCode::Usage, problem).hint(
            "a rehearsal is gone on with by --sandbox, and any other run by the same dingtalk.base_url",
        ));
    }
    match named {
        Named::Retry(_) => Ok(None),
        Named::Resume(run) if is_whole(&run) && run.latest.lists_digest == started.lists_digest => {
            printer::err(&format!("run {} is complete: a new one starts", run.latest.run_id));
            Ok(None)
        }
        Named::Resume(run) => Ok(Some(run)),
    }
}

pub(super) fn lost(audit_dir: &Path, error: &dyn Display) -> Failure {
    let dir = audit_dir.display();
    Failure::new(ExitCode::AuditLost, format!("cannot write the audit to {dir}: {error}; nothing was called"))
        .hint("make the folder writable, or name another with --audit-dir (audit.dir)")
}

/// Goes on with a run where that is wanted.
fn go_on(
    unfinished: &PastRun,
    started: &RunStarted,
    hasher: &Hasher,
    wanted: bool,
    clock: &Clock,
) -> Result<Option<(Begun, History)>, Failure> {
    let folder = unfinished.folder.clone();
    let run_id = unfinished.latest.run_id.clone();
    let path = folder.join(journal::FILE_NAME);
    if !wanted {
        return Ok(None);
    }
    let mut history = History::default();
    let recovered = journal::recover(&path, hasher.clone(), |entry| history.learn(&entry.record, entry.at));
    let recovered = recovered.map_err(|error| match error {
        RecoverError::Busy(_) => busy(unfinished),
        RecoverError::Io { .. } => Failure::new(ExitCode::AuditLost, error)
            .hint("make room, or mend the folder, and run the same command again: it goes on with this run"),
        RecoverError::Read(_) if unfinished.latest.keyed != hasher.is_keyed() => {
            let begun = if hasher.is_keyed() { "without a key" } else { "under a key" };
            let problem = format!("run {run_id} was begun {begun}, and goes on only so");
            Failure::new(ExitCode::Usage, problem)
                .hint("set audit.hmac_key_file as it was then, or begin anew with --fresh")
        }
        RecoverError::Read(_) => Failure::new(ExitCode::Usage, error).hint(keep_broken(hasher)),
    })?;
    if let Some(torn) = &recovered.torn {
        printer::err(&format!(
            "the journal's last record was cut off; what was there is kept in {}",
            torn.display()
        ));
    }
    let journal = Journal::new(path, recovered.storage, recovered.chain);
    let retry_of = started.retry_of.clone();
    let continued = RunStarted { run_id: run_id.clone(), ..started.clone() };
    journal.append(&Record::RunContinued(Box::new(continued)), clock.timestamp())?;
    journal.sync()?;
    Ok(Some((
        Begun { run_id, folder, journal, hasher: hasher.clone(), is_continued: true, retry_of },
        history,
    )))
}

/// What to do with a journal that is not what was written.
fn keep_broken(hasher: &Hasher) -> String {
    let key = if hasher.is_keyed() {
        "see that audit.hmac_key_file names the key that it was begun under; "
    } else {
        ""
    };
    format!("{key}keep the folder for whoever looks into it, and begin anew with --fresh")
}

fn busy(unfinished: &PastRun) -> Failure {
    let problem = format!(
        "process {} is closing the meetings of these lists right now (run {})",
        unfinished.latest.pid, unfinished.latest.run_id
    );
    Failure::new(ExitCode::Usage, problem).hint("wait until it has ended")
}

/// The folder of the id that was asked for, or of the default one: start time and eight digits of the lists' digest, and
/// a number where two runs of the same lists start within a second.
fn make_folder(
    args: &CloseArgs,
    audit_dir: &Path,
    started: &RunStarted,
    clock: &Clock,
) -> Result<(String, PathBuf), Failure> {
    let create =
        |id: &str| journal::create_run_folder(audit_dir, id).map_err(|error| lost(audit_dir, &error));
    let refuse = |id: &str, hint: &str| {
        Err(Failure::new(ExitCode::Usage, format!("{id:?} cannot be this run's id")).hint(hint))
    };
    if let Some(id) = &args.run_id {
        if !journal::is_run_id(id) {
            return refuse(id, "letters, digits, dots, dashes and underscores can be in an id");
        }
        return match create(id)? {
            Some(folder) => Ok((id.clone(), folder)),
            None => refuse(id, "a run of this id is there already: choose another --run-id"),
        };
    }
    dated_folder(audit_dir, &started.lists_digest[..DIGITS_IN_ID], clock)
}

/// A folder whose id is the time and `what`, and a number where there are several of one second.
fn dated_folder(audit_dir: &Path, what: &str, clock: &Clock) -> Result<(String, PathBuf), Failure> {
    let default = format!("{}-{what}", clock.timestamp().strftime("%Y%m%dT%H%M%SZ"));
    let mut id = default.clone();
    for number in 2.. {
        let created = journal::create_run_folder(audit_dir, &id).map_err(|error| lost(audit_dir, &error))?;
        if let Some(folder) = created {
            return Ok((id, folder));
        }
        id = format!("{default}-{number}");
    }
    unreachable!("a folder has fewer than 2^31 runs of one second")
}

/// Begins a run of a worker: it is never gone on with, because what it leaves is on the queue.
pub(super) fn begin_of_queue(
    settings: &Settings,
    started: RunStarted,
    hasher: Hasher,
    clock: &Clock,
) -> Result<Begun, Failure> {
    let audit_dir = &settings.audit.dir;
    let (run_id, folder) = dated_folder(audit_dir, "queue", clock)?;
    let started = RunStarted { run_id: run_id.clone(), ..started };
    match start_journal(&folder, started, hasher.clone(), clock) {
        Ok(journal) => Ok(Begun { run_id, folder, journal, hasher, is_continued: false, retry_of: None }),
        Err(error) => {
            journal::discard_run_folder(&folder);
            Err(lost(audit_dir, &error))
        }
    }
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
