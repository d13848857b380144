//! What stands in deploy/ is what would run: parsed, checked by the tools that read it, and tried.

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

/// Runs a tool that says by its exit code whether it is content; what it printed.
#[track_caller]
fn content<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>, folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program}, which tests/run installs: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The names that metrics have for dashboards and alerts.
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
fn every_settings_file_that_is_deployed_loads_and_is_guarded() {
    for folder in ["systemd", "kubernetes"] {
        let file = repository(&format!("deploy/{folder}/settings.toml"));
        let settings = Settings::load(&Layers { file: Some(file), ..Layers::default() }).unwrap();
        assert!(settings.guard.max_meetings.is_some() && settings.guard.deadline.is_some(), "{folder}");
        assert!(settings.audit.dir.is_absolute(), "{folder}");
        assert!(!read(&format!("deploy/{folder}/settings.toml")).contains("secret ="), "{folder}");
    }
}
