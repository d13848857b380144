//! The crontab: its line closes the list, never twice at once, and prints every failure.

use meeting_closer::Sandbox;

use super::read;
use crate::support::{Closer, CommandOutput, binary, fast_sandbox};

/// The line's schedule, and its command with the test's paths.
fn job(folder: &str) -> (Vec<String>, String) {
    let crontab = read("deploy/crontab");
    let mut lines = crontab.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let line = lines.next().unwrap();
    assert_eq!((lines.next(), line.contains('%')), (None, false), "cron takes a % for a line break");
    let (schedule, command) = line.split_once("  ").unwrap();
    let command = command
        .replace("/var/lib/meeting-closer", folder)
        .replace(" meeting-closer close", &format!(" {} close", binary()));
    (schedule.split(' ').map(str::to_owned).collect(), command)
}

async fn run(closer: &Closer) -> CommandOutput {
    let folder = closer.folder.path().to_str().unwrap();
    let (_, command) = job(folder);
    closer.finish(&mut closer.program("sh", &["-c", &command])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cron_line_closes_the_list_and_mails_every_failure() {
    let (schedule, _) = job("");
    assert!(schedule.len() == 5 && schedule[0] != "0", "{schedule:?}");
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.file("tonight.csv", "conferenceId,unionId\na,host\n");
    let ran = run(&closer).await;
    assert!(sandbox.has_ended("a") && !ran.stdout.contains("exit code"), "{}", ran.printed());
    closer.file("tonight.csv", "conferenceId,unionId\nb,guest\n");
    let ran = run(&closer).await;
    assert!(ran.stdout.contains("\nexit code 1: RUNBOOK.md"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_cron_job_does_not_start_beside_the_first() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.file("tonight.csv", "conferenceId,unionId\na,host\n");
    let lock = std::fs::File::create(closer.folder.path().join("cron.lock")).unwrap();
    lock.lock().unwrap();
    let ran = run(&closer).await;
    assert_eq!(
        ran.stdout,
        "exit code 75: RUNBOOK.md says what it means and what to do\n",
        "{}",
        ran.printed()
    );
    assert_eq!(sandbox.statistics().token_calls, 0);
}
