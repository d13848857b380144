//! Continues a run that an earlier process left unfinished.
//!
//! Invariant: a complete run is never continued, and two processes never continue the same run.

use std::path::Path;

use super::run_folder::audit_not_writable;
use super::selection::EarlierRun;
use crate::cli::CloseArgs;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Hasher, Journal, PastRun, Record, RecoverError, RunStarted, RunsError};
use crate::run::History;
use crate::wording::count;
use crate::{printer, report};

/// The run to continue, if there is one: the named run, or else the newest unfinished run of the same lists at the same
/// DingTalk. It is an error if that run is running now.
pub(super) fn find(
    args: &CloseArgs,
    audit_dir: &Path,
    earlier: Option<&EarlierRun>,
    record: &RunStarted,
    hasher: &Hasher,
) -> Result<Option<PastRun>, Failure> {
    let named = to_resume(earlier, record)?;
    let runs = match journal::runs_of_the_same_work(audit_dir, record, named.as_ref(), hasher) {
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
    // If a newer run is complete, the user has given up the older ones.
    let unfinished = named.or_else(|| runs.into_iter().next_back().filter(|run| !is_complete(run)));
    let is_wanted =
        |run: &PastRun| !args.fresh && args.run_id.as_ref().is_none_or(|wanted| *wanted == run.latest.run_id);
    Ok(unfinished.filter(is_wanted))
}

/// Whether every row of a run has its outcome, and its reports are written. A run without its reports is continued only to
/// write them, and calls nothing.
fn is_complete(run: &PastRun) -> bool {
    run.is_complete() && report::are_made(&run.folder, &run.head_hash)
}

/// The named run, if it has open rows. If the named run of the same lists is complete, a new run starts.
fn to_resume(earlier: Option<&EarlierRun>, record: &RunStarted) -> Result<Option<PastRun>, Failure> {
    let Some(earlier) = earlier else { return Ok(None) };
    let run = earlier.run();
    let id = &run.latest.run_id;
    if !run.is_at_the_same_place(record) {
        let problem = format!(
            "run {id} was at another DingTalk: one of the two is a rehearsal, or the addresses differ"
        );
        return Err(Failure::new(ExitCode::Usage, problem)
            .hint("continue a rehearsal with --sandbox, and a real run with the same dingtalk.base_url"));
    }
    match earlier {
        EarlierRun::Retry(_) => Ok(None),
        EarlierRun::Resume(run) if is_over(run, record) => Ok(None),
        EarlierRun::Resume(run) => Ok(Some(run.clone())),
    }
}

/// Whether a run is complete, and these are its lists. Then a new run starts in its place.
pub(super) fn is_over(run: &PastRun, record: &RunStarted) -> bool {
    is_complete(run) && run.latest.lists_digest == record.lists_digest
}

/// What the journal of an unfinished run says, without a lock and without a change.
pub(super) fn look(unfinished: &PastRun, hasher: &Hasher) -> Result<History, Failure> {
    let mut history = History::default();
    let path = unfinished.folder.join(journal::FILE_NAME);
    journal::replay(&path, hasher.clone(), |entry| history.learn(&entry.record, entry.at))
        .map_err(|error| not_recovered(RecoverError::Read(error), unfinished, hasher))?;
    Ok(history)
}

/// Opens the journal of an unfinished run, replays it, and adds the record that the run continues.
pub(super) fn open(
    unfinished: &PastRun,
    record: &RunStarted,
    has_exclusions: bool,
    hasher: &Hasher,
    clock: &Clock,
) -> Result<(Journal, History), Failure> {
    let path = unfinished.folder.join(journal::FILE_NAME);
    let mut history = History::default();
    let recovered = journal::recover(&path, hasher.clone(), |entry| history.learn(&entry.record, entry.at));
    let recovered = recovered.map_err(|error| not_recovered(error, unfinished, hasher))?;
    if let Some(torn) = &recovered.torn {
        printer::err(&format!(
            "the journal's last record was cut off: {} keeps the part that was written",
            torn.display()
        ));
    }
    let unnamed = history.unnamed_exclusions();
    if unnamed > 0 && !has_exclusions {
        return Err(exclusions_needed(unfinished, unnamed));
    }
    let journal = Journal::new(path, recovered.storage, recovered.chain);
    let continued = RunStarted { run_id: unfinished.latest.run_id.clone(), ..record.clone() };
    journal.append(&Record::RunContinued(Box::new(continued)), clock.timestamp())?;
    journal.sync()?;
    Ok((journal, history))
}

/// A killed run has not named all its exclusions in the journal, so continuing it without them could close those meetings.
fn exclusions_needed(unfinished: &PastRun, unnamed: u64) -> Failure {
    let (id, rows) = (&unfinished.latest.run_id, count(unnamed, "row"));
    let problem = format!("run {id} began with exclusions, and {rows} that it excluded would be closed now");
    Failure::new(ExitCode::Usage, problem)
        .hint("name the exclusions again with --exclude, or start a new run without them: --fresh")
}

fn not_recovered(error: RecoverError, unfinished: &PastRun, hasher: &Hasher) -> Failure {
    match error {
        RecoverError::Busy(_) => busy(unfinished),
        RecoverError::Io { .. } => Failure::new(ExitCode::AuditLost, error)
            .hint("free disk space or repair the folder, then repeat the command: it continues this run"),
        RecoverError::Read(_) if unfinished.latest.keyed != hasher.is_keyed() => {
            let how = if hasher.is_keyed() { "without a key" } else { "with a key" };
            let id = &unfinished.latest.run_id;
            let problem = format!("run {id} began {how}, and can only be continued {how}");
            Failure::new(ExitCode::Usage, problem)
                .hint("set audit.hmac_key_file to its value of that time, or start a new run with --fresh")
        }
        RecoverError::Read(_) => Failure::new(ExitCode::Usage, error).hint(keep_broken(hasher)),
    }
}

/// The hint about an altered journal.
fn keep_broken(hasher: &Hasher) -> String {
    let key = if hasher.is_keyed() {
        "check that audit.hmac_key_file names the key with which the run began; "
    } else {
        ""
    };
    format!("{key}keep the folder as evidence, and start a new run with --fresh")
}

fn busy(running: &PastRun) -> Failure {
    let problem = format!(
        "process {} is closing the meetings of these lists now (run {})",
        running.latest.pid, running.latest.run_id
    );
    Failure::new(ExitCode::Usage, problem).hint("wait until that process has ended")
}
