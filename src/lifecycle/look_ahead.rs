//! Looks at the earlier runs before a run starts: which one it continues, and which unfinished one it would leave behind.
//!
//! Invariant: it only looks. It writes nothing, calls nothing, and keeps no lock.

use super::continuation;
use super::feed::Feed;
use super::next_command::resume_command;
use super::outlook::{Continued, Outlook};
use super::run_folder::audit_not_writable;
use super::selection::Selection;
use super::start::of_lists;
use crate::cli::CloseArgs;
use crate::exit::Failure;
use crate::journal::{self, Hasher, PastRun, RunStarted};
use crate::printer;
use crate::settings::Settings;

/// Looks at the earlier runs before a run starts, and names an unfinished run that would be left behind. In a dry run nobody
/// asks the server whether it is the stand-in, so both kinds of runs are possible where the address is on this machine.
pub(crate) fn look_ahead(
    args: &CloseArgs,
    settings: &Settings,
    selection: &Selection,
    hasher: &Hasher,
    is_rehearsal: Option<bool>,
) -> Result<Outlook, Failure> {
    let kinds: &[bool] = match is_rehearsal {
        Some(true) => &[true],
        None if settings.dingtalk.base_url.is_loopback() => &[true, false],
        Some(false) | None => &[false],
    };
    let (mut new_run, mut refused) = (None, None);
    for is_rehearsal in kinds {
        let record = of_lists(selection, settings, hasher, *is_rehearsal);
        let earlier = selection.earlier.as_ref();
        match continuation::find(args, &settings.audit.dir, earlier, &record, hasher) {
            Ok(Some(run)) => return continuing(args, selection, hasher, &run),
            Ok(None) => new_run = new_run.or(Some(record)),
            Err(failure) => refused = Some(failure),
        }
    }
    match (new_run, refused) {
        (Some(record), _) => {
            if selection.earlier.is_none() && !args.fresh {
                name_unfinished(settings, &record, hasher)?;
            }
            Ok(Outlook::default())
        }
        (None, Some(failure)) => Err(failure),
        (None, None) => Ok(Outlook::default()),
    }
}

fn continuing(
    args: &CloseArgs,
    selection: &Selection,
    hasher: &Hasher,
    run: &PastRun,
) -> Result<Outlook, Failure> {
    // There is no prompt, and the run itself replays its journal.
    if !args.dry_run && (args.guards.yes || args.sandbox) {
        return Ok(Outlook::default());
    }
    let (lists, exclusions) = (selection.lists.clone(), selection.exclusions.clone());
    let remainder = Feed { lists, exclusions, history: continuation::look(run, hasher)? }.remainder()?;
    let (run_id, rows) = (run.latest.run_id.clone(), selection.survey.total);
    Ok(Outlook { continued: Some(Continued { run_id, rows, remainder }) })
}

/// Names the newest run with a list of the same name, if it is unfinished. The lists were edited since, so a new run leaves it
/// behind.
fn name_unfinished(settings: &Settings, record: &RunStarted, hasher: &Hasher) -> Result<(), Failure> {
    let audit_dir = &settings.audit.dir;
    let newest = journal::newest_of_the_same_name(audit_dir, record);
    let newest = newest.map_err(|error| audit_not_writable(audit_dir, &error))?;
    let is_left = |run: &PastRun| {
        !run.is_complete() && !run.is_running() && run.latest.lists_digest != record.lists_digest
    };
    let Some(run) = newest.filter(is_left) else { return Ok(()) };
    let (id, total) = (&run.latest.run_id, run.latest.rows.total);
    let left = match continuation::look(&run, hasher) {
        Ok(history) => format!("{} of {total} rows are left", total.saturating_sub(history.rows_done())),
        Err(_) => "its journal cannot be read".to_owned(),
    };
    printer::err(&format!("run {id} is unfinished ({left}), and its lists have changed since"));
    printer::err(&format!("hint: to continue it with these lists: {}", resume_command(id)));
    Ok(())
}
