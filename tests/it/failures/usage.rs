//! Wrong command lines.

use super::{LIST, assert_failure};
use crate::support::Closer;

#[tokio::test]
async fn a_wrong_command_line_is_refused_with_a_suggestion() {
    let closer = Closer::bare();
    closer.file("list.csv", LIST);
    for (name, arguments) in [
        ("no_command", &[][..]),
        ("unknown_command", &["shut"]),
        ("unknown_option", &["close", "--forse", "list.csv"]),
        ("close_without_a_list", &["close"]),
        ("value_of_an_option_is_missing", &["close", "list.csv", "--exclude"]),
        ("rate_is_no_number", &["close", "--rate", "fast", "list.csv"]),
        ("max_meetings_is_negative", &["close", "--max-meetings=-1", "list.csv"]),
        ("max_meetings_is_zero", &["close", "--yes", "--max-meetings", "0", "list.csv"]),
        ("progress_is_unknown", &["close", "--progress", "loud", "list.csv"]),
        ("log_format_is_unknown", &["close", "--log-format", "xml", "list.csv"]),
        ("quiet_and_verbose", &["close", "-q", "-v", "list.csv"]),
        ("resume_and_fresh", &["close", "--resume", "latest", "--fresh", "list.csv"]),
        ("retry_failed_with_a_list", &["close", "--retry-failed", "latest", "list.csv"]),
        ("report_without_a_run", &["report"]),
        ("verify_without_a_run", &["verify"]),
        ("shell_is_unknown", &["completions", "tcsh"]),
        ("sandbox_fault_is_unknown", &["sandbox", "--fault", "oops=1"]),
        ("sandbox_fault_has_no_probability", &["sandbox", "--fault", "html"]),
        ("sandbox_fault_is_beyond_certain", &["sandbox", "--fault", "html=2"]),
        ("sandbox_latency_is_none", &["sandbox", "--latency", "soon"]),
        ("sandbox_latency_is_reversed", &["sandbox", "--latency", "2s..1s"]),
        ("sandbox_address_is_none", &["sandbox", "--listen", "here"]),
        ("sandbox_address_is_not_loopback", &["sandbox", "--listen", "192.0.2.1:8787"]),
    ] {
        assert_failure(name, &closer, arguments).await;
    }
    assert!(closer.run_folders().is_empty());
}

#[tokio::test]
async fn a_sandbox_address_that_is_taken_is_refused() {
    let closer = Closer::bare();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_failure("sandbox_address_is_taken", &closer, &["sandbox", "--listen", &address]).await;
}
