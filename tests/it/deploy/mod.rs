//! The files in deploy/: parsed, checked by the tools that read them, and executed.

mod container;
mod kubernetes;
mod prometheus;
mod runbook;
mod scheduled;
mod systemd;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use meeting_closer::{Layers, Settings};

/// A path in the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a checking tool and asserts that it succeeds. Returns its output.
#[track_caller]
fn content<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>, folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program}, which tests/run installs: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// The metric names that dashboards and alerts use.
const METRICS: [&str; 11] = [
    "meeting_closer_outcomes_total",
    "meeting_closer_attempts_total",
    "meeting_closer_throttled_total",
    "meeting_closer_attempt_duration_seconds",
    "meeting_closer_pace_requests_per_second",
    "meeting_closer_in_flight",
    "meeting_closer_waiting_retries",
    "meeting_closer_paused",
    "meeting_closer_last_run_timestamp_seconds",
    "meeting_closer_last_run_exit_code",
    "meeting_closer_queue_pending",
];

#[test]
fn every_deployed_settings_file_loads_and_sets_the_guards() {
    for folder in ["systemd", "kubernetes"] {
        let file = repository(&format!("deploy/{folder}/settings.toml"));
        let settings = Settings::load(&Layers { file: Some(file), ..Layers::default() }).unwrap();
        assert!(settings.guard.max_meetings.is_some() && settings.guard.deadline.is_some(), "{folder}");
        assert!(settings.audit.dir.is_absolute(), "{folder}");
        assert!(!read(&format!("deploy/{folder}/settings.toml")).contains("secret ="), "{folder}");
    }
}
