//! Starts a run: makes its folder or finds the run to continue, and writes its first record.
//!
//! Invariant: the folder and the first record are on the disk before anything is called.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::continuation;
use super::feed::Feed;
use super::next_command::next_command;
use super::run_folder::{self, RunFolder, audit_not_writable};
use super::selection::{EarlierRun, Selection};
use crate::cli::CloseArgs;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::journal::{
    self, Chain, DIGITS_IN_ID, FileStorage, Hasher, Journal, JournalError, ListRecord, Record, RowCounts,
    RunStarted,
};
use crate::lists::ListFacts;
use crate::outcome::OutcomeKind;
use crate::printer;
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
    /// How many rows had each outcome before this process started. Empty for a new run.
    pub(crate) earlier: BTreeMap<OutcomeKind, u64>,
}

impl StartedRun {
    /// How many rows had this outcome before this process started.
    pub(crate) fn earlier(&self, kind: OutcomeKind) -> u64 {
        self.earlier.get(&kind).copied().unwrap_or(0)
    }
}

/// How the journal is hashed: with the configured key, if there is one.
pub(crate) fn hasher(settings: &Settings) -> Result<Hasher, Failure> {
    let Some(path) = &settings.audit.hmac_key_file else { return Ok(Hasher::PLAIN) };
    Hasher::from_key_file(path).map_err(|error| {
        let problem = format!("cannot read {}, which audit.hmac_key_file names: {error}", path.display());
        Failure::new(ExitCode::Usage, problem)
            .hint("name a readable file with the key, or set audit.hmac_key_file to \"\"")
    })
}

/// Starts the run that the command line means. It continues the run that is named, or the unfinished run of the same lists.
/// Without such a run, it starts a new one. It locks the audit folder meanwhile, so that two processes with the same lists
/// cannot both start.
pub(crate) fn start(
    args: &CloseArgs,
    settings: &Settings,
    selection: Selection,
    hasher: &Hasher,
    is_rehearsal: bool,
    clock: &Clock,
) -> Result<(StartedRun, Feed), Failure> {
    let audit_dir = &settings.audit.dir;
    let _lock = journal::lock_audit_dir(audit_dir).map_err(|error| audit_not_writable(audit_dir, &error))?;
    let record = of_lists(&selection, settings, hasher, is_rehearsal);
    let Selection { lists, exclusions, earlier, .. } = selection;
    let retry_of = record.retry_of.clone();
    if let Some(EarlierRun::Resume(run)) = &earlier
        && continuation::is_over(run, &record)
    {
        printer::err(&format!("run {} is complete: starting a new run", run.latest.run_id));
    }
    if let Some(unfinished) = continuation::find(args, audit_dir, earlier.as_ref(), &record, hasher)? {
        let (journal, history) =
            continuation::open(&unfinished, &record, args.guards.exclude.is_some(), hasher, clock)?;
        let run_id = unfinished.latest.run_id;
        let started = StartedRun {
            next_command: Some(next_command(&run_id, retry_of.as_deref())),
            run_id,
            folder: unfinished.folder,
            journal,
            hasher: hasher.clone(),
            is_continued: true,
            earlier: history.outcomes(),
        };
        return Ok((started, Feed { lists, exclusions, history }));
    }
    let folder = match &args.run_id {
        Some(id) => run_folder::make_named(audit_dir, id)?,
        None => run_folder::make_dated(audit_dir, &record.lists_digest[..DIGITS_IN_ID], clock)?,
    };
    let started = new_run(audit_dir, folder, record, hasher, clock)?;
    let next_command = Some(next_command(&started.run_id, retry_of.as_deref()));
    let history = History::default();
    Ok((StartedRun { next_command, ..started }, Feed { lists, exclusions, history }))
}

/// Starts a worker's run. No command continues it, because its open rows are on the queue.
pub(crate) fn start_worker_run(
    settings: &Settings,
    hasher: &Hasher,
    is_rehearsal: bool,
    clock: &Clock,
) -> Result<StartedRun, Failure> {
    let audit_dir = &settings.audit.dir;
    let folder = run_folder::make_dated(audit_dir, "queue", clock)?;
    let queue = Some(settings.queue.stream.clone());
    let record = RunStarted { queue, ..first_record(settings, hasher, is_rehearsal) };
    new_run(audit_dir, folder, record, hasher, clock)
}

/// The first record of a run over lists, without the run's id.
pub(super) fn of_lists(
    selection: &Selection,
    settings: &Settings,
    hasher: &Hasher,
    is_rehearsal: bool,
) -> RunStarted {
    let Selection { lists, survey, .. } = selection;
    RunStarted {
        lists: lists.facts().into_iter().map(list_record).collect(),
        lists_digest: lists.digest(),
        rows: RowCounts {
            total: survey.total,
            to_close: survey.to_close,
            invalid: survey.invalid,
            duplicate: survey.duplicate,
            excluded: survey.excluded,
        },
        retry_of: selection.retry_of(),
        ..first_record(settings, hasher, is_rehearsal)
    }
}

/// What is the same in every first record.
fn first_record(settings: &Settings, hasher: &Hasher, is_rehearsal: bool) -> RunStarted {
    RunStarted {
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

/// Writes the first record of a new run. If that fails, removes the folder again.
fn new_run(
    audit_dir: &Path,
    folder: RunFolder,
    record: RunStarted,
    hasher: &Hasher,
    clock: &Clock,
) -> Result<StartedRun, Failure> {
    let RunFolder { run_id, path: folder } = folder;
    let record = Record::RunStarted(Box::new(RunStarted { run_id: run_id.clone(), ..record }));
    let write = || {
        let path = folder.join(journal::FILE_NAME);
        let journal = Journal::new(path.clone(), FileStorage::create(&path)?, Chain::new(hasher.clone()));
        let io_error = |error: JournalError| io::Error::other(error.problem);
        journal.append(&record, clock.timestamp()).map_err(io_error)?;
        journal.sync().map_err(io_error)?;
        journal::sync_folder(&folder)?;
        Ok(journal)
    };
    let journal = write().map_err(|error: io::Error| {
        journal::discard_run_folder(&folder);
        audit_not_writable(audit_dir, &error)
    })?;
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
