//! Standard output that is full, or whose reader has gone.

use std::fs::OpenOptions;
use std::process::Stdio;

use meeting_closer::Sandbox;

use crate::support::{Closer, CommandOutput, fast_sandbox};
use crate::support_redis::Redis;

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn without_a_reader() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

async fn run(closer: &Closer, arguments: &[&str], stdout: Stdio) -> CommandOutput {
    let child = closer.command(arguments).stdout(stdout).spawn().unwrap();
    CommandOutput::of(child.wait_with_output().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_for_its_output_fails_if_the_output_is_lost() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = Closer::at(&sandbox).with_queue(&redis);
    closer.list(["a", "b"]);
    assert_eq!(closer.close().await.code, 0);
    for arguments in [
        &["man"][..],
        &["completions", "bash"],
        &["close", "--dry-run", "list.csv"],
        &["enqueue", "--dry-run", "list.csv"],
        &["report", "latest"],
        &["verify", "latest"],
        &["check"],
        &["queue", "status"],
        &["--help"],
        &["close", "--help"],
        &["--version"],
    ] {
        let ran = run(&closer, arguments, full()).await;
        assert_eq!(ran.code, 2, "{arguments:?} {}", ran.printed());
        let problem = "error: cannot write to standard output: No space left on device";
        assert!(
            ran.stderr.contains(problem) && ran.stderr.contains("\nhint: "),
            "{arguments:?} {}",
            ran.printed()
        );
        let ran = run(&closer, arguments, without_a_reader()).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_acts_keeps_its_exit_code_and_says_that_output_is_lost() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    for (ids, code) in [(["a", "b"], 0), (["a", ""], 1)] {
        let closer = Closer::at(&sandbox);
        closer.list(ids);
        let ran = run(&closer, &["close", "--yes", "list.csv"], full()).await;
        assert_eq!(ran.code, code, "{}", ran.printed());
        assert!(ran.stderr.contains("warning: cannot write to standard output: "), "{}", ran.printed());
        assert_eq!(closer.summary()["exit_code"], code);
    }
    let closer = Closer::at(&sandbox).with_queue(&redis);
    closer.list(["c"]);
    let ran = run(&closer, &["enqueue", "--yes", "list.csv"], full()).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(ran.stderr.contains("warning: cannot write to standard output: "), "{}", ran.printed());
}
