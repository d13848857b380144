//! `verify`: checks that a run's journal is whole and unaltered, and that every row of its lists has one outcome.

use std::io;
use std::path::{Path, PathBuf};

use super::layers;
use crate::cli::VerifyArgs;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, ReadError, Reconciliation, Verified, VerifyError};
use crate::lifecycle;
use crate::lists::{ListName, Lists};
use crate::printer;
use crate::report;
use crate::wording::count;

pub(super) fn run(args: &VerifyArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
    let (settings, folder) = layers::past_run(&args.run, config)?;
    let known = report::known_head(&folder).map_err(|error| unreadable_summary(&folder, &error))?;
    let path = folder.join(journal::FILE_NAME);
    let verified = journal::verify(&path, lifecycle::hasher(&settings)?, known.as_ref())
        .map_err(|error| not_whole(&path, &error))?;
    let Verified { records, rows, head_hash, is_finished, .. } = &verified;
    let (records, rows) = (count(*records, "record"), count(*rows, "row"));
    let state = if *is_finished { "whole" } else { "unfinished" };
    printer::out(&format!("{state}: {records}, {rows} with a final outcome"));
    printer::out(&format!("head hash {head_hash}"));
    let unfinished = (!is_finished).then(|| unfinished(&path));
    if !args.inputs.is_empty() {
        reconcile(verified, &Lists::open(&inputs, &settings.input)?)?;
    }
    unfinished.map_or(Ok(ExitCode::Done), Err)
}

fn unreadable_summary(folder: &Path, error: &io::Error) -> Failure {
    let problem = format!("cannot read {}: {error}", folder.join(report::SUMMARY_JSON).display());
    match error.kind() {
        // The file is there, and it is not as the program wrote it.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Failure::new(ExitCode::Incomplete, problem)
            .hint("the summary was altered, so it cannot show whether the journal's end was cut off: compare the head hash with one that you keep elsewhere, or remove the summary"),
        _ => Failure::new(ExitCode::Usage, problem),
    }
}

fn not_whole(path: &Path, error: &VerifyError) -> Failure {
    let of_journal = || Failure::new(ExitCode::Incomplete, format!("{}: {error}", path.display()));
    match error {
        VerifyError::Read(ReadError::Io { .. }) => Failure::new(ExitCode::Usage, error),
        VerifyError::Read(_) => Failure::new(ExitCode::Incomplete, error)
            .hint("set audit.hmac_key_file to the key with which the run began, or to \"\" if it began without a key"),
        VerifyError::Contradiction { .. } => of_journal(),
        VerifyError::CutOff { .. } => of_journal().hint(
            "restore the journal from a copy; run neither report nor close on this run before that, because they write the summary anew",
        ),
        VerifyError::Torn(_) => of_journal().hint("continue the run with --resume: it keeps the rest of the line in a file beside the journal"),
    }
}

/// The run is still running, was killed, or its end was cut off.
fn unfinished(path: &Path) -> Failure {
    let problem =
        format!("{}: the run is unfinished: no run_finished record ends its journal", path.display());
    Failure::new(ExitCode::Incomplete, problem)
        .hint("wait until the run has ended, or continue it with --resume; if it had ended, the end of its journal was cut off")
}

/// Compares the outcomes with the rows of the lists.
fn reconcile(verified: Verified, lists: &Lists) -> Result<(), Failure> {
    let reconciliation = verified.reconcile(lists.rows())?;
    let Reconciliation { rows, without, first_without, surplus, withdrawn, of_other_rows } = &reconciliation;
    if *withdrawn > 0 {
        let rows = count(*withdrawn, "row");
        printer::err(&format!("note: {rows} taken off the lists while the run was unfinished (withdrawn)"));
    }
    if *of_other_rows > 0 {
        printer::err(&format!(
            "note: {} for rows that are not in these lists",
            count(*of_other_rows, "outcome")
        ));
    }
    if reconciliation.balances() {
        printer::out(&format!("every row has exactly one outcome: {}", count(*rows, "row")));
        return Ok(());
    }
    let first = first_without.as_ref().map(|origin| format!(" (the first: {origin})")).unwrap_or_default();
    let problem = format!(
        "the outcomes do not match the rows of the lists: {} without an outcome{first}, {} too many",
        count(*without, "row"),
        count(*surplus, "outcome"),
    );
    Err(Failure::new(ExitCode::Incomplete, problem)
        .hint("continue the run with --resume, even if its lists have grown"))
}
