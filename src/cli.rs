//! The command line: names, help and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::sandbox::Fault;

/// Ends DingTalk video meetings in bulk, and keeps an audit of what became of each.
#[derive(Debug, Parser)]
#[command(name = "meeting-closer", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const EVERYWHERE: &str = "Options of every command";

/// What every command takes.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Configuration file, over the built-in defaults
    #[arg(long, value_name = "FILE", env = crate::settings::FILE_VARIABLE, hide_env_values = true, global = true, help_heading = EVERYWHERE)]
    pub config: Option<PathBuf>,
    /// How logs are written, on standard error
    #[arg(long, value_enum, default_value_t, value_name = "text|json", hide_possible_values = true, global = true, help_heading = EVERYWHERE)]
    pub log_format: LogFormat,
    /// Log more (-vv for everything)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = EVERYWHERE)]
    pub verbose: u8,
    /// Log warnings alone (-qq for errors)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = EVERYWHERE, conflicts_with = "verbose")]
    pub quiet: u8,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Close every meeting in the lists, write the audit, exit
    Close(CloseArgs),
    /// Prove that a run would work, and close nothing
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// End the meetings whose requests wait on a queue
    #[command(after_help = WORK_HELP)]
    Work(WorkArgs),
    /// Put the rows of lists on the queue
    #[command(after_help = ENQUEUE_HELP)]
    Enqueue(EnqueueArgs),
    /// See what is on the queue, or put back what died
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Write the reports of a run again from its journal
    Report(RunArgs),
    /// Prove that a run's journal is whole and unaltered
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Run a local stand-in for DingTalk, to rehearse against
    Sandbox(SandboxArgs),
    /// Write a shell's completions to standard output
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Write the manual page to standard output
    #[command(after_help = MAN_HELP)]
    Man,
}

const CLOSE_EXAMPLES: &str = "\
Lists are CSV files or Excel workbooks (.xlsx) with a header row. The columns
conferenceId and unionId (and their usual synonyms, also in Chinese) are found
by name, others are ignored. - is CSV on standard input.

Examples:
  Rehearse, with no account and no real meeting:
    meeting-closer close --sandbox tonight.csv
  See what a run would do:
    meeting-closer close --dry-run tonight.csv
  From cron, with a limit and an exclusion list:
    meeting-closer close --yes --max-meetings 500 --exclude keep.csv tonight.csv
  Once more for what did not end in the last run:
    meeting-closer close --yes --retry-failed latest

The same command again continues a run that was left unfinished, whatever ended
it.

Exit codes:
  0  every meeting asked for has ended
  1  the run finished, and at least one row is failed or invalid
  2  wrong usage, configuration or input: nothing was called
  3  halted: every row would meet the same refusal; the rest is not_attempted
  4  interrupted, or out of time: the same command continues it
  5  the audit could not be written: nothing more was called";

/// `close`.
#[derive(Debug, Args)]
#[command(after_help = CLOSE_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct CloseArgs {
    /// Lists of meetings: .csv or .xlsx files, or - for CSV on standard input
    #[arg(value_name = "INPUT", required_unless_present_any = ["resume", "retry_failed"])]
    pub inputs: Vec<PathBuf>,
    /// Close against a built-in stand-in: no account, no credential, no real meeting
    #[arg(long)]
    pub sandbox: bool,
    /// Read, check and count the lists, forecast time and calls, call nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before closing
    #[arg(long)]
    pub yes: bool,
    /// List of conference ids that must not be closed
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Of lists in .xlsx.
    #[command(flatten)]
    pub workbooks: WorkbookArgs,
    /// Refuse lists that hold more than N meetings
    #[arg(long, value_name = "N")]
    pub max_meetings: Option<u64>,
    /// Requests a second, over the configured one
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Requests in flight, over the configured one
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Stop starting new work after this long, such as 30m
    #[arg(long, value_name = "DURATION")]
    pub deadline: Option<String>,
    /// Where runs are kept [default: audit]
    #[arg(long, value_name = "DIR")]
    pub audit_dir: Option<PathBuf>,
    /// This run's id [default: start time and eight digits of the lists' digest]
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// Start a new run even where an unfinished one of the same lists stands
    #[arg(long)]
    pub fresh: bool,
    /// Continue that run, also where the lists have changed; without INPUT, with the lists that it had
    #[arg(long, value_name = "RUN", conflicts_with_all = ["fresh", "run_id", "retry_failed"])]
    pub resume: Option<String>,
    /// A new run over the rows of that run that failed or were not attempted
    #[arg(long, value_name = "RUN", conflicts_with = "inputs")]
    pub retry_failed: Option<String>,
    /// How progress is shown: a bar on a terminal, a line every few seconds elsewhere
    #[arg(long, value_enum, default_value_t, value_name = "auto|plain|none", hide_possible_values = true)]
    pub progress: ProgressArg,
}

const CHECK_HELP: &str = "\
One line for each thing: ok, warn or wrong, and what to do.

Exit codes:
  0  a run would work
  2  wrong configuration, credentials file, clock or folder
  3  DingTalk is not reached, or refuses (credentials, permission, region)";

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Where runs are kept [default: audit]
    #[arg(long, value_name = "DIR")]
    pub audit_dir: Option<PathBuf>,
}

/// What every command takes that reads lists.
#[derive(Debug, Args)]
pub struct WorkbookArgs {
    /// Sheet to read of the lists in .xlsx [default: the first that can be seen]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
}

const WORK_HELP: &str = "\
A request is an entry of the Redis stream queue.stream with the fields
conference_id and union_id. Workers on one Redis share one quota.
SIGTERM finishes what is in flight and gives back the rest.

Exit codes are those of close; a worker without --drain that a signal ended
exits with 0.";

/// `work`.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// End when the queue is empty and nobody works on anything
    #[arg(long)]
    pub drain: bool,
    /// Where runs are kept [default: audit]
    #[arg(long, value_name = "DIR")]
    pub audit_dir: Option<PathBuf>,
    /// Requests a second of all workers together, over the configured one
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Requests in flight of this worker, over the configured one
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
}

const ENQUEUE_HELP: &str = "\
What waits already is not added twice: the same command can be run again.";

/// `enqueue`.
#[derive(Debug, Args)]
pub struct EnqueueArgs {
    /// Lists of meetings: .csv or .xlsx files, or - for CSV on standard input
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Of lists in .xlsx.
    #[command(flatten)]
    pub workbooks: WorkbookArgs,
    /// Read, check and count the lists, add nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before adding
    #[arg(long)]
    pub yes: bool,
    /// List of conference ids that must not be closed
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Refuse lists that hold more than N meetings
    #[arg(long, value_name = "N")]
    pub max_meetings: Option<u64>,
}

/// `queue`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// What waits, who works on what, what is dead
    Status,
    /// Put dead entries back on the queue
    RequeueDead(RequeueArgs),
}

/// `queue requeue-dead`.
#[derive(Debug, Args)]
pub struct RequeueArgs {
    /// Those that died of this code alone, as `queue status` shows it
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// No more than N
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

const VERIFY_HELP: &str = "\
Exit codes:\n  0  whole\n  1  broken; the first bad record is named\n  2  unreadable";

/// `report` and `verify`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A run's folder, its id, or latest
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Where runs are kept [default: audit]
    #[arg(long, value_name = "DIR")]
    pub audit_dir: Option<PathBuf>,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// A list of the run: each of its rows must have exactly one outcome; can be given more than once
    #[arg(long = "input", value_name = "LIST")]
    pub inputs: Vec<PathBuf>,
    /// Of lists in .xlsx.
    #[command(flatten)]
    pub workbooks: WorkbookArgs,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// A bar on a terminal, a line every few seconds elsewhere.
    #[default]
    Auto,
    /// A line every few seconds.
    Plain,
    /// Nothing.
    None,
}

const SANDBOX_HELP: &str = "\
Meetings: one that was never named before is open and belongs to whoever asks
first.
  conference id ended…   the meeting has ended (resourceClose)
  union id guest…        not the host (permissionError)
  union id stranger…     not known (unknownUserError)
  app secret wrong       refused; any other is taken

Faults: systemError waterLimitError qps qpm token html body ban
  empty cut lost (the meeting is closed all the same)
  reset silent slow

Example, in two terminals:
  meeting-closer sandbox --listen 127.0.0.1:8787 --fault systemError=0.05
  MEETING_CLOSER__DINGTALK__BASE_URL=http://127.0.0.1:8787 \\
  MEETING_CLOSER__DINGTALK__APP_KEY=any \\
  MEETING_CLOSER__DINGTALK__APP_SECRET=any \\
    meeting-closer close --yes tonight.csv";

/// `sandbox`.
#[derive(Debug, Args)]
#[command(after_help = SANDBOX_HELP)]
pub struct SandboxArgs {
    /// Where to listen: loopback, port 0 for any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    pub listen: std::net::SocketAddr,
    /// Time before an answer, such as 40ms or 20ms..60ms
    #[arg(long, value_name = "DURATION", default_value = "20ms..60ms", value_parser = parse_latency)]
    pub latency: (Duration, Duration),
    /// What goes wrong and how often; can be given more than once
    #[arg(long = "fault", value_name = "NAME=PROBABILITY")]
    pub faults: Vec<Fault>,
    /// Seed of latency and faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Calls a second of one app; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub app_quota: usize,
    /// Calls a minute of one app; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub minute_quota: usize,
    /// Metered calls a month; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub month_quota: u64,
    /// Calls of one address within 20 seconds, after which it is banned; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub address_quota: usize,
    /// How long a ban lasts
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub ban: Duration,
    /// How long an access token lives
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = parse_duration)]
    pub token_lifetime: Duration,
}

const COMPLETIONS_HELP: &str = "\
Example:
  meeting-closer completions bash \\
    >~/.local/share/bash-completion/completions/meeting-closer";

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

const MAN_HELP: &str = "\
Example:
  meeting-closer man | man -l -";

fn parse_duration(text: &str) -> Result<Duration, String> {
    jiff::fmt::friendly::SpanParser::new()
        .parse_unsigned_duration(text)
        .map_err(|_| "a duration such as 500ms, 10s or 1h30m is expected".to_owned())
}

fn parse_latency(text: &str) -> Result<(Duration, Duration), String> {
    let (shortest, longest) = text.split_once("..").unwrap_or((text, text));
    let (shortest, longest) = (parse_duration(shortest)?, parse_duration(longest)?);
    if longest < shortest {
        Err("the longest time stands behind the dots".to_owned())
    } else {
        Ok((shortest, longest))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::exit::ExitCode;
    use crate::sandbox::FaultKind;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_exit_code_with_its_meaning() {
        for code in ExitCode::ALL {
            assert!(
                CLOSE_EXAMPLES.contains(&format!("\n  {}  {}", code.number(), code.meaning())),
                "{code:?}"
            );
        }
    }

    #[test]
    fn help_lists_every_fault() {
        for (_, name, _) in FaultKind::ALL {
            assert!(SANDBOX_HELP.split([' ', '\n']).any(|word| word == name), "{name}");
        }
    }

    #[test]
    fn a_latency_is_one_time_or_two() {
        let millis = Duration::from_millis;
        assert_eq!(parse_latency("40ms"), Ok((millis(40), millis(40))));
        assert_eq!(parse_latency("20ms..2s"), Ok((millis(20), millis(2000))));
        assert!(parse_latency("2s..20ms").is_err() && parse_latency("soon").is_err());
    }
}
