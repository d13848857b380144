//! Full disks and removed folders: the run stops before the next request.

use std::process::Command;

use meeting_closer::Sandbox;

use crate::support::{Closer, attempts_in, binary, calls_reach, fast_sandbox};

/// Mounts a filesystem of 96 KiB under the audit folder, and enlarges it later. Only this script sees the mount.
const SMALL_FILESYSTEM: &str = r#"
mkdir audit && mount -t tmpfs -o size=96k tmpfs audit || exit 99
"$BINARY" close --yes list.csv; echo "first $?"
mount -o remount,size=64m audit
"$BINARY" close --yes list.csv; echo "second $?"
cp -r audit kept
"#;

/// The same where mounting is not allowed: the system refuses a file larger than 96 KiB.
const SMALL_FILES: &str = r#"
(trap '' XFSZ; ulimit -f 96; "$BINARY" close --yes list.csv); echo "first $?"
"$BINARY" close --yes list.csv; echo "second $?"
cp -r audit kept
"#;

fn can_mount() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    unshare.output().is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_run_at_once_and_free_space_lets_it_continue() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let names: Vec<String> = (0..400).map(|n| format!("m{n:04}")).collect();
    closer.list(names.iter().map(String::as_str));
    let mut script = closer.program("bash", &["-c", SMALL_FILES]);
    if can_mount() {
        let arguments = ["--user", "--map-root-user", "--mount", "bash", "-c", SMALL_FILESYSTEM];
        script = closer.program("unshare", &arguments);
    }
    let ran = closer.finish(script.env("BINARY", binary())).await;
    assert_eq!(ran.stdout.lines().next(), Some("first 5"), "{}", ran.printed());
    assert!(ran.stdout.contains("second 0\n"), "{}", ran.printed());
    assert!(ran.stderr.contains("error: cannot write audit/"), "{}", ran.printed());
    assert!(ran.stderr.contains(" records are safe on the disk\n"), "{}", ran.printed());
    assert!(ran.stderr.contains("continuing run "), "{}", ran.printed());

    // Every sent request was in the journal. Only requests that were in flight when the disk filled up were sent twice.
    let kept = std::fs::read_dir(closer.folder.path().join("kept")).unwrap().map(Result::unwrap);
    let run = kept.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
    let calls = sandbox.statistics().close_calls;
    assert!(attempts_in(&run) >= calls, "{} attempts, {calls} calls", attempts_in(&run));
    assert!(calls <= 400 + 16, "{calls} calls");
    let verified = closer.run(&["verify", run.to_str().unwrap(), "--input", "list.csv"]).await;
    assert_eq!(verified.code, 0, "{}", verified.printed());
    assert!(names.iter().all(|name| sandbox.has_ended(name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_size_limit_is_reported_like_a_full_disk() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let names: Vec<String> = (0..400).map(|n| format!("m{n:04}")).collect();
    closer.list(names.iter().map(String::as_str));
    let script = r#"ulimit -f 40; exec "$BINARY" close --yes list.csv"#;
    let ran = closer.finish(closer.program("bash", &["-c", script]).env("BINARY", binary())).await;
    assert_eq!(ran.code, 5, "{}", ran.printed());
    assert!(ran.stderr.contains(" records are safe on the disk\n"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_folder_was_removed_stops_at_once() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "20");
    let names: Vec<String> = (0..2000).map(|n| format!("m{n:04}")).collect();
    closer.list(names.iter().map(String::as_str));
    let child = closer.command(&["close", "--yes", "list.csv"]).spawn().unwrap();
    calls_reach(&sandbox, 2).await;
    std::fs::remove_dir_all(closer.run_folder()).unwrap();
    let ended = child.wait_with_output().await.unwrap();
    let printed = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(5), "{printed}");
    assert!(printed.contains("journal.jsonl: the file was removed"), "{printed}");
}
