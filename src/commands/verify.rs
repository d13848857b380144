//! `verify`: checks that a run's journal is whole and unaltered, and that every row of its lists has one outcome.

use std::path::PathBuf;

use super::layers;
use crate::cli::VerifyArgs;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, ReadError, Reconciliation, Verified, VerifyError};
use crate::lifecycle;
use crate::lists::{ListName, Lists};
use crate::printer;
use crate::wording::count;

pub(super) fn run(args: &VerifyArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
    let (settings, folder) = layers::past_run(&args.run, config)?;
    let path = folder.join(journal::FILE_NAME);
    let verified = journal::verify(&path, lifecycle::hasher(&settings)?).map_err(|error| match &error {
        VerifyError::Read(ReadError::Io { .. }) => Failure::new(ExitCode::Usage, error),
        VerifyError::Read(_) => Failure::new(ExitCode::Incomplete, error)
            .hint("set audit.hmac_key_file to the key with which the run began, or to \"\" if it began without a key"),
        VerifyError::Contradiction { .. } => {
            Failure::new(ExitCode::Incomplete, format!("{}: {error}", path.display()))
        }
    })?;
    let Verified { records, rows, head_hash, is_finished, .. } = &verified;
    let (records, rows) = (count(*records, "record"), count(*rows, "row"));
    printer::out(&format!("whole: {records}, {rows} with a final outcome"));
    if !is_finished {
        printer::err(
            "note: the journal has no end of the run: the run is still running, or it was interrupted",
        );
    }
    printer::out(&format!("head hash {head_hash}"));
    if args.inputs.is_empty() {
        return Ok(ExitCode::Done);
    }
    reconcile(verified, &Lists::open(&inputs, &settings.input)?)
}

/// Compares the outcomes with the rows of the lists.
fn reconcile(verified: Verified, lists: &Lists) -> Result<ExitCode, Failure> {
    let reconciliation = verified.reconcile(lists.rows())?;
    let Reconciliation { rows, without, first_without, surplus, of_other_rows } = &reconciliation;
    if *of_other_rows > 0 {
        printer::err(&format!(
            "note: {} for rows that are not in these lists",
            count(*of_other_rows, "outcome")
        ));
    }
    if reconciliation.balances() {
        printer::out(&format!("every row has exactly one outcome: {}", count(*rows, "row")));
        return Ok(ExitCode::Done);
    }
    let first = first_without.as_ref().map(|origin| format!(" (the first: {origin})")).unwrap_or_default();
    let problem = format!(
        "the outcomes do not match the rows of the lists: {} without an outcome{first}, {} with a second outcome",
        count(*without, "row"),
        count(*surplus, "row"),
    );
    Err(Failure::new(ExitCode::Incomplete, problem)
        .hint("continue the run with --resume, even if its lists have grown"))
}
