//! What `close` says before it starts: which run it continues, which unfinished run it leaves behind, and whether it is real.

use meeting_closer::{Sandbox, SandboxSettings};

use crate::support::{Closer, calls_reach, fast_sandbox};

const SOME: &[&str] = &["close", "--yes", "--run-id", "one", "--deadline", "300ms", "list.csv"];

fn list(closer: &Closer, rows: usize) {
    let names: Vec<String> = (0..rows).map(|n| format!("m{n:02}")).collect();
    closer.list(names.iter().map(String::as_str));
}

/// Starts a run of forty rows that its deadline stops early. Returns how many rows it closed.
async fn unfinished(settings: SandboxSettings) -> (Sandbox, Closer, u64) {
    let sandbox = Sandbox::start(settings).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "40");
    list(&closer, 40);
    let ran = closer.run(SOME).await;
    assert_eq!(ran.code, 4, "{}", ran.printed());
    let done = sandbox.statistics().close_calls;
    (sandbox, closer, done)
}

fn real() -> SandboxSettings {
    SandboxSettings { says_so: false, ..fast_sandbox() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_the_question_count_only_what_the_unfinished_run_left() {
    for settings in [fast_sandbox(), real()] {
        let (sandbox, closer, done) = unfinished(settings).await;
        let left = 40 - done;
        let before = std::fs::read(closer.run_folder().join("journal.jsonl")).unwrap();
        let dry = closer.run(&["close", "--dry-run", "list.csv"]).await;
        let expected = format!(
            "40 rows: 40 meetings to close\ncontinues run one: {done} of 40 rows done, {left} meetings to close\n"
        );
        assert!(dry.code == 0 && dry.stdout.starts_with(&expected), "{}", dry.printed());
        assert!(dry.stdout.contains(&format!("\n{left} metered calls ")), "{}", dry.printed());
        let asked = closer.run(&["close", "list.csv"]).await;
        let expected = format!("(Continue run one ({done} of 40 rows done) and close {left} meetings at ");
        assert!(asked.code == 2 && asked.stderr.contains(&expected), "{}", asked.printed());
        assert_eq!(std::fs::read(closer.run_folder().join("journal.jsonl")).unwrap(), before);
        assert_eq!(sandbox.statistics().close_calls, done);
        let fresh = closer.run(&["close", "--dry-run", "--fresh", "list.csv"]).await;
        assert!(!fresh.stdout.contains("continues"), "{}", fresh.printed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_over_an_edited_list_names_the_run_that_it_leaves_unfinished() {
    let (_sandbox, closer, done) = unfinished(fast_sandbox()).await;
    list(&closer, 39);
    let left = 40 - done;
    let note =
        format!("run one is unfinished ({left} of 40 rows are left), and its lists have changed since\n");
    let advice = "close --yes list.csv --resume one\n";
    let dry = closer.run(&["close", "--yes", "--dry-run", "list.csv"]).await;
    assert!(dry.stderr.contains(&note) && dry.stderr.contains(advice), "{}", dry.printed());
    // Another list by another name leaves nothing behind.
    closer.file("other.csv", "conferenceId,unionId\nx,host\n");
    let other = closer.run(&["close", "--dry-run", "other.csv"]).await;
    assert!(!other.stderr.contains("unfinished"), "{}", other.printed());
    let closer = closer.set("PACE__REQUESTS_PER_SECOND", "1000");
    let ran = closer.run(&["close", "--yes", "list.csv"]).await;
    assert!(ran.code == 0 && ran.stderr.contains(&note) && ran.stderr.contains(advice), "{}", ran.printed());
    // The newest run is complete now, so the older one was given up.
    list(&closer, 38);
    let ran = closer.run(&["close", "--dry-run", "list.csv"]).await;
    assert!(!ran.stderr.contains("unfinished"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_this_machine_that_is_not_the_stand_in_is_real() {
    let sandbox = Sandbox::start(real()).await.unwrap();
    let closer = Closer::at(&sandbox);
    list(&closer, 2);
    let asked = closer.run(&["close", "list.csv"]).await;
    assert!(!asked.stderr.contains("a stand-in on this machine"), "{}", asked.printed());
    let ran = closer.close().await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(!ran.printed().to_lowercase().contains("sandbox"), "{}", ran.printed());
    assert_eq!(closer.summary()["sandbox"], false);
    assert!(closer.audit().iter().all(|row| !row["message"].contains("sandbox")));
    let check = closer.run(&["check"]).await;
    assert!(!check.stdout.contains("sandbox"), "{}", check.printed());

    let rehearsed = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&rehearsed);
    list(&closer, 2);
    let asked = closer.run(&["close", "list.csv"]).await;
    assert!(asked.stderr.contains(" (a stand-in on this machine)?"), "{}", asked.printed());
    assert!(closer.close().await.stdout.starts_with("SANDBOX: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_halts_if_another_server_takes_over_the_address() {
    for (first, second) in [(fast_sandbox(), real()), (real(), fast_sandbox())] {
        let sandbox = Sandbox::start(first).await.unwrap();
        let listen = sandbox.base_url().trim_start_matches("http://").parse().unwrap();
        let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "20");
        list(&closer, 40);
        let child = closer.command(&["close", "--yes", "list.csv"]).spawn().unwrap();
        calls_reach(&sandbox, 2).await;
        drop(sandbox);
        let other = loop {
            // The address is free as soon as the first server is gone.
            match Sandbox::start(SandboxSettings { listen, ..second.clone() }).await {
                Ok(other) => break other,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let ended = child.wait_with_output().await.unwrap();
        let printed = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(3), "{printed}");
        assert!(printed.contains("(wrong_server)"), "{printed}");
        let audit = closer.audit();
        let mut of_first_server = audit.iter().filter(|row| row["outcome"] == "closed");
        assert!(of_first_server.all(|row| !other.has_ended(&row["conference_id"])));
        assert!(other.statistics().close_calls <= 16, "{}", other.statistics());
    }
}
