//! The settings of a command: the defaults, the file, the environment, and the options of the command line.
//!
//! Invariant: an option that the user did not give overrides nothing.

use std::path::PathBuf;

use config::Value;

use crate::cli::RunArgs;
use crate::exit::Failure;
use crate::lifecycle;
use crate::settings::{Layers, Settings, environment};

/// The options that the user gave, as settings.
pub(super) fn given<const N: usize>(
    options: [(&'static str, Option<Value>); N],
) -> Vec<(&'static str, Value)> {
    options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The settings from the defaults, the file, the environment and these options.
pub(super) fn settings(
    file: Option<PathBuf>,
    options: Vec<(&'static str, Value)>,
) -> Result<Settings, Failure> {
    settings_in(None, file, options)
}

/// The same with the folder of `--audit-dir`, if the user gave it. A path need not be text, so it is no option among others.
pub(super) fn settings_in(
    audit_dir: Option<&PathBuf>,
    file: Option<PathBuf>,
    options: Vec<(&'static str, Value)>,
) -> Result<Settings, Failure> {
    let environment = environment(std::env::vars_os())?;
    Ok(Settings::load(&Layers { file, environment, options, audit_dir: audit_dir.cloned() })?)
}

/// The settings, and the folder of the named run.
pub(super) fn past_run(args: &RunArgs, config: Option<PathBuf>) -> Result<(Settings, PathBuf), Failure> {
    let settings = settings_in(args.audit.audit_dir.as_ref(), config, vec![])?;
    let folder = lifecycle::find_run(&settings.audit.dir, &args.run)?;
    Ok((settings, folder))
}
