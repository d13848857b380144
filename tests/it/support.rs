//! Helpers of all tests: the real binary, a stand-in on a socket, and the files of a run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use meeting_closer::{Hasher, Quotas, Reader, Record, Sandbox, SandboxSettings};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The path of the binary under test: the release binary that `tests/run` builds, else the debug binary.
pub(crate) fn binary() -> String {
    std::env::var("MEETING_CLOSER_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_meeting-closer").into())
}

/// A stand-in that answers at once, has no quota and records every call.
pub(crate) fn fast_sandbox() -> SandboxSettings {
    SandboxSettings {
        latency: (Duration::ZERO, Duration::ZERO),
        quotas: Quotas::unlimited(),
        keep_calls: true,
        ..SandboxSettings::default()
    }
}

/// Runs the binary in a temporary folder, with an environment of its own.
pub(crate) struct Closer {
    pub(crate) folder: TempDir,
    environment: HashMap<String, String>,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Closer {
    /// Has no configuration.
    pub(crate) fn bare() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: HashMap::new() }
    }

    /// Is configured for a stand-in, with a high rate and short waits before a retry.
    pub(crate) fn at(sandbox: &Sandbox) -> Self {
        Self::bare()
            .set("DINGTALK__BASE_URL", &sandbox.base_url())
            .set("DINGTALK__APP_KEY", "key")
            .set("DINGTALK__APP_SECRET", "hunter2")
            .set("PACE__REQUESTS_PER_SECOND", "1000")
            .set("RETRY__INITIAL_INTERVAL", "1ms")
            .set("RETRY__MAX_INTERVAL", "1ms")
    }

    /// Sets `MEETING_CLOSER__{key}` in the environment.
    pub(crate) fn set(self, key: &str, value: &str) -> Self {
        self.variable(&format!("MEETING_CLOSER__{key}"), value)
    }

    /// Sets any variable in the environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes `list.csv` with these meetings, all of one host.
    pub(crate) fn list<'a>(&self, conference_ids: impl IntoIterator<Item = &'a str>) {
        let rows: Vec<String> = conference_ids.into_iter().map(|id| format!("{id},host\n")).collect();
        self.file("list.csv", format!("conferenceId,unionId\n{}", rows.concat()));
    }

    /// Prepares a command of the binary.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.program(&binary(), arguments)
    }

    /// Prepares another program in the same folder and environment.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the binary until it ends.
    pub(crate) async fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.finish(&mut self.command(arguments)).await
    }

    /// Runs a command until it ends.
    pub(crate) async fn finish(&self, command: &mut Command) -> CommandOutput {
        CommandOutput::of(command.output().await.unwrap())
    }

    /// Runs the binary until it ends, with this on standard input.
    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> CommandOutput {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The program may end before it has read all input.
        let _ = stdin.write_all(input).await;
        drop(stdin);
        CommandOutput::of(child.wait_with_output().await.unwrap())
    }

    /// `close --yes list.csv`.
    pub(crate) async fn close(&self) -> CommandOutput {
        self.run(&["close", "--yes", "list.csv"]).await
    }

    /// The folder of the only run.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let mut folders = self.run_folders();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders.remove(0)
    }

    /// The folders of all runs, oldest first.
    pub(crate) fn run_folders(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("audit")) else { return vec![] };
        let mut folders: Vec<_> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    }

    /// The rows of the only run's audit report, in order.
    pub(crate) fn audit(&self) -> Vec<HashMap<String, String>> {
        audit_of(&self.run_folder())
    }

    /// The summary of the only run.
    pub(crate) fn summary(&self) -> Value {
        summary_of(&self.run_folder())
    }
}

/// Waits, without a timer, until the stand-in has received so many close requests.
pub(crate) async fn calls_reach(sandbox: &Sandbox, calls: u64) {
    while sandbox.statistics().close_calls < calls {
        tokio::task::yield_now().await;
    }
}

/// The number of attempts in a run's journal.
pub(crate) fn attempts_in(run: &Path) -> u64 {
    let mut reader = Reader::open(&run.join("journal.jsonl"), Hasher::PLAIN).unwrap();
    let entries = std::iter::from_fn(|| reader.next_entry().unwrap());
    entries.filter(|entry| matches!(entry.record, Record::Attempt(_))).count() as u64
}

pub(crate) fn audit_of(folder: &Path) -> Vec<HashMap<String, String>> {
    let bytes = std::fs::read(folder.join("audit.csv")).unwrap();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").expect("audit.csv begins with a byte order mark");
    csv::Reader::from_reader(text).deserialize().map(Result::unwrap).collect()
}

pub(crate) fn summary_of(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("summary.json")).unwrap()).unwrap()
}

impl CommandOutput {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The exit code and everything that was printed.
    pub(crate) fn printed(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Sends a running process a signal.
pub(crate) fn signal(process: Option<u32>, name: &str) {
    let process = process.expect("it runs").to_string();
    let kill = std::process::Command::new("kill").args([name, &process]).status();
    assert!(kill.unwrap().success());
}
