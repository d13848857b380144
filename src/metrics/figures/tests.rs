use std::time::Duration;

use super::*;
use crate::events::Observers;
use crate::fixtures::close_request;
use crate::meeting::{Cells, CloseRequest, Origin};
use crate::outcome::{Judgement, Outcome, ReplyDetails, Throttle};

fn request(conference_id: &str) -> CloseRequest {
    close_request(conference_id, "host")
}

fn judgement(verdict: Verdict, code: &str) -> Judgement {
    let details = ReplyDetails { code: code.into(), ..ReplyDetails::default() };
    Judgement { verdict, reason: "", details, retry_after: None }
}

fn outcome(conference_id: &str, kind: OutcomeKind, attempts: u32) -> Outcome {
    let cells = Cells { conference_id: conference_id.into(), union_id: "host".into() };
    let origin = Origin { source: "l.csv".into(), line: 2 };
    let unasked = Outcome::unasked(origin, cells, kind, String::new(), Timestamp::UNIX_EPOCH);
    Outcome { attempts, ..unasked }
}

/// A process that observes events one by one.
struct Process {
    metrics: Arc<Metrics>,
    observers: Observers,
}

impl Process {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new(18.0));
        let observers = Observers(vec![Box::new(metrics.watcher())]);
        Self { metrics, observers }
    }

    fn observe(&mut self, event: RunEvent<'_>) {
        self.observers.observe(&event);
    }

    fn starts(&mut self, conference_id: &str, attempt: u32) {
        self.observe(RunEvent::AttemptStarted { request: &request(conference_id), attempt });
    }

    fn answers(&mut self, conference_id: &str, attempt: u32, judgement: &Judgement) {
        let (request, elapsed) = (request(conference_id), Duration::from_millis(30));
        self.observe(RunEvent::AttemptEnded { request: &request, attempt, judgement, elapsed });
    }

    fn plans(&mut self, conference_id: &str, attempt: u32) {
        let (judgement, wait) = (judgement(Verdict::Retry, "systemError"), Duration::from_secs(1));
        let request = request(conference_id);
        self.observe(RunEvent::RetryPlanned { request: &request, attempt, judgement: &judgement, wait });
    }

    fn ends(&mut self, conference_id: &str, kind: OutcomeKind, attempts: u32) {
        self.observe(RunEvent::RowEnded { outcome: &outcome(conference_id, kind, attempts) });
    }

    /// The value of a sample, by its name and labels as they are written.
    fn value(&self, sample: &str) -> Option<String> {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("meeting_closer_{sample} ")));
        line.map(str::to_owned)
    }

    fn is(&self, sample: &str, expected: &str) {
        assert_eq!(self.value(sample).as_deref(), Some(expected), "{sample} in\n{}", self.metrics.text());
    }
}

#[test]
fn a_process_begins_with_every_outcome_at_zero_and_without_a_last_run() {
    let process = Process::new();
    for kind in OutcomeKind::ALL {
        process.is(&format!("outcomes_total{{outcome=\"{kind}\"}}"), "0");
    }
    process.is("pace_requests_per_second", "18.0");
    for zero in
        ["throttled_total", "attempt_duration_seconds_count", "in_flight", "waiting_retries", "paused"]
    {
        process.is(zero, "0");
    }
    assert_eq!(process.value("last_run_exit_code"), None);
    assert_eq!(process.value("last_run_timestamp_seconds"), None);
}

#[test]
fn an_attempt_is_in_flight_until_it_ends_and_is_counted_by_its_code_and_duration() {
    let mut process = Process::new();
    process.starts("a", 1);
    process.starts("b", 1);
    process.is("in_flight", "2");
    process.answers("a", 1, &judgement(Verdict::Closed, "200"));
    process.answers("b", 1, &judgement(Verdict::Closed, "200"));
    process.is("in_flight", "0");
    process.is("attempts_total{code=\"200\"}", "2");
    process.is("attempt_duration_seconds_bucket{le=\"0.025\"}", "0");
    process.is("attempt_duration_seconds_bucket{le=\"0.05\"}", "2");
    process.is("attempt_duration_seconds_sum", "0.06");
    process.is("throttled_total", "0");
}

#[test]
fn refusals_for_the_rate_and_bans_are_throttled() {
    let mut process = Process::new();
    let verdicts = [
        Verdict::Throttled(Throttle::Second),
        Verdict::Throttled(Throttle::Minute),
        Verdict::Banned,
        Verdict::Retry,
    ];
    for verdict in verdicts {
        process.starts("a", 1);
        process.answers("a", 1, &judgement(verdict, "x"));
    }
    process.is("throttled_total", "3");
}

#[test]
fn a_row_waits_from_its_plan_to_its_next_attempt() {
    let mut process = Process::new();
    process.plans("a", 1);
    process.plans("b", 1);
    process.is("waiting_retries", "2");
    process.starts("a", 2);
    process.starts("c", 1);
    process.is("waiting_retries", "1");
    // A ban costs no attempt, so the number comes again.
    process.starts("a", 2);
    process.is("waiting_retries", "1");
    process.starts("b", 2);
    process.is("waiting_retries", "0");
}

#[test]
fn a_row_that_ends_while_it_waits_waits_no_more_and_its_duplicate_changes_nothing() {
    let mut process = Process::new();
    process.plans("a", 2);
    process.ends("a", OutcomeKind::Duplicate, 0);
    process.ends("a", OutcomeKind::Duplicate, 2);
    process.ends("b", OutcomeKind::Closed, 2);
    process.is("waiting_retries", "1");
    process.ends("a", OutcomeKind::NotAttempted, 2);
    process.is("waiting_retries", "0");
    process.ends("a", OutcomeKind::Closed, 2);
    process.is("waiting_retries", "0");
}

#[test]
fn two_rows_with_the_same_ids_wait_as_two() {
    let mut process = Process::new();
    process.plans("a", 1);
    process.plans("a", 1);
    process.starts("a", 2);
    process.is("waiting_retries", "1");
    process.ends("a", OutcomeKind::NotAttempted, 1);
    process.is("waiting_retries", "0");
}

#[test]
fn a_pause_lasts_until_it_is_over_and_the_rate_is_the_last_reported_one() {
    let mut process = Process::new();
    process.observe(RunEvent::Paused { reason: "x", wait: Duration::from_secs(1) });
    process.observe(RunEvent::Paused { reason: "y", wait: Duration::from_secs(2) });
    process.is("paused", "1");
    process.observe(RunEvent::Resumed);
    process.is("paused", "0");
    process.observe(RunEvent::RateChanged { per_second: 9.5, reason: "x" });
    process.is("pace_requests_per_second", "9.5");
}

#[test]
fn rows_are_counted_by_outcome_and_other_events_change_no_metric() {
    let mut process = Process::new();
    process.ends("a", OutcomeKind::Closed, 1);
    process.ends("b", OutcomeKind::Closed, 1);
    process.ends("", OutcomeKind::Invalid, 0);
    process.is("outcomes_total{outcome=\"closed\"}", "2");
    process.is("outcomes_total{outcome=\"invalid\"}", "1");
    let before = process.metrics.text();
    process.observe(RunEvent::TokenFetched);
    process.observe(RunEvent::TokenFetchFailed { problem: "x", wait: Duration::from_secs(1) });
    process.observe(RunEvent::Stopping { reason: "x" });
    // Labels come in any order.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&process.metrics.text()), sorted(&before));
}

#[test]
fn codes_beyond_a_hundred_are_counted_together() {
    let mut process = Process::new();
    for code in 0..150 {
        process.answers("a", 1, &judgement(Verdict::Refused, &format!("code{code}")));
    }
    process.answers("a", 1, &judgement(Verdict::Refused, "code7"));
    process.is("attempts_total{code=\"code7\"}", "2");
    process.is("attempts_total{code=\"other\"}", "50");
    assert_eq!(process.value("attempts_total{code=\"code100\"}"), None);
}

#[test]
fn a_run_that_ended_has_no_request_in_flight_and_has_a_time_and_an_exit_code() {
    let mut process = Process::new();
    process.starts("a", 1);
    process.plans("b", 1);
    process.observe(RunEvent::Paused { reason: "x", wait: Duration::from_secs(1) });
    process.metrics.run_ended(4, Timestamp::from_millisecond(1_767_225_600_250).unwrap());
    process.is("last_run_exit_code", "4");
    process.is("last_run_timestamp_seconds", "1767225600.25");
    for zero in ["in_flight", "waiting_retries", "paused"] {
        process.is(zero, "0");
    }
}

#[test]
fn the_worker_reports_the_entries_of_the_queue() {
    let process = Process::new();
    process.is("queue_pending", "0");
    process.metrics.queue_pending(7);
    process.is("queue_pending", "7");
}
