//! One file a command: it wires the parts together and decides nothing of its own.

mod aftermath;
mod begin;
mod check;
mod close;
mod enqueue;
mod manual;
mod orders;
mod past_run;
mod queue;
mod sandbox;
mod signals;
mod work;
mod worker;

use indicatif::MultiProgress;

use crate::cli::{Cli, Command, QueueCommand};
use crate::exit::{ExitCode, Failure};
use crate::settings::{Layers, Settings, SettingsError};

/// Does what the command line says.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let terminal = MultiProgress::new();
    crate::telemetry::start(&cli.global, &terminal);
    match cli.command {
        Command::Close(args) => close::run(args, cli.global.config, &terminal).await,
        Command::Check(args) => check::run(args, cli.global.config).await,
        Command::Work(args) => work::run(args, cli.global.config).await,
        Command::Enqueue(args) => enqueue::run(args, cli.global.config).await,
        Command::Queue(QueueCommand::Status) => queue::status(cli.global.config).await,
        Command::Queue(QueueCommand::RequeueDead(args)) => {
            queue::requeue_dead(&args, cli.global.config).await
        }
        Command::Report(args) => past_run::report(&args, cli.global.config),
        Command::Verify(args) => past_run::verify(&args, cli.global.config),
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Completions(args) => Ok(manual::completions(args.shell)),
        Command::Man => Ok(manual::man()),
    }
}

/// The settings of the defaults, the file, the environment and these options.
fn settings(
    file: Option<std::path::PathBuf>,
    options: Vec<(&'static str, config::Value)>,
) -> Result<Settings, Failure> {
    Ok(Settings::load(&Layers { file, environment: std::env::vars().collect(), options })?)
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint())
    }
}

impl From<crate::intake::IntakeError> for Failure {
    fn from(error: crate::intake::IntakeError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint)
    }
}

impl From<crate::dingtalk::ClientError> for Failure {
    fn from(error: crate::dingtalk::ClientError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint())
    }
}

impl From<crate::queue::BrokerError> for Failure {
    fn from(error: crate::queue::BrokerError) -> Self {
        Self::new(ExitCode::Usage, &error).maybe_hint(error.hint)
    }
}

impl From<crate::journal::JournalError> for Failure {
    fn from(error: crate::journal::JournalError) -> Self {
        let durable = format!("{error}; {} records are safe on the disk", error.durable_records);
        Self::new(ExitCode::AuditLost, durable)
            .hint("make room, or mend the folder, and run the same command again")
    }
}

impl From<crate::report::ReportError> for Failure {
    fn from(error: crate::report::ReportError) -> Self {
        Self::new(ExitCode::AuditLost, error)
            .hint("make room, or mend the folder, and run the same command again: it makes the reports and calls nothing twice")
    }
}
