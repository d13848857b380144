//! Starting a run: choose its folder, write its first record, and sync both to the disk.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use super::continuation::{self, Continued};
use super::selection::EarlierRun;
use crate::cli::CloseArgs;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::journal::{
    self, Chain, DIGITS_IN_ID, FileStorage, Hasher, Journal, JournalError, ListRecord, Record, RowCounts,
    RunStarted,
};
use crate::lists::{ListFacts, Lists, Survey};
use crate::outcome::OutcomeKind;
use crate::run::History;
use crate::settings::Settings;

/// A run whose folder and first record are on the disk.
pub(crate) struct StartedRun {
    pub(crate) run_id: String,
    pub(crate) folder: PathBuf,
    pub(crate) journal: Journal,
    pub(crate) hasher: Hasher,
    pub(crate) is_continued: bool,
    /// The command that continues this run, if it stops early. A worker's run has none: its open rows are on the queue.
    pub(crate) next_command: Option<String>,
    /// The rows that had their outcome before this process: none in a new run.
    pub(crate) earlier: BTreeMap<OutcomeKind, u64>,
}

impl StartedRun {
    /// How many rows had this outcome before this process.
    pub(crate) fn earlier(&self, kind: OutcomeKind) -> u64 {
        self.earlier.get(&kind).copied().unwrap_or(0)
    }
}

/// How the journal is hashed: under the configured key, if there is one.
pub(crate) fn hasher(settings: &Settings) -> Result<Hasher, Failure> {
    let Some(path) = &settings.audit.hmac_key_file else { return Ok(Hasher::PLAIN) };
    Hasher::from_key_file(path).map_err(|error| {
        let problem = format!("cannot read {}, which audit.hmac_key_file names: {error}", path.display());
        Failure::new(ExitCode::Usage, problem)
            .hint("name a file that holds the key and can be read, or set audit.hmac_key_file to \"\"")
    })
}

/// Where a run's rows come from.
pub(crate) enum RowSource<'a> {
    /// Lists, as they were counted; `retry_of` is the run whose failures they are.
    Lists { lists: &'a Lists, survey: &'a Survey, retry_of: Option<String> },
    /// A queue, named by its stream.
    Queue { stream: &'a str },
}

/// A run's first record, but for the run's id.
pub(crate) fn run_started(
    settings: &Settings,
    is_rehearsal: bool,
    hasher: &Hasher,
    source: RowSource<'_>,
) -> RunStarted {
    let record = RunStarted {
        run_id: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        keyed: hasher.is_keyed(),
        sandbox: is_rehearsal,
        lists: vec![],
        lists_digest: String::new(),
        rows: RowCounts::default(),
        settings: settings.for_journal(),
        retry_of: None,
        queue: None,
    };
    match source {
        RowSource::Queue { stream } => RunStarted { queue: Some(stream.to_owned()), ..record },
        RowSource::Lists { lists, survey, retry_of } => RunStarted {
            lists: lists.facts().into_iter().map(list_record).collect(),
            lists_digest: lists.digest(),
            rows: RowCounts {
                total: survey.total,
                to_close: survey.to_close,
                invalid: survey.invalid,
                duplicate: survey.duplicate,
                excluded: survey.excluded,
            },
            retry_of,
            ..record
        },
    }
}

fn list_record(facts: ListFacts) -> ListRecord {
    ListRecord {
        source: facts.source.to_string(),
        sheet: facts.sheet.map(|sheet| sheet.to_string()),
        sha256: facts.sha256,
        bytes: facts.bytes,
    }
}

/// Starts the run that the command line asks for: it continues the run that is named, or the unfinished run of the same
/// lists, or makes a new one. The journal is proven writable before anything is called. The audit folder is locked
/// meanwhile, so that two processes with the same lists cannot both start. Returns what the journal of a continued run knows.
pub(crate) fn start(
    args: &CloseArgs,
    settings: &Settings,
    earlier: Option<EarlierRun>,
    record: RunStarted,
    hasher: Hasher,
    clock: &Clock,
) -> Result<(StartedRun, History), Failure> {
    let audit_dir = &settings.audit.dir;
    let not_writable = |error: &dyn Display| audit_not_writable(audit_dir, error);
    let _lock = journal::lock_audit_dir(audit_dir).map_err(|error| not_writable(&error))?;
    let retry_of = record.retry_of.clone();
    let begun = |run_id: String, folder, journal| StartedRun {
        next_command: Some(super::next_command(&run_id, retry_of.as_deref())),
        run_id,
        folder,
        journal,
        hasher: hasher.clone(),
        is_continued: false,
        earlier: BTreeMap::new(),
    };
    if let Some(unfinished) = continuation::find(args, audit_dir, earlier, &record, &hasher)? {
        let Continued { run_id, folder, journal, history } =
            continuation::open(&unfinished, &record, &hasher, clock)?;
        let earlier = history.outcomes();
        return Ok((StartedRun { is_continued: true, earlier, ..begun(run_id, folder, journal) }, history));
    }
    let (run_id, folder) = make_folder(args, audit_dir, &record, clock)?;
    let journal =
        start_journal(audit_dir, &folder, RunStarted { run_id: run_id.clone(), ..record }, &hasher, clock)?;
    Ok((begun(run_id, folder, journal), History::default()))
}

/// Starts a worker's run. It is never continued, because its open rows are on the queue.
pub(crate) fn start_worker_run(
    settings: &Settings,
    record: RunStarted,
    hasher: &Hasher,
    clock: &Clock,
) -> Result<StartedRun, Failure> {
    let audit_dir = &settings.audit.dir;
    let (run_id, folder) = dated_folder(audit_dir, "queue", clock)?;
    let journal =
        start_journal(audit_dir, &folder, RunStarted { run_id: run_id.clone(), ..record }, hasher, clock)?;
    Ok(StartedRun {
        run_id,
        folder,
        journal,
        hasher: hasher.clone(),
        is_continued: false,
        next_command: None,
        earlier: BTreeMap::new(),
    })
}

/// The audit cannot be written, and so nothing was called.
pub(crate) fn audit_not_writable(audit_dir: &Path, error: &dyn Display) -> Failure {
    let dir = audit_dir.display();
    Failure::new(ExitCode::AuditLost, format!("cannot write the audit to {dir}: {error}; nothing was called"))
        .hint("make the folder writable, or name another one with --audit-dir (audit.dir)")
}

/// The folder of the id that was asked for, or of the default id: start time and eight digits of the lists' digest.
fn make_folder(
    args: &CloseArgs,
    audit_dir: &Path,
    record: &RunStarted,
    clock: &Clock,
) -> Result<(String, PathBuf), Failure> {
    let refuse = |id: &str, hint: &str| {
        Err(Failure::new(ExitCode::Usage, format!("{id:?} cannot be this run's id")).hint(hint))
    };
    let Some(id) = &args.run_id else {
        return dated_folder(audit_dir, &record.lists_digest[..DIGITS_IN_ID], clock);
    };
    if !journal::is_run_id(id) {
        return refuse(id, "an id consists of letters, digits, dots, dashes and underscores");
    }
    let created =
        journal::create_run_folder(audit_dir, id).map_err(|error| audit_not_writable(audit_dir, &error))?;
    match created {
        Some(folder) => Ok((id.clone(), folder)),
        None => refuse(id, "a run of this id exists already: choose another --run-id"),
    }
}

/// A folder whose id is the time and `what`, and a number where several runs start within a second.
fn dated_folder(audit_dir: &Path, what: &str, clock: &Clock) -> Result<(String, PathBuf), Failure> {
    let default = format!("{}-{what}", clock.timestamp().strftime("%Y%m%dT%H%M%SZ"));
    let mut id = default.clone();
    for number in 2.. {
        let created = journal::create_run_folder(audit_dir, &id)
            .map_err(|error| audit_not_writable(audit_dir, &error))?;
        if let Some(folder) = created {
            return Ok((id, folder));
        }
        id = format!("{default}-{number}");
    }
    unreachable!("a folder has fewer than 2^31 runs of one second")
}

/// Writes the first record. If that fails, the folder is removed again.
fn start_journal(
    audit_dir: &Path,
    folder: &Path,
    record: RunStarted,
    hasher: &Hasher,
    clock: &Clock,
) -> Result<Journal, Failure> {
    let write = || {
        let path = folder.join(journal::FILE_NAME);
        let journal = Journal::new(path.clone(), FileStorage::create(&path)?, Chain::new(hasher.clone()));
        let io_error = |error: JournalError| io::Error::other(error.problem);
        journal.append(&Record::RunStarted(Box::new(record)), clock.timestamp()).map_err(io_error)?;
        journal.sync().map_err(io_error)?;
        journal::sync_folder(folder)?;
        Ok(journal)
    };
    write().map_err(|error: io::Error| {
        journal::discard_run_folder(folder);
        audit_not_writable(audit_dir, &error)
    })
}
