//! `check`: checks that a run would work, and closes nothing.

use std::path::PathBuf;

use super::layers;
use crate::check::{self, Contact, Finding, Findings, QueueFacts, Side};
use crate::cli::CheckArgs;
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle::hasher;
use crate::printer;
use crate::queue::{Eviction, QueueServer};
use crate::settings::{Auth, Secret, Settings, SettingsError};
use crate::wording::count;

pub(super) async fn run(args: CheckArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let mut findings = Findings::default();
    let mut report = |finding: Finding| {
        printer::out(&finding.to_string());
        findings.push(finding);
    };
    match layers::settings_in(args.audit.audit_dir.as_ref(), config.clone(), vec![]) {
        Err(failure) => report(ours("configuration", failure)),
        Ok(settings) => {
            report(Finding::ok("configuration", configuration(config)));
            let (auth, lacking) = match settings.dingtalk.auth() {
                Ok(auth) => (Some(auth), None),
                Err(error) => (None, Some(error)),
            };
            secrets(&settings, lacking).into_iter().for_each(&mut report);
            places(&settings).into_iter().for_each(&mut report);
            queue(&settings).await.into_iter().for_each(&mut report);
            contact(&settings, auth).await.into_iter().for_each(&mut report);
        }
    }
    Ok(findings.exit_code())
}

fn ours(about: &'static str, failure: Failure) -> Finding {
    let advice = failure.hint.unwrap_or_else(|| "let the user that runs this program read it".into());
    Finding::wrong(Side::Local, about, failure.problem, advice)
}

/// The layers above the defaults.
fn configuration(file: Option<PathBuf>) -> String {
    let variables =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MEETING_CLOSER__"));
    let variables = count(variables.count() as u64, "environment variable");
    match file {
        Some(file) => format!("{} and {variables}", file.display()),
        None => format!("no file, and {variables}"),
    }
}

/// The secrets: credentials, the robot's secrets, and the key of the audit.
fn secrets(settings: &Settings, lacking: Option<SettingsError>) -> Vec<Finding> {
    let mut findings = vec![match lacking {
        None => Finding::ok("credentials", format!("{} is complete", settings.dingtalk.auth_name())),
        Some(error) => ours("credentials", error.into()),
    }];
    let of_robot = [&settings.notify.robot_webhook, &settings.notify.robot_secret];
    let read: Result<Vec<_>, _> = of_robot.into_iter().flatten().map(Secret::read).collect();
    match read {
        Ok(read) if read.is_empty() => {}
        Ok(_) => findings.push(Finding::ok("robot", "its secrets are readable")),
        Err(error) => findings.push(ours("robot", error.into())),
    }
    if let Some(path) = &settings.audit.hmac_key_file {
        findings.push(match hasher(settings) {
            Ok(_) => Finding::ok("hmac key", format!("{} is readable", path.display())),
            Err(failure) => ours("hmac key", failure),
        });
    }
    findings
}

/// The queue, if one is configured: a trial of it, which takes nothing from it.
async fn queue(settings: &Settings) -> Vec<Finding> {
    if settings.queue.url.is_none() {
        return vec![];
    }
    let tried = async {
        let queue = super::queue::connect(settings)?;
        let QueueServer { eviction, keeps_nothing, is_cluster: _ } = queue.trial().await?;
        let (evicts_requests, evicts_quota) = match eviction {
            Eviction::Never => (None, None),
            Eviction::OfExpiring(policy) => (None, Some(policy)),
            Eviction::OfAny(policy) => (Some(policy), None),
        };
        let waiting = queue.status().await?.waiting;
        Ok(QueueFacts { waiting, evicts_requests, evicts_quota, keeps_nothing })
    };
    check::queue(&settings.queue.stream, tried.await)
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

/// Which server answers at the address, and whether it grants an access token. Without credentials, only the first.
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
