//! `report`: writes the reports of a run again, from its journal.

use std::path::PathBuf;

use super::layers;
use crate::cli::RunArgs;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle::{self, KEEP_FOLDER};
use crate::report::{self, ReportError};
use crate::{display, printer};

pub(super) fn run(args: &RunArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let (settings, folder) = layers::past_run(args, config)?;
    let hasher = lifecycle::hasher(&settings)?;
    let summary = report::write_reports(&folder, hasher).map_err(|error| match error {
        ReportError::Journal(_) => Failure::new(ExitCode::Usage, error).hint(KEEP_FOLDER),
        ReportError::Write { .. } => error.into(),
    })?;
    printer::out(&display::closing_table(&summary));
    printer::out_path(&folder);
    Ok(ExitCode::Done)
}
