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

use std::io::{self, Write as _};

use clap::Parser as _;
use indicatif::MultiProgress;

use crate::cli::{Cli, CloseArgs, Command, EnqueueArgs, LogFormat, QueueCommand};
use crate::exit::{ExitCode, Failure};
use crate::printer;
use crate::telemetry::{self, LogForm};

/// What a command is for. It decides what it means that standard output could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommandPurpose {
    /// Its output: without it, the command has done nothing.
    Output,
    /// What it does, which its exit code and its files tell, too.
    Effect,
}

impl CommandPurpose {
    fn of(command: &Command) -> Self {
        match command {
            Command::Close(CloseArgs { dry_run: false, .. })
            | Command::Work(_)
            | Command::Enqueue(EnqueueArgs { dry_run: false, .. })
            | Command::Queue(QueueCommand::RequeueDead(_)) => Self::Effect,
            Command::Close(_)
            | Command::Enqueue(_)
            | Command::Check(_)
            | Command::Queue(QueueCommand::Status)
            | Command::Report(_)
            | Command::Verify(_)
            | Command::Sandbox(_)
            | Command::Completions(_)
            | Command::Man => Self::Output,
        }
    }
}

/// Reads the command line. `Err` is the exit code after help, the version or an error, which are printed by then.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|answer| {
        let printed = answer.print().and_then(|()| io::stdout().flush());
        if answer.use_stderr() {
            return ExitCode::Usage;
        }
        printer::note_failure(printed);
        match with_output(CommandPurpose::Output, Ok(ExitCode::Done), printer::lost_output()) {
            Ok(code) => code,
            Err(failure) => {
                printer::err(&failure.to_string());
                failure.code
            }
        }
    })
}

/// Does what the command line says.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let purpose = CommandPurpose::of(&cli.command);
    let ended = run_command(cli).await;
    with_output(purpose, ended, printer::lost_output())
}

/// The end of a command, if standard output could not be written.
fn with_output(
    purpose: CommandPurpose,
    ended: Result<ExitCode, Failure>,
    lost: Option<String>,
) -> Result<ExitCode, Failure> {
    let Some(problem) = lost else { return ended };
    match (purpose, ended) {
        (CommandPurpose::Output, Ok(ExitCode::Done)) => Err(Failure::new(ExitCode::Usage, problem)
            .hint("free disk space, or send standard output elsewhere, and run the same command again")),
        (CommandPurpose::Output | CommandPurpose::Effect, ended) => {
            printer::err(&format!("warning: {problem}; the exit code is that of the command"));
            ended
        }
    }
}

async fn run_command(cli: Cli) -> Result<ExitCode, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_output_fails_a_command_that_is_for_its_output_and_keeps_every_other_exit_code() {
        let end = |purpose, code, lost: Option<&str>| {
            let ended = with_output(purpose, Ok(code), lost.map(str::to_owned));
            ended.unwrap_or_else(|failure| failure.code)
        };
        for code in ExitCode::ALL {
            assert_eq!(end(CommandPurpose::Effect, code, Some("full")), code);
            assert_eq!(end(CommandPurpose::Output, code, None), code);
            let expected = if code == ExitCode::Done { ExitCode::Usage } else { code };
            assert_eq!(end(CommandPurpose::Output, code, Some("full")), expected);
        }
    }
}
