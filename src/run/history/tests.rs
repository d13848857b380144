//! What a journal says about rows: which of them come into a continued run, and which are withdrawn.

use super::*;
use crate::fixtures::close_request;
use crate::journal::AttemptStarted;
use crate::meeting::{Cells, Origin};
use crate::outcome::Outcome;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn origin(line: u64) -> Origin {
    Origin { source: "a.csv".into(), line }
}

fn cells(name: &str) -> Cells {
    Cells { conference_id: name.into(), union_id: "host".into() }
}

fn to_close(name: &str, line: u64) -> TriagedRow {
    let request = close_request(name, "host");
    TriagedRow::ToClose { origin: origin(line), request }
}

fn unasked(name: &str, kind: OutcomeKind) -> TriagedRow {
    TriagedRow::Unasked { origin: origin(9), cells: cells(name), kind, reason: String::new() }
}

fn history(records: &[(&str, Option<OutcomeKind>)]) -> History {
    let mut history = History::default();
    for (name, kind) in records {
        let record = match kind {
            None => Record::Attempt(AttemptStarted {
                source: "a.csv".into(),
                line: 2,
                conference_id: (*name).into(),
                union_id: "host".into(),
                attempt: 1,
            }),
            Some(kind) => {
                let outcome = Outcome::unasked(origin(2), cells(name), *kind, String::new(), AT);
                Record::Outcome(Box::new(OutcomeRecord::from(&outcome)))
            }
        };
        history.learn(&record, AT);
    }
    history
}

#[test]
fn a_row_with_its_outcome_is_not_asked_for_again_on_whichever_line_it_is_now() {
    for kind in [OutcomeKind::Closed, OutcomeKind::AlreadyClosed, OutcomeKind::Failed] {
        let mut history = history(&[("a", None), ("a", Some(kind))]);
        assert_eq!(history.admit(to_close("a", 77)), None);
        assert!(history.admit(to_close("b", 2)).is_some());
        assert_eq!(history.rows_done(), 1);
    }
}

#[test]
fn a_row_without_an_outcome_is_asked_for_again_and_keeps_its_earlier_attempts() {
    let asked =
        PriorAttempts { attempts: 1, first_attempt_at: Some(AT), in_doubt: true, ..PriorAttempts::default() };
    for records in [&[("a", None)][..], &[("a", None), ("a", Some(OutcomeKind::NotAttempted))]] {
        let incoming = history(records).admit(to_close("a", 2)).unwrap();
        assert_eq!(incoming.prior, asked);
    }
}

#[test]
fn each_of_several_unasked_rows_that_say_the_same_gets_one_outcome() {
    let duplicate = OutcomeKind::Duplicate;
    let mut history = history(&[("a", Some(duplicate)), ("a", Some(duplicate))]);
    assert_eq!(history.admit(unasked("a", duplicate)), None);
    assert_eq!(history.admit(unasked("a", duplicate)), None);
    assert!(history.admit(unasked("a", duplicate)).is_some());
    assert!(history.admit(unasked("b", OutcomeKind::Invalid)).is_some());
}

#[test]
fn exclusions_that_changed_between_processes_give_no_row_a_second_outcome() {
    let (duplicate, excluded) = (OutcomeKind::Duplicate, OutcomeKind::Excluded);
    // Two rows: one is not attempted, one is its duplicate. Then both are excluded.
    let mut tightened = history(&[("a", Some(OutcomeKind::NotAttempted)), ("a", Some(duplicate))]);
    assert_eq!(tightened.admit(unasked("a", excluded)), None);
    assert!(tightened.admit(unasked("a", excluded)).is_some());
    // Two rows, both excluded. Then the exclusion is removed.
    let mut loosened = history(&[("a", Some(excluded)), ("a", Some(excluded))]);
    assert_eq!(loosened.admit(to_close("a", 2)), None);
    assert_eq!(loosened.admit(unasked("a", duplicate)), None);
    // A duplicate's outcome says nothing about the row that it repeats.
    assert!(history(&[("a", Some(duplicate))]).admit(to_close("a", 2)).is_some());
}

#[test]
fn a_late_exclusion_gives_no_second_outcome_to_a_row_that_was_asked_for() {
    let mut ended = history(&[("a", None), ("a", Some(OutcomeKind::Closed))]);
    assert_eq!(ended.admit(unasked("a", OutcomeKind::Excluded)), None);
    // A second row that says the same gets an outcome of its own.
    assert!(ended.admit(unasked("a", OutcomeKind::Excluded)).is_some());
    let incoming = history(&[("a", None)]).admit(unasked("a", OutcomeKind::Excluded)).unwrap();
    let TriagedRow::Unasked { kind, reason, .. } = incoming.entry else { panic!("not asked") };
    assert_eq!((kind, incoming.prior.attempts), (OutcomeKind::Withdrawn, 1));
    assert!(incoming.prior.in_doubt);
    assert_eq!(reason, "a request was sent and not answered; the row was excluded later");
}

#[test]
fn a_row_whose_ids_are_refused_now_keeps_the_outcome_that_it_has() {
    let invalid = OutcomeKind::Invalid;
    let mut ended =
        history(&[("a", None), ("a", Some(OutcomeKind::Closed)), ("a", Some(OutcomeKind::Duplicate))]);
    assert_eq!(ended.admit(unasked("a", invalid)), None);
    assert_eq!(ended.admit(unasked("a", invalid)), None);
    assert!(ended.admit(unasked("a", invalid)).is_some());
    let mut in_doubt = history(&[("a", None)]);
    let incoming = in_doubt.admit(unasked("a", invalid)).unwrap();
    let TriagedRow::Unasked { kind, reason, .. } = incoming.entry else { panic!("not asked") };
    assert_eq!((kind, in_doubt.withdrawn_rows()), (OutcomeKind::Withdrawn, 0));
    assert!(reason.starts_with("a request was sent and not answered; the row is invalid now"), "{reason}");
}

#[test]
fn a_row_that_waited_and_whose_ids_are_refused_now_gets_one_outcome() {
    let mut waited = history(&[("a", Some(OutcomeKind::NotAttempted))]);
    let incoming = waited.admit(unasked("a", OutcomeKind::Invalid)).unwrap();
    assert!(matches!(incoming.entry, TriagedRow::Unasked { kind: OutcomeKind::Invalid, .. }));
    assert_eq!(waited.withdrawn_rows(), 0);
}

#[test]
fn a_meeting_that_was_asked_for_under_another_host_is_in_doubt() {
    let mut history = history(&[("a", None), ("a", Some(OutcomeKind::Failed))]);
    let request = close_request("a", "another-host");
    let incoming = history.admit(TriagedRow::ToClose { origin: origin(2), request }).unwrap();
    assert_eq!((incoming.prior.attempts, incoming.prior.in_doubt), (0, true));
    assert!(!history.admit(to_close("b", 3)).unwrap().prior.in_doubt);
}

/// The ids of the withdrawn rows, and whether each is in doubt.
fn withdrawn(history: History) -> Vec<(String, bool)> {
    let row = |incoming: IncomingRow| match incoming.entry {
        TriagedRow::Unasked { cells, kind: OutcomeKind::Withdrawn, .. } => {
            (cells.conference_id, incoming.prior.in_doubt)
        }
        other => panic!("{other:?}"),
    };
    let mut rows: Vec<_> = history.withdrawn().map(row).collect();
    rows.sort_unstable();
    rows
}

fn row(name: &str, in_doubt: bool) -> (String, bool) {
    (name.to_owned(), in_doubt)
}

#[test]
fn every_open_row_that_the_lists_lack_now_is_withdrawn_and_no_other() {
    let not_attempted = Some(OutcomeKind::NotAttempted);
    let mut history = history(&[
        ("asked", None),
        ("waited", not_attempted),
        ("listed", not_attempted),
        ("ended", None),
        ("ended", Some(OutcomeKind::Closed)),
        ("again", Some(OutcomeKind::Withdrawn)),
        ("back", Some(OutcomeKind::Withdrawn)),
    ]);
    for listed in ["listed", "back"] {
        assert!(history.admit(to_close(listed, 2)).is_some(), "{listed} is asked for");
    }
    assert_eq!(history.withdrawn_rows(), 3);
    assert_eq!(withdrawn(history), [row("again", false), row("asked", true), row("waited", false)]);
}

#[test]
fn a_row_stays_in_doubt_although_a_later_process_did_not_ask_for_it() {
    let mut history = history(&[("a", None)]);
    let continued = || Record::RunContinued(Box::new(crate::fixtures::run_started()));
    let with_answer = |kind| {
        let mut outcome = Outcome::unasked(origin(2), cells("a"), kind, String::new(), AT);
        (outcome.attempts, outcome.details.http_status) = (1, Some(403));
        Record::Outcome(Box::new(OutcomeRecord::from(&outcome)))
    };
    history.learn(&continued(), AT);
    history.learn(&with_answer(OutcomeKind::NotAttempted), AT);
    assert_eq!(withdrawn(history.clone()), [row("a", true)]);
    let refused = History::default();
    let mut refused_once = refused;
    refused_once.learn(&with_answer(OutcomeKind::NotAttempted), AT);
    assert_eq!(withdrawn(refused_once.clone()), [row("a", false)]);
    // The outcome of a withdrawn row says the same to the next process.
    for (history, in_doubt) in [(history, true), (refused_once, false)] {
        let prior = history.withdrawn().next().unwrap().prior;
        assert_eq!(is_in_doubt(1, prior.last_status), in_doubt);
    }
}

#[test]
fn an_invalid_row_that_has_its_outcome_does_not_take_the_place_of_an_open_row_that_says_the_same() {
    let invalid = OutcomeKind::Invalid;
    for open in [None, Some(OutcomeKind::NotAttempted)] {
        let mut history = history(&[("a", open), ("a", Some(invalid))]);
        assert_eq!(history.admit(unasked("a", invalid)), None);
        assert_eq!(withdrawn(history), [row("a", open.is_none())]);
    }
}

#[test]
fn a_meeting_that_was_excluded_stays_excluded_under_another_host_and_an_unreported_exclusion_is_counted() {
    let mut history = history(&[("a", Some(OutcomeKind::Excluded))]);
    let request = close_request("a", "cohost");
    let incoming = history.admit(TriagedRow::ToClose { origin: origin(3), request }).unwrap();
    assert!(matches!(incoming.entry, TriagedRow::Unasked { kind: OutcomeKind::Excluded, .. }));
    let mut started = crate::fixtures::run_started();
    started.rows.excluded = 2;
    history.learn(&Record::RunStarted(Box::new(started)), AT);
    assert_eq!(history.unnamed_exclusions(), 1);
}
