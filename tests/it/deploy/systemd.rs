//! The systemd units: restricted, valid, and they close the list.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use meeting_closer::{Layers, Sandbox, Settings};

use super::{content, read, repository};
use crate::support::{Closer, CommandOutput, binary, fast_sandbox};

const SERVICES: [&str; 2] = ["meeting-closer.service", "meeting-closer-work.service"];
const INSTALLED: &str = "/usr/local/bin/meeting-closer";

/// The values of a key, in order.
fn values(unit: &str, key: &str) -> Vec<String> {
    let text = read(&format!("deploy/systemd/{unit}"));
    let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

fn value(unit: &str, key: &str) -> String {
    let values = values(unit, key);
    assert_eq!(values.len(), 1, "{unit}: {key}");
    values[0].clone()
}

#[test]
fn the_services_have_an_exposure_below_two() {
    for unit in SERVICES {
        // The threshold is in tenths.
        let folder = repository("deploy/systemd");
        let path = folder.join(unit);
        let path = path.to_str().unwrap();
        content(
            "systemd-analyze",
            ["security", "--offline=true", "--threshold=19", "--no-pager", path],
            &folder,
        );
    }
}

#[test]
fn systemd_finds_nothing_wrong_in_any_unit() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = vec![];
    for entry in std::fs::read_dir(repository("deploy/systemd")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // systemd-analyze looks for the program, and here it is in another folder.
        let text = std::fs::read_to_string(&path).unwrap().replace(INSTALLED, &binary());
        std::fs::write(folder.path().join(&name), text).unwrap();
        if name != "settings.toml" {
            units.push(name);
        }
    }
    assert_eq!(units.len(), 3);
    let mut verify = Command::new("systemd-analyze");
    let verified =
        verify.args(["verify", "--man=no"]).args(units).current_dir(folder.path()).output().unwrap();
    // systemd-analyze prints unknown keys, but does not fail.
    let printed = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !printed.contains("meeting-closer"), "{printed}");
}

#[test]
fn the_timer_avoids_the_full_hour_and_catches_up_on_a_missed_start() {
    let timer = "meeting-closer.timer";
    let at = value(timer, "OnCalendar");
    content("systemd-analyze", ["calendar", &at], &repository("deploy"));
    let time = at.rsplit(' ').next().unwrap();
    let minute: u32 = time.split(':').nth(1).unwrap().parse().unwrap();
    let delay: u32 = value(timer, "RandomizedDelaySec").trim_end_matches("min").parse().unwrap();
    assert!(minute > 0 && minute + delay < 60, "{at}");
    assert_eq!(value(timer, "Persistent"), "true");
}

#[test]
fn a_secret_reaches_a_service_only_as_a_credential() {
    for unit in SERVICES {
        assert_eq!(value(unit, "LoadCredential"), "app_secret:/etc/meeting-closer/app_secret");
        assert_eq!(value(unit, "DynamicUser"), "yes");
        assert_eq!(value(unit, "StateDirectoryMode"), "0700");
        let environment = values(unit, "Environment").join("\n");
        assert!(environment.contains("MEETING_CLOSER__DINGTALK__APP_SECRET_FILE=%d/app_secret"), "{unit}");
        assert!(!environment.contains("SECRET="), "{unit}");
        // A service can write only to its own folder.
        let state = format!("/var/lib/{}/", value(unit, "StateDirectory"));
        assert!(settings(unit).audit.dir.starts_with(&state), "{unit}");
    }
}

#[test]
fn the_worker_has_a_queue_and_a_metrics_address() {
    let [job, worker] = SERVICES.map(settings);
    assert!(worker.queue.url.is_some() && worker.metrics.listen.is_some());
    // The evening job needs no Redis.
    assert!(job.queue.url.is_none() && job.metrics.textfile.is_some());
}

#[test]
fn the_metrics_of_every_run_reach_the_node_exporter_even_after_a_failure() {
    let command = value(SERVICES[0], "ExecStopPost");
    // "-": its failure does not fail the service. "+": it may write outside of the service's folder.
    let script = command.strip_prefix("-+/bin/sh -c '").and_then(|rest| rest.strip_suffix('\'')).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    for made in ["meeting-closer", "node-exporter"] {
        std::fs::create_dir(folder.path().join(made)).unwrap();
    }
    std::fs::write(folder.path().join("meeting-closer/run.prom"), "metrics").unwrap();
    let script = script.replace("%S", root).replace("/var/lib/prometheus", root);
    content("sh", ["-c", &script], folder.path());
    let put = folder.path().join("node-exporter/meeting-closer.prom");
    assert_eq!(std::fs::read_to_string(&put).unwrap(), "metrics");
    assert_eq!(std::fs::metadata(put).unwrap().permissions().mode() & 0o777, 0o644);
    let textfile = settings(SERVICES[0]).metrics.textfile.unwrap();
    assert_eq!(textfile.to_str(), Some("/var/lib/meeting-closer/run.prom"));
}

/// The settings that a service starts with.
fn settings(unit: &str) -> Settings {
    let environment = values(unit, "Environment");
    let environment = environment.iter().map(|pair| pair.split_once('=').unwrap());
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let file = Some(repository("deploy/systemd/settings.toml"));
    Settings::load(&Layers { file, environment, ..Layers::default() }).unwrap()
}

/// Runs a service's command as the service manager would, but against a stand-in and in a temporary folder.
async fn start(closer: Closer, unit: &str, sandbox: &Sandbox) -> CommandOutput {
    let root = closer.folder.path().to_str().unwrap().to_owned();
    let here = |text: &str| {
        text.replace("/etc/", &format!("{root}/")).replace("%d", &format!("{root}/meeting-closer"))
    };
    let environment: HashMap<String, String> = values(unit, "Environment")
        .iter()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), here(value)))
        .collect();
    let command = value(unit, "ExecStart");
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some(INSTALLED));
    let arguments: Vec<&str> = words.collect();
    let mut command = closer.command(&arguments);
    command
        .envs(environment)
        .env("MEETING_CLOSER__DINGTALK__BASE_URL", sandbox.base_url())
        .env("MEETING_CLOSER__AUDIT__DIR", "audit")
        .env("MEETING_CLOSER__METRICS__TEXTFILE", "run.prom");
    if let Some(list) = values(unit, "StandardInput").first() {
        assert!(list.starts_with("file:/srv/meeting-closer/"), "{list}");
        let list = closer.folder.path().join(list.rsplit('/').next().unwrap());
        command.stdin(Stdio::from(std::fs::File::open(list).unwrap()));
    }
    closer.finish(&mut command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evening_job_closes_the_list_with_its_credential() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::bare();
    std::fs::create_dir(closer.folder.path().join("meeting-closer")).unwrap();
    closer.file("meeting-closer/settings.toml", read("deploy/systemd/settings.toml"));
    closer.file("meeting-closer/app_secret", "hunter2\n");
    closer.file("tonight.csv", "conferenceId,unionId\na,host\nb,host\n");
    let ran = start(closer, "meeting-closer.service", &sandbox).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(sandbox.has_ended("a") && sandbox.has_ended("b"));
}
