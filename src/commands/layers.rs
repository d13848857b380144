//! The settings of a command: the defaults, the file, the environment, and the options of the command line.
//!
//! Invariant: an option that the user did not give overrides nothing.

use std::path::PathBuf;

use config::Value;

use crate::cli::RunArgs;
use crate::exit::Failure;
use crate::lifecycle;
use crate::settings::{Layers, Settings};

/// The options that the user gave, as settings.
pub(super) fn given<const N: usize>(
    options: [(&'static str, Option<Value>); N],
) -> Vec<(&'static str, Value)> {
    options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

pub(super) fn path(path: Option<&PathBuf>) -> Option<Value> {
    path.map(|path| path.to_string_lossy().into_owned().into())
}

/// The settings from the defaults, the file, the environment and these options.
pub(super) fn settings(
    file: Option<PathBuf>,
    options: Vec<(&'static str, Value)>,
) -> Result<Settings, Failure> {
    Ok(Settings::load(&Layers { file, environment: std::env::vars().collect(), options })?)
}

/// The settings, and the folder of the named run.
pub(super) fn past_run(args: &RunArgs, config: Option<PathBuf>) -> Result<(Settings, PathBuf), Failure> {
    let options = given([("audit.dir", path(args.audit.audit_dir.as_ref()))]);
    let settings = settings(config, options)?;
    let folder = lifecycle::find_run(&settings.audit.dir, &args.run)?;
    Ok((settings, folder))
}
