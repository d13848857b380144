//! `report` and `verify`: what can be done with a run afterwards.

use std::path::PathBuf;

use super::begin::hasher;
use crate::cli::RunArgs;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, ReadError};
use crate::printer;
use crate::report::{self, VerifyError};
use crate::settings::Settings;

/// Writes the reports again from the journal.
pub(super) fn report(args: &RunArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let (settings, folder) = find(args, config)?;
    let summary = report::write_reports(&folder, hasher(&settings)?)?;
    printer::out(&report::closing_table(&summary));
    printer::out(&folder.display().to_string());
    Ok(ExitCode::Done)
}

/// Proves that the journal is whole and unaltered.
pub(super) fn verify(args: &RunArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let (settings, folder) = find(args, config)?;
    let path = folder.join(journal::FILE_NAME);
    match report::verify(&path, hasher(&settings)?) {
        Ok(verified) => {
            let report::Verified { records, rows, head_hash } = verified;
            printer::out(&format!(
                "whole: {records} records, {rows} rows with a final outcome\nhead hash {head_hash}"
            ));
            Ok(ExitCode::Done)
        }
        Err(VerifyError::Read(error @ ReadError::Io { .. })) => Err(Failure::new(ExitCode::Usage, error)),
        Err(error) => {
            Err(Failure::new(ExitCode::Incomplete, format!("{} is broken: {error}", path.display())).hint(
                "a journal with a key needs audit.hmac_key_file, and one without is broken under a key",
            ))
        }
    }
}

fn find(args: &RunArgs, config: Option<PathBuf>) -> Result<(Settings, PathBuf), Failure> {
    let audit_dir = args.audit_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
    let options = audit_dir.map(|dir| ("audit.dir", dir.into())).into_iter().collect();
    let settings = super::settings(config, options)?;
    let dir = &settings.audit.dir;
    let found = journal::find_run(dir, &args.run).map_err(|error| Failure::new(ExitCode::Usage, error))?;
    let folder = found.ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("there is no run {:?} in {}", args.run, dir.display()))
            .hint("name a run's folder, its id, or latest; --audit-dir says where runs are kept")
    })?;
    Ok((settings, folder))
}
