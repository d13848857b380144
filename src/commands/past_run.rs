//! `report` and `verify`: what can be done with a run afterwards.

use std::path::PathBuf;

use super::begin::hasher;
use super::orders;
use crate::cli::{RunArgs, VerifyArgs};
use crate::exit::{ExitCode, Failure};
use crate::intake::{ListName, Lists};
use crate::journal::{self, ReadError};
use crate::printer;
use crate::report::{self, Accounts, ReportError, Verified, VerifyError};
use crate::settings::Settings;

/// Writes the reports again from the journal.
pub(super) fn report(args: &RunArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let (settings, folder) = find(args, config)?;
    let summary = report::write_reports(&folder, hasher(&settings)?).map_err(|error| match error {
        ReportError::Journal(_) | ReportError::NoRun(_) => {
            Failure::new(ExitCode::Usage, error).hint(orders::KEEP)
        }
        ReportError::Write { .. } => error.into(),
    })?;
    printer::out(&report::closing_table(&summary));
    printer::out(&folder.display().to_string());
    Ok(ExitCode::Done)
}

/// Proves that the journal is whole and unaltered.
pub(super) fn verify(args: &VerifyArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
    let (settings, folder) = find(&args.run, config)?;
    let path = folder.join(journal::FILE_NAME);
    match report::verify(&path, hasher(&settings)?) {
        Ok(verified) => {
            let Verified { records, rows, head_hash, is_finished, .. } = &verified;
            printer::out(&format!("whole: {records} records, {rows} rows with a final outcome"));
            if !is_finished {
                printer::err("note: it does not end with the end of a run, which is running or was cut off");
            }
            printer::out(&format!("head hash {head_hash}"));
            if args.inputs.is_empty() {
                return Ok(ExitCode::Done);
            }
            account_for(verified, &Lists::open(&inputs, &settings.input)?)
        }
        Err(VerifyError::Read(error @ ReadError::Io { .. })) => Err(Failure::new(ExitCode::Usage, error)),
        Err(error) => {
            let failure = match &error {
                VerifyError::Read(error) => Failure::new(ExitCode::Incomplete, error).hint(
                    "a journal with a key needs audit.hmac_key_file, and one without is broken under a key",
                ),
                VerifyError::Contradiction { .. } => {
                    Failure::new(ExitCode::Incomplete, format!("{}: {error}", path.display()))
                }
            };
            Err(failure)
        }
    }
}

/// Holds the outcomes against the lists.
fn account_for(verified: Verified, lists: &Lists) -> Result<ExitCode, Failure> {
    let accounts = verified.account_for(lists)?;
    let Accounts { rows, without, first_without, surplus, of_other_rows } = &accounts;
    if *of_other_rows > 0 {
        printer::err(&format!("note: {of_other_rows} outcomes are of rows that these lists do not hold"));
    }
    if accounts.balance() {
        printer::out(&format!("every one of {rows} rows has exactly one outcome"));
        return Ok(ExitCode::Done);
    }
    let first = first_without.as_ref().map(|origin| format!(", the first is {origin}")).unwrap_or_default();
    let problem = format!(
        "of {rows} rows, {without} have no outcome{first}; {surplus} outcomes are more than one of the same row"
    );
    Err(Failure::new(ExitCode::Incomplete, problem)
        .hint("--resume goes on with a run, also where lists have grown"))
}

fn find(args: &RunArgs, config: Option<PathBuf>) -> Result<(Settings, PathBuf), Failure> {
    let audit_dir = args.audit_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
    let options = audit_dir.map(|dir| ("audit.dir", dir.into())).into_iter().collect();
    let settings = super::settings(config, options)?;
    let folder = orders::find(&settings.audit.dir, &args.run)?;
    Ok((settings, folder))
}
