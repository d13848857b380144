//! `check`: proves that a run would work, and closes nothing.

use std::path::PathBuf;

use crate::check::{self, Contact, Finding, Findings, Side};
use crate::cli::CheckArgs;
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle::hasher;
use crate::printer;
use crate::settings::{Auth, Secret, Settings, SettingsError};

pub(super) async fn run(args: CheckArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let mut findings = Findings::default();
    let mut tell = |finding: Finding| {
        printer::out(&finding.to_string());
        findings.push(finding);
    };
    let audit_dir = args.audit_dir.map(|dir| ("audit.dir", dir.to_string_lossy().into_owned().into()));
    match super::settings(config.clone(), audit_dir.into_iter().collect()) {
        Err(failure) => tell(ours("configuration", failure)),
        Ok(settings) => {
            tell(Finding::ok("configuration", layers(config)));
            let (auth, lacking) = match settings.dingtalk.auth() {
                Ok(auth) => (Some(auth), None),
                Err(error) => (None, Some(error)),
            };
            secrets(&settings, lacking).into_iter().for_each(&mut tell);
            places(&settings).into_iter().for_each(&mut tell);
            queue(&settings).await.into_iter().for_each(&mut tell);
            contact(&settings, auth).await.into_iter().for_each(&mut tell);
        }
    }
    Ok(findings.exit_code())
}

fn ours(about: &'static str, failure: Failure) -> Finding {
    let advice = failure.hint.unwrap_or_else(|| "make it readable for who runs the job".into());
    Finding::wrong(Side::Local, about, failure.problem, advice)
}

/// The layers above the defaults that there are.
fn layers(file: Option<PathBuf>) -> String {
    let variables =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MEETING_CLOSER__"));
    let variables = variables.count();
    match file {
        Some(file) => format!("{} and {variables} variables of the environment", file.display()),
        None => format!("no file, and {variables} variables of the environment"),
    }
}

/// What has to be secret: credentials, the robot's, and the key of the audit.
fn secrets(settings: &Settings, lacking: Option<SettingsError>) -> Vec<Finding> {
    let mut findings = vec![match lacking {
        None => {
            Finding::ok("credentials", format!("all that {} needs is there", settings.dingtalk.auth_name()))
        }
        Some(error) => ours("credentials", error.into()),
    }];
    let of_robot = [&settings.notify.robot_webhook, &settings.notify.robot_secret];
    let read: Result<Vec<_>, _> = of_robot.into_iter().flatten().map(Secret::read).collect();
    match read {
        Ok(read) if read.is_empty() => {}
        Ok(_) => findings.push(Finding::ok("robot", "its secrets can be read")),
        Err(error) => findings.push(ours("robot", error.into())),
    }
    if let Some(path) = &settings.audit.hmac_key_file {
        findings.push(match hasher(settings) {
            Ok(_) => Finding::ok("hmac key", format!("{} can be read", path.display())),
            Err(failure) => ours("hmac key", failure),
        });
    }
    findings
}

/// The queue, where one is configured: it is looked at, and nothing is taken from it.
async fn queue(settings: &Settings) -> Option<Finding> {
    settings.queue.url.as_ref()?;
    let looked = match super::queue::connect(settings) {
        Ok(queue) => queue.status().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    Some(match looked {
        Ok(snapshot) => {
            let stream = &settings.queue.stream;
            Finding::ok("queue", format!("{stream} is reached, {} requests wait there", snapshot.waiting))
        }
        Err(failure) => {
            let advice = failure.hint.unwrap_or_else(|| "see that Redis runs there, and queue.url".into());
            Finding::wrong(Side::Local, "queue", failure.problem, advice)
        }
    })
}

/// The folders that a run writes to.
fn places(settings: &Settings) -> Vec<Finding> {
    let dir = &settings.audit.dir;
    let probed = check::probe_audit_dir(dir);
    let mut findings = vec![check::audit_folder(dir, &probed)];
    findings.extend(probed.ok().map(|facts| check::room(facts.free_bytes, &settings.guard)));
    if let Some(path) = &settings.metrics.textfile {
        findings.push(check::textfile(path, &check::probe_textfile(path)));
    }
    findings
}

/// Who answers at the address, and what a request for a token comes to. Without credentials, the first alone.
async fn contact(settings: &Settings, auth: Option<Auth>) -> Vec<Finding> {
    let clock = Clock::System;
    let name = auth.is_some().then(|| settings.dingtalk.auth_name());
    let none = || Auth::AccessToken(Secret::value("dingtalk.access_token", "none"));
    let api = match HttpApi::new(&settings.dingtalk, auth.unwrap_or_else(none), 1, clock.clone()) {
        Ok(api) => api,
        Err(error) => return vec![ours("dingtalk", error.into())],
    };
    let sent_at = clock.timestamp();
    match api.first_contact().await {
        Err(error) => vec![ours("credentials", error.into())],
        Ok(found) => check::contact(&Contact {
            address: settings.dingtalk.base_url.to_string(),
            auth: name,
            found,
            sent_at,
            answered_at: clock.timestamp(),
        }),
    }
}
