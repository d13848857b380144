//! The guards that keep a run from closing meetings by mistake.

use meeting_closer::Sandbox;

use crate::support::{Closer, fast_sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_called_without_a_confirmation() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "b"]);
    let ran = closer.run(&["close", "list.csv"]).await;
    let question = format!("Close 2 meetings at {} (a stand-in on this machine)?", sandbox.base_url());
    let expected = format!(
        "error: cannot ask for confirmation ({question}): standard input or standard error is not a terminal\nhint: pass --yes to confirm in advance\n"
    );
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr), (2, "", expected));
    let calls = sandbox.statistics();
    assert_eq!((calls.token_calls, calls.close_calls, closer.run_folders().len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_meetings_than_allowed_are_refused_before_any_call() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "b", "b", "c"]);
    let ran = closer.run(&["close", "--yes", "--max-meetings", "2", "list.csv"]).await;
    let expected = "error: the lists contain 3 meetings, and at most 2 may be closed\n\
                    hint: check that these are the right lists, or raise --max-meetings (guard.max_meetings)\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (2, expected));
    assert_eq!(closer.run(&["close", "--yes", "--max-meetings", "3", "list.csv"]).await.code, 0);
    assert_eq!(sandbox.statistics().close_calls, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_forecasts_and_touches_nothing() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "b", "b", ""]);
    let ran = closer.run(&["close", "--dry-run", "--rate", "0.5", "list.csv"]).await;
    let expected = "4 rows: 2 meetings to close, 1 invalid, 1 duplicate\n\
                    about 4s at 0.5 requests a second\n\
                    2 metered calls without retries; a Standard organisation has 5000 a month\n\
                    dry run: nothing was called\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (1, expected));
    assert_eq!(ran.stderr, "invalid row list.csv:5: column \"conferenceId\" is empty\n");
    assert_eq!((sandbox.statistics().token_calls, closer.run_folders().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_leaves_the_rest_for_the_next_run() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox).set("PACE__REQUESTS_PER_SECOND", "10");
    let names: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
    closer.list(names.iter().map(String::as_str));
    let ran = closer.run(&["close", "--yes", "--deadline", "500ms", "list.csv"]).await;
    assert_eq!(ran.code, 4, "{}", ran.printed());
    let (summary, calls) = (closer.summary(), sandbox.statistics().close_calls);
    assert!((1..=6).contains(&calls), "{calls}");
    assert_eq!(summary["outcomes"]["closed"], calls);
    assert_eq!(summary["outcomes"]["not_attempted"], 50 - calls);
    assert_eq!(summary["reason"], "deadline");
}
