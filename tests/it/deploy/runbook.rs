//! The runbook: its commands work as shown, and every exit code and alert has a section.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, Stdio};

use meeting_closer::ExitCode;

use super::prometheus::alerts;
use super::read;
use crate::support::binary;

const RUNBOOK: &str = "deploy/RUNBOOK.md";

/// A block of commands, its exit code, and the output that the runbook shows for it.
struct Step {
    commands: String,
    code: i32,
    shown: Option<String>,
}

fn steps() -> Vec<Step> {
    let text = read(RUNBOOK);
    let mut parts: VecDeque<&str> = text.split("```").skip(1).step_by(2).collect();
    let mut steps: Vec<Step> = vec![];
    while let Some((kind, body)) = parts.pop_front().map(|part| part.split_once('\n').unwrap()) {
        let commands = body.to_owned();
        match kind.split_once(" exit=").unwrap_or((kind, "0")) {
            ("sh", code) => steps.push(Step { commands, code: code.parse().unwrap(), shown: None }),
            ("text", _) => steps.last_mut().unwrap().shown = Some(commands),
            ("console", _) => {}
            (other, _) => panic!("a block of the unknown kind {other}"),
        }
    }
    steps
}

/// The output without the parts that differ between days and machines: words with a digit, units of
/// bytes, and log lines.
fn lasting(printed: &str) -> Vec<String> {
    let is_log = |line: &str| line.starts_with("20") && line.get(10..11) == Some("T");
    let lasting = |word: &str| {
        let differs =
            word.contains(|c: char| c.is_ascii_digit()) || ["MB", "GB", "TB", "GB;", "TB;"].contains(&word);
        if differs { "#".to_owned() } else { word.to_owned() }
    };
    let words = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(lasting).collect();
        words.dedup_by(|word, before| word == "#" && before == "#");
        words.join(" ")
    };
    printed.lines().filter(|line| !is_log(line)).map(words).collect()
}

/// The stand-in that the runbook starts. Dropping this ends it, also if the runbook failed before its last step.
struct StandIn<'a>(&'a Path);

impl Drop for StandIn<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.0.join("stand-in.pid")) {
            let _ = Command::new("kill").arg(pid.trim()).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn every_runbook_command_has_the_exit_code_and_the_output_that_the_runbook_shows() {
    let (program, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(binary(), program.path().join("meeting-closer")).unwrap();
    let path = format!("{}:{}", program.path().display(), std::env::var("PATH").unwrap());
    let _stand_in = StandIn(folder.path());
    let steps = steps();
    assert!(steps.len() > 15 && steps.iter().filter(|step| step.shown.is_some()).count() > 10);
    for Step { commands, code, shown } in steps {
        // Both streams in one, as a terminal shows them.
        let ran = Command::new("bash")
            .args(["-e", "-c", &format!("exec 2>&1\n{commands}")])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", &path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(ran.status.code(), Some(code), "{commands}{printed}");
        if let Some(shown) = shown {
            assert_eq!(lasting(&printed), lasting(&shown), "{commands}{printed}");
        }
    }
}

#[test]
fn every_exit_code_and_every_alert_has_its_section() {
    let runbook = read(RUNBOOK);
    for code in ExitCode::ALL {
        let section = format!("\n### Exit code {}\n\n*{}* — ", code.number(), code.meaning());
        assert!(runbook.contains(&section), "{section}");
    }
    let alerts = alerts();
    assert_eq!(alerts.len(), 7);
    for alert in alerts {
        assert!(runbook.contains(&format!("\n### {alert}\n\n")), "{alert}");
    }
}

#[test]
fn every_file_that_the_runbook_names_exists() {
    let runbook = read(RUNBOOK);
    let links = runbook.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let mut files = 0;
    for link in links.filter(|link| !link.starts_with('#')) {
        assert!(super::repository("deploy").join(link).exists(), "{link}");
        files += 1;
    }
    assert!(files >= 4);
}
