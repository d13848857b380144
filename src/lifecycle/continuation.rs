//! Continuing a run that an earlier process left unfinished.

use std::path::{Path, PathBuf};

use super::selection::EarlierRun;
use super::start::audit_not_writable;
use crate::cli::CloseArgs;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Hasher, Journal, PastRun, Record, RecoverError, RunStarted, RunsError};
use crate::run::History;
use crate::{printer, report};

/// A run that goes on.
pub(super) struct Continued {
    pub(super) run_id: String,
    pub(super) folder: PathBuf,
    pub(super) journal: Journal,
    pub(super) history: History,
}

/// The run to continue, if there is one: the run that is named, else the newest unfinished run of the same lists at the same
/// DingTalk. A running one is an error.
pub(super) fn find(
    args: &CloseArgs,
    audit_dir: &Path,
    earlier: Option<EarlierRun>,
    record: &RunStarted,
    hasher: &Hasher,
) -> Result<Option<PastRun>, Failure> {
    let resumed = to_resume(earlier, record)?;
    let runs = match journal::runs_of_the_same_work(audit_dir, record, resumed.as_ref(), hasher) {
        Ok(runs) => runs,
        Err(RunsError::BrokenStart(_)) if args.fresh => vec![],
        Err(error @ RunsError::BrokenStart(_)) => {
            return Err(Failure::new(ExitCode::Usage, error).hint(keep_broken(hasher)));
        }
        Err(RunsError::Io(error)) => return Err(audit_not_writable(audit_dir, &error)),
    };
    if let Some(running) = runs.iter().find(|run| run.is_running()) {
        return Err(busy(running));
    }
    // A newer complete run means that an older one was given up.
    let unfinished = resumed.or_else(|| runs.into_iter().next_back().filter(|run| !is_complete(run)));
    let is_wanted =
        |run: &PastRun| !args.fresh && args.run_id.as_ref().is_none_or(|wanted| *wanted == run.latest.run_id);
    Ok(unfinished.filter(is_wanted))
}

/// Whether every row of a run has its outcome, and its reports say so. A run whose reports could not be written is
/// continued to write them: that calls nothing.
fn is_complete(run: &PastRun) -> bool {
    run.is_complete() && report::are_made(&run.folder, &run.head_hash)
}

/// The named run, where something of it is open. A complete run of the same lists is never redone: a new one starts.
fn to_resume(earlier: Option<EarlierRun>, record: &RunStarted) -> Result<Option<PastRun>, Failure> {
    let Some(earlier) = earlier else { return Ok(None) };
    let run = earlier.run();
    let id = &run.latest.run_id;
    if !run.is_at_the_same_place(record) {
        let problem = format!(
            "run {id} was not against this DingTalk: one of the two is a rehearsal, or the addresses differ"
        );
        return Err(Failure::new(ExitCode::Usage, problem)
            .hint("continue a rehearsal with --sandbox, and any other run with the same dingtalk.base_url"));
    }
    match earlier {
        EarlierRun::Retry(_) => Ok(None),
        EarlierRun::Resume(run) if is_complete(&run) && run.latest.lists_digest == record.lists_digest => {
            printer::err(&format!("run {} is complete: a new one starts", run.latest.run_id));
            Ok(None)
        }
        EarlierRun::Resume(run) => Ok(Some(run)),
    }
}

/// Reads the journal of an unfinished run, and adds the record that the run goes on.
pub(super) fn open(
    unfinished: &PastRun,
    record: &RunStarted,
    hasher: &Hasher,
    clock: &Clock,
) -> Result<Continued, Failure> {
    let folder = unfinished.folder.clone();
    let run_id = unfinished.latest.run_id.clone();
    let path = folder.join(journal::FILE_NAME);
    let mut history = History::default();
    let recovered = journal::recover(&path, hasher.clone(), |entry| history.learn(&entry.record, entry.at));
    let recovered = recovered.map_err(|error| not_recovered(error, unfinished, hasher))?;
    if let Some(torn) = &recovered.torn {
        printer::err(&format!(
            "the journal's last record was cut off; {} keeps what was there",
            torn.display()
        ));
    }
    let journal = Journal::new(path, recovered.storage, recovered.chain);
    let continued = RunStarted { run_id: run_id.clone(), ..record.clone() };
    journal.append(&Record::RunContinued(Box::new(continued)), clock.timestamp())?;
    journal.sync()?;
    Ok(Continued { run_id, folder, journal, history })
}

fn not_recovered(error: RecoverError, unfinished: &PastRun, hasher: &Hasher) -> Failure {
    match error {
        RecoverError::Busy(_) => busy(unfinished),
        RecoverError::Io { .. } => Failure::new(ExitCode::AuditLost, error)
            .hint("make room, or mend the folder, and run the same command again: it continues this run"),
        RecoverError::Read(_) if unfinished.latest.keyed != hasher.is_keyed() => {
            let begun = if hasher.is_keyed() { "without a key" } else { "with a key" };
            let problem =
                format!("run {} began {begun}, and can only be continued so", unfinished.latest.run_id);
            Failure::new(ExitCode::Usage, problem)
                .hint("set audit.hmac_key_file as it was then, or start a new run with --fresh")
        }
        RecoverError::Read(_) => Failure::new(ExitCode::Usage, error).hint(keep_broken(hasher)),
    }
}

/// What to do with a journal that was altered.
fn keep_broken(hasher: &Hasher) -> String {
    let key = if hasher.is_keyed() {
        "check that audit.hmac_key_file names the key that the run began with; "
    } else {
        ""
    };
    format!("{key}keep the folder as evidence, and start a new run with --fresh")
}

fn busy(running: &PastRun) -> Failure {
    let problem = format!(
        "process {} is closing the meetings of these lists right now (run {})",
        running.latest.pid, running.latest.run_id
    );
    Failure::new(ExitCode::Usage, problem).hint("wait until it has ended")
}
