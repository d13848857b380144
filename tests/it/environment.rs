//! What a process is started with: variables, arguments and paths that are not UTF-8, and signals.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use meeting_closer::Sandbox;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{Closer, audit_of, fast_sandbox, signal};

/// Bytes that are not UTF-8.
fn raw(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_not_utf8_is_refused_by_its_name_if_it_is_ours_and_ignored_otherwise() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["m"]);
    let key = "MEETING_CLOSER__DINGTALK__APP_SECRET";
    for arguments in [&["close", "--yes", "list.csv"][..], &["verify", "latest"], &["queue", "status"]] {
        let ran = closer.finish(closer.command(arguments).env(key, raw(b"hunter2\xff"))).await;
        assert_eq!(ran.code, 2, "{}", ran.printed());
        let problem = format!("error: the environment variable {key} is not valid UTF-8\nhint: ");
        assert!(ran.stderr.starts_with(&problem), "{}", ran.printed());
        assert!(!ran.printed().contains("hunter2"), "{}", ran.printed());
    }
    let ran = closer.finish(closer.command(&["check"]).env(key, raw(b"hunter2\xff"))).await;
    assert!(
        ran.code == 2 && ran.stdout.contains(key) && !ran.printed().contains("hunter2"),
        "{}",
        ran.printed()
    );
    let mut command = closer.command(&["close", "--yes", "list.csv"]);
    command.env("OTHER", raw(b"hunter2\xff")).env(raw(b"LC_\xff"), "x").env("RUST_LOG", raw(b"\xff"));
    let ran = closer.finish(&mut command).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
}

/// What a run of the binary came to, whose output need not be text.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_that_is_not_utf8_names_the_file_or_folder_that_it_names() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let folder = closer.folder.path();
    let (list, audit, spared) = (raw(b"list\xff.csv"), raw(b"audit\xff"), raw(b"keep\xff.csv"));
    std::fs::write(folder.join(list), "conferenceId,unionId\na,host\nb,host\n").unwrap();
    std::fs::write(folder.join(spared), "conferenceId\nb\n").unwrap();
    // What a lossy reading of the names would find.
    closer.file("list\u{fffd}.csv", "conferenceId,unionId\nwrong,host\n");
    closer.file("keep\u{fffd}.csv", "conferenceId\na\n");
    let run = async |words: &[&OsStr]| {
        let output = closer.command(&[]).args(words).output().await.unwrap();
        Told {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into(),
        }
    };
    let [close, yes, dir, exclude] = ["close", "--yes", "--audit-dir", "--exclude"].map(OsStr::new);
    let ran = run(&[close, yes, list, dir, audit, exclude, spared]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // The folder on standard output is the one that there is.
    assert!(ran.stdout.windows(6).any(|bytes| bytes == b"audit\xff"), "{ran:?}");
    let names: Vec<OsString> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.contains(&audit.to_owned()) && !names.contains(&"audit\u{fffd}".into()), "{names:?}");
    let runs: Vec<_> =
        std::fs::read_dir(folder.join(audit)).unwrap().map(|run| run.unwrap().path()).collect();
    let runs: Vec<_> = runs.into_iter().filter(|path| path.is_dir()).collect();
    let rows = audit_of(&runs[0]);
    assert_eq!((rows[0]["conference_id"].as_str(), rows[0]["outcome"].as_str()), ("a", "closed"));
    assert_eq!((rows[1]["conference_id"].as_str(), rows[1]["outcome"].as_str()), ("b", "excluded"));

    let [verify, report, check, latest, resume] =
        ["verify", "report", "check", "latest", "--resume"].map(OsStr::new);
    for words in [&[verify, latest, dir, audit][..], &[report, latest, dir, audit], &[check, dir, audit]] {
        let ran = run(words).await;
        assert_eq!(ran.code, Some(0), "{words:?} {ran:?}");
    }
    // The journal cannot hold the list's name, so the file of another name is not taken for it.
    let ran = run(&[close, yes, dir, audit, resume, latest]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("is not valid UTF-8") && ran.stderr.contains("as INPUT"), "{ran:?}");
    assert_eq!(sandbox.statistics().close_calls, 1);
    for words in [&[raw(b"clo\xffse")][..], &[close, resume, raw(b"\xff")], &[close, raw(b"--\xff"), list]] {
        let ran = run(words).await;
        assert!(ran.code == Some(2) && ran.stderr.starts_with("error: "), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_drains_like_sigterm_and_stays_ignored_under_nohup() {
    let start = async |closer: &Closer, program: &str, arguments: &[&str]| {
        let mut child = closer.program(program, arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next_line().await.unwrap().unwrap().starts_with("http://"));
        (child, lines)
    };
    let closer = Closer::bare();
    let binary = crate::support::binary();
    let sandbox = ["sandbox", "--listen", "127.0.0.1:0"];
    let (mut child, mut lines) = start(&closer, &binary, &sandbox).await;
    signal(child.id(), "-HUP");
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert!(lines.next_line().await.unwrap().is_some(), "its statistics");
    let (child, _lines) = start(&closer, "nohup", &[&[binary.as_str()], &sandbox[..]].concat()).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    assert_eq!(u64::from_str_radix(ignored.trim(), 16).unwrap() & 1, 1, "{status}");
}
