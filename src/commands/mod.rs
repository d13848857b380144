//! One file for each command. It connects the parts of the program.
//!
//! Invariant: a command decides nothing itself. What decides is in the modules below.

mod check;
mod close;
mod enqueue;
mod manual;
mod queue;
mod report;
mod sandbox;
mod verify;
mod work;

use std::path::PathBuf;

use config::Value;
use indicatif::MultiProgress;

use crate::cli::{Cli, Command, LogFormat, QueueCommand, RunArgs};
use crate::exit::{ExitCode, Failure};
use crate::lifecycle;
use crate::settings::{Layers, Settings};
use crate::telemetry::{self, LogForm};

/// Runs the command.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let terminal = MultiProgress::new();
    let form = match cli.global.log_format {
        LogFormat::Text => LogForm::Text,
        LogFormat::Json => LogForm::Json,
    };
    telemetry::start(telemetry::level(cli.global.quiet, cli.global.verbose), form, &terminal);
    match cli.command {
        Command::Close(args) => close::run(args, cli.global.config, &terminal).await,
        Command::Check(args) => check::run(args, cli.global.config).await,
        Command::Work(args) => work::run(args, cli.global.config).await,
        Command::Enqueue(args) => enqueue::run(args, cli.global.config).await,
        Command::Queue(QueueCommand::Status) => queue::status(cli.global.config).await,
        Command::Queue(QueueCommand::RequeueDead(args)) => {
            queue::requeue_dead(&args, cli.global.config).await
        }
        Command::Report(args) => report::run(&args, cli.global.config),
        Command::Verify(args) => verify::run(&args, cli.global.config),
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Completions(args) => Ok(manual::completions(args.shell)),
        Command::Man => Ok(manual::man()),
    }
}

/// The options that the user gave, as settings.
fn options<const N: usize>(options: [(&'static str, Option<Value>); N]) -> Vec<(&'static str, Value)> {
    options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn path(path: Option<&PathBuf>) -> Option<Value> {
    path.map(|path| path.to_string_lossy().into_owned().into())
}

/// The settings from the defaults, the file, the environment and these options.
fn settings(file: Option<PathBuf>, options: Vec<(&'static str, Value)>) -> Result<Settings, Failure> {
    Ok(Settings::load(&Layers { file, environment: std::env::vars().collect(), options })?)
}

/// The settings, and the folder of the named run.
fn past_run(args: &RunArgs, config: Option<PathBuf>) -> Result<(Settings, PathBuf), Failure> {
    let options = options([("audit.dir", path(args.audit.audit_dir.as_ref()))]);
    let settings = settings(config, options)?;
    let folder = lifecycle::find_run(&settings.audit.dir, &args.run)?;
    Ok((settings, folder))
}
