//! One file for each command. It connects the parts of the program.
//!
//! Invariant: a command decides nothing itself. What decides is in the modules below.

mod check;
mod close;
mod enqueue;
mod layers;
mod manual;
mod queue;
mod report;
mod sandbox;
mod verify;
mod work;

use indicatif::MultiProgress;

use crate::cli::{Cli, Command, LogFormat, QueueCommand};
use crate::exit::{ExitCode, Failure};
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
