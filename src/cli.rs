//! The command line: its names and its help, and nothing else.
//!
//! Invariant: every command and every option has help of its own.
#![expect(clippy::doc_markdown, reason = "the doc comments are help texts, and a terminal shows no markdown")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Ends DingTalk video meetings in bulk, and writes an audit of every outcome.
#[derive(Debug, Parser)]
#[command(name = "meeting-closer", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const EVERYWHERE: &str = "Options of every command";

/// The options of every command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Read this configuration file; its values override the defaults
    #[arg(long, value_name = "FILE", env = crate::settings::FILE_VARIABLE, hide_env_values = true, global = true, help_heading = EVERYWHERE)]
    pub config: Option<PathBuf>,
    /// Format of the log on standard error
    #[arg(long, value_enum, default_value_t, value_name = "text|json", hide_possible_values = true, global = true, help_heading = EVERYWHERE)]
    pub log_format: LogFormat,
    /// Log more (-vv: everything)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = EVERYWHERE)]
    pub verbose: u8,
    /// Log only warnings and errors (-qq: only errors)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = EVERYWHERE, conflicts_with = "verbose")]
    pub quiet: u8,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object for each line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Close every meeting in the lists, and write the audit
    Close(CloseArgs),
    /// Check that a run would work; close nothing
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Close the meetings whose requests wait on a queue
    #[command(after_help = WORK_HELP)]
    Work(WorkArgs),
    /// Add the rows of lists to the queue
    #[command(after_help = ENQUEUE_HELP)]
    Enqueue(EnqueueArgs),
    /// Show the queue, or put dead entries back
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Write the reports of a run again from its journal
    Report(RunArgs),
    /// Check that a run's journal is whole and unaltered
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Run a local stand-in for DingTalk, for rehearsals
    Sandbox(SandboxArgs),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = MAN_HELP)]
    Man,
}

/// `--audit-dir`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Folder that keeps the runs; overrides audit.dir [default: audit]
    #[arg(long, value_name = "DIR")]
    pub audit_dir: Option<PathBuf>,
}

/// How fast a run is.
#[derive(Debug, Args)]
pub struct PaceArgs {
    /// Override pace.requests_per_second
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Override pace.concurrency
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
}

/// How workbooks are read.
#[derive(Debug, Args)]
pub struct WorkbookArgs {
    /// Read this sheet of each .xlsx list [default: the first visible sheet]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
}

/// What protects meetings that must stay open.
#[derive(Debug, Args)]
pub struct GuardArgs {
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// List of conference ids that must not be closed
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// Refuse lists with more than N meetings; overrides guard.max_meetings
    #[arg(long, value_name = "N")]
    pub max_meetings: Option<u64>,
}

const CLOSE_EXAMPLES: &str = "\
Lists are CSV files or Excel workbooks (.xlsx) with a header row. The program
finds the columns conferenceId and unionId by name, also by their usual English
and Chinese synonyms. It ignores other columns. - is CSV on standard input.

Examples:
  Rehearse, without an account and without a real meeting:
    meeting-closer close --sandbox tonight.csv
  See what a run would do:
    meeting-closer close --dry-run tonight.csv
  From cron, with a limit and an exclusion list:
    meeting-closer close --yes --max-meetings 500 --exclude keep.csv tonight.csv
  Try the rows again that the last run did not close:
    meeting-closer close --yes --retry-failed latest

If a run stops, repeat the command: it continues where the run stopped.

Exit codes:
  0  every meeting asked for has ended
  1  the run finished, and at least one row is failed or invalid
  2  wrong usage, configuration or input: no meeting was asked to close
  3  halted: DingTalk would refuse every row alike; the rest is not_attempted
  4  interrupted, or out of time: the same command continues it
  5  the audit could not be written: the run stopped at once and called nothing
     more";

/// `close`.
#[derive(Debug, Args)]
#[command(after_help = CLOSE_EXAMPLES)]
pub struct CloseArgs {
    /// Lists of meetings: .csv or .xlsx files, or - for CSV on standard input
    #[arg(value_name = "INPUT", required_unless_present_any = ["resume", "retry_failed"])]
    pub inputs: Vec<PathBuf>,
    /// Close against a built-in stand-in: no account, no credentials, no real meeting
    #[arg(long)]
    pub sandbox: bool,
    /// Read, check and count the lists, and forecast time and calls; call nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What protects meetings that must stay open.
    #[command(flatten)]
    pub guards: GuardArgs,
    /// How workbooks are read.
    #[command(flatten)]
    pub workbooks: WorkbookArgs,
    /// How fast the run is.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// Start no new work after this time, such as 30m; overrides guard.deadline
    #[arg(long, value_name = "DURATION")]
    pub deadline: Option<String>,
    /// Where runs are kept.
    #[command(flatten)]
    pub audit: AuditArgs,
    /// Id of this run [default: start time and eight digits of the lists' digest]
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// Start a new run, even if a run of the same lists is unfinished
    #[arg(long)]
    pub fresh: bool,
    /// Continue this run, even if its lists have changed; without INPUT, read the same lists again
    #[arg(long, value_name = "RUN", conflicts_with_all = ["fresh", "run_id", "retry_failed"])]
    pub resume: Option<String>,
    /// Start a new run over the rows of this run that are failed or not_attempted
    #[arg(long, value_name = "RUN", conflicts_with = "inputs")]
    pub retry_failed: Option<String>,
    /// How to show progress; auto shows a bar on a terminal, and lines elsewhere
    #[arg(long, value_enum, default_value_t, value_name = "auto|plain|none", hide_possible_values = true)]
    pub progress: ProgressArg,
}

const CHECK_HELP: &str = "\
The output has one line for each check: ok, warn or wrong, and what to do.

Exit codes:
  0  a run would work
  2  the configuration, credentials, clock or audit folder is wrong
  3  DingTalk cannot be reached, or refuses (credentials, permission, region)";

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Where runs are kept.
    #[command(flatten)]
    pub audit: AuditArgs,
}

const WORK_HELP: &str = "\
A request is an entry of the Redis stream queue.stream with the fields
conference_id and union_id. Workers on one Redis share one rate,
pace.requests_per_second; the concurrency is of each worker.
After SIGTERM, a worker finishes the requests in flight and releases the other
entries.

The exit codes are those of close. Without --drain, a signal is the normal end
of a worker: exit code 0.";

/// `work`.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// End when the queue is empty and no worker has entries
    #[arg(long)]
    pub drain: bool,
    /// Where runs are kept.
    #[command(flatten)]
    pub audit: AuditArgs,
    /// How fast the worker is.
    #[command(flatten)]
    pub pace: PaceArgs,
}

const ENQUEUE_HELP: &str = "\
You can repeat the command: it adds no request that is on the queue already.";

/// `enqueue`.
#[derive(Debug, Args)]
pub struct EnqueueArgs {
    /// Lists of meetings: .csv or .xlsx files, or - for CSV on standard input
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,
    /// How workbooks are read.
    #[command(flatten)]
    pub workbooks: WorkbookArgs,
    /// Read, check and count the lists; add nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What protects meetings that must stay open.
    #[command(flatten)]
    pub guards: GuardArgs,
}

/// `queue`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Show how many entries wait, which worker has which, and which are dead
    Status,
    /// Put dead entries back on the queue
    RequeueDead(RequeueArgs),
}

/// `queue requeue-dead`.
#[derive(Debug, Args)]
pub struct RequeueArgs {
    /// Put back only entries with this code, as `queue status` shows it
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Put back at most N entries
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

const VERIFY_HELP: &str = "\
Exit codes:
  0  the journal is whole
  1  the journal is broken or its end is missing, or the run is unfinished;
     the output names the first bad record, or counts the missing ones
  2  the journal cannot be read";

/// `report` and `verify`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The run: its folder, its id, or latest
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Where runs are kept.
    #[command(flatten)]
    pub audit: AuditArgs,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// List of the run, to check that each row has exactly one outcome; can be repeated
    #[arg(long = "input", value_name = "LIST")]
    pub inputs: Vec<PathBuf>,
    /// How workbooks are read.
    #[command(flatten)]
    pub workbooks: WorkbookArgs,
}

/// How to show progress.
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

/// The help below the options of `sandbox`. It lists every fault.
pub(crate) const SANDBOX_HELP: &str = "\
Meetings: a meeting that appears for the first time is open, and the first union
id that asks is its host.
  conference id ended…   the meeting has ended (resourceClose)
  union id guest…        not the host (permissionError)
  union id stranger…     not known (unknownUserError)
  app secret wrong       refused; every other secret is accepted

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
    /// Loopback address to listen on; port 0 means any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    pub listen: std::net::SocketAddr,
    /// Time until an answer, such as 40ms or 20ms..60ms
    #[arg(long, value_name = "DURATION", default_value = "20ms..60ms", value_parser = parse_latency)]
    pub latency: (Duration, Duration),
    /// Fault and how often it happens, from 0 to 1; can be repeated
    #[arg(long = "fault", value_name = "NAME=PROBABILITY")]
    pub faults: Vec<String>,
    /// Seed of the random latencies and faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Quota of calls a second for each app; 0 means no limit
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub app_quota: usize,
    /// Quota of calls a minute for each app; 0 means no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub minute_quota: usize,
    /// Quota of metered calls a month; 0 means no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub month_quota: u64,
    /// Calls of one address in 20 seconds before it is banned; 0 means no limit
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub address_quota: usize,
    /// How long a ban lasts
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub ban: Duration,
    /// How long an access token is valid
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = parse_duration)]
    pub token_lifetime: Duration,
    /// Answer without the header that marks the stand-in, so that runs take it for DingTalk
    #[arg(long, hide = true)]
    pub no_header: bool,
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
        Err("the first duration must not be longer than the second".to_owned())
    } else {
        Ok((shortest, longest))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::exit::ExitCode;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_exit_code_with_its_meaning() {
        for code in ExitCode::ALL {
            let words: Vec<&str> = CLOSE_EXAMPLES.split_whitespace().collect();
            assert!(words.join(" ").contains(&format!(" {} {}", code.number(), code.meaning())), "{code:?}");
        }
    }

    #[test]
    fn a_latency_is_one_duration_or_a_range() {
        let millis = Duration::from_millis;
        assert_eq!(parse_latency("40ms"), Ok((millis(40), millis(40))));
        assert_eq!(parse_latency("20ms..2s"), Ok((millis(20), millis(2000))));
        assert!(parse_latency("2s..20ms").is_err() && parse_latency("soon").is_err());
    }
}
