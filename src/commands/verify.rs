//! `verify`: proves that a run's journal is whole and unaltered, and that every row of its lists has an outcome.

use std::path::PathBuf;

use crate::cli::VerifyArgs;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, ReadError, Reconciliation, Verified, VerifyError};
use crate::lifecycle;
use crate::lists::{ListName, Lists};
use crate::printer;

pub(super) fn run(args: &VerifyArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
    let (settings, folder) = super::past_run(&args.run, config)?;
    let path = folder.join(journal::FILE_NAME);
    let verified = journal::verify(&path, lifecycle::hasher(&settings)?).map_err(|error| match &error {
        VerifyError::Read(ReadError::Io { .. }) => Failure::new(ExitCode::Usage, error),
        VerifyError::Read(_) => Failure::new(ExitCode::Incomplete, error)
            .hint("a journal with a key needs audit.hmac_key_file, and one without is broken under a key"),
        VerifyError::Contradiction { .. } => {
            Failure::new(ExitCode::Incomplete, format!("{}: {error}", path.display()))
        }
    })?;
    let Verified { records, rows, head_hash, is_finished, .. } = &verified;
    printer::out(&format!("whole: {records} records, {rows} rows with a final outcome"));
    if !is_finished {
        printer::err("note: the run's end is not recorded: it is running, or it was cut off");
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
        printer::err(&format!("note: {of_other_rows} outcomes are of rows that these lists do not hold"));
    }
    if reconciliation.balances() {
        printer::out(&format!("every one of {rows} rows has exactly one outcome"));
        return Ok(ExitCode::Done);
    }
    let first = first_without.as_ref().map(|origin| format!(", the first is {origin}")).unwrap_or_default();
    let problem = format!(
        "of {rows} rows, {without} have no outcome{first}; {surplus} outcomes are a second one of the same row"
    );
    Err(Failure::new(ExitCode::Incomplete, problem)
        .hint("--resume continues a run, also where its lists have grown"))
}
