use std::path::Path;

use askama::Template as _;
use jiff::Timestamp;

use super::overview::Overview;
use super::page::ReportPage;
use super::row_table::PageBounds;
use super::{failure_groups, policy};
use crate::fixtures::run_started;
use crate::journal::{
    AttemptStarted, Chain, EndReason, FileStorage, Hasher, Journal, OutcomeRecord, Reader, Record, RowCounts,
    RunFinished, RunIndex, RunStarted, Totals,
};
use crate::meeting::{Cells, Origin};
use crate::outcome::{Outcome, OutcomeKind, ReplyDetails};
use crate::report::Summary;

const HOSTILE: &str = "</script><!--<script>\u{2028}'\"><b onclick=x>&amp;";

fn started(digest: &str, rows: u64) -> RunStarted {
    RunStarted {
        lists_digest: digest.into(),
        rows: RowCounts { total: rows, to_close: rows, ..RowCounts::default() },
        settings: [("dingtalk.base_url".into(), HOSTILE.into())].into(),
        ..run_started()
    }
}

fn begun(rows: u64) -> Record {
    Record::RunStarted(Box::new(started("d", rows)))
}

fn continued(digest: &str, rows: u64) -> Record {
    Record::RunContinued(Box::new(started(digest, rows)))
}

fn attempt(line: u64) -> Record {
    let (conference_id, union_id) = (format!("c{line}"), "u".into());
    Record::Attempt(AttemptStarted { source: "a.csv".into(), line, conference_id, union_id, attempt: 1 })
}

fn outcome(line: u64, kind: OutcomeKind, code: &str) -> Record {
    let origin = Origin { source: "a.csv".into(), line };
    let cells = Cells { conference_id: format!("c{line}"), union_id: "u".into() };
    let mut outcome =
        Outcome::unasked(origin, cells, kind, format!("{HOSTILE} {line}"), Timestamp::UNIX_EPOCH);
    outcome.details = ReplyDetails { code: code.into(), ..outcome.details };
    Record::Outcome(Box::new(OutcomeRecord::from(&outcome)))
}

fn finished(exit_code: u8, detail: &str) -> Record {
    let totals = Totals { throttled_calls: 4, paused_ms: 2000, ..Totals::default() };
    let reason = EndReason::Completed;
    Record::RunFinished(Box::new(RunFinished { exit_code, reason, detail: detail.into(), totals }))
}

/// A journal with these records, one a second.
fn journal(folder: &Path, records: &[Record]) -> (RunIndex, Reader) {
    let path = folder.join("journal.jsonl");
    let _ = std::fs::remove_file(&path);
    let journal = Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
    for (second, record) in (0i64..).zip(records) {
        journal.append(record, Timestamp::from_second(1_795_460_400 + second).unwrap()).unwrap();
    }
    drop(journal);
    let mut reader = Reader::open(&path, Hasher::PLAIN).unwrap();
    (RunIndex::read(&mut reader, &path).unwrap(), reader)
}

fn overview(records: &[Record]) -> Overview {
    let folder = tempfile::tempdir().unwrap();
    Overview::of(&journal(folder.path(), records).0)
}

fn page(records: &[Record], bounds: PageBounds) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (index, mut reader) = journal(folder.path(), records);
    ReportPage::of(&index, &mut reader, bounds).unwrap().render().unwrap()
}

#[test]
fn the_headline_counts_only_closed_and_already_closed_meetings_as_ended() {
    use OutcomeKind::{AlreadyClosed, Closed, Duplicate, Excluded, Failed, Invalid, NotAttempted, Withdrawn};
    let cases: [(&[OutcomeKind], &str, bool); 8] = [
        (&[Closed, AlreadyClosed, Closed], "All 3 meetings ended.", true),
        (&[Closed, Duplicate, Excluded], "The one meeting ended.", true),
        (&[Closed, Closed, Invalid], "All 2 meetings ended.", false),
        (&[Closed, Failed, Failed], "1 of 3 meetings ended; 2 failed.", false),
        (&[Failed], "0 of 1 meeting ended; 1 failed.", false),
        (&[Closed, Failed, NotAttempted], "1 of 3 meetings ended; 1 failed, 1 not attempted.", false),
        (&[Closed, Withdrawn], "The one meeting ended.", true),
        (&[Excluded], "The run had no meeting to end.", true),
    ];
    for (kinds, headline, is_good) in cases {
        let outcomes = (2u64..).zip(kinds).map(|(line, kind)| outcome(line, *kind, ""));
        let records: Vec<Record> = [begun(3)].into_iter().chain(outcomes).chain([finished(1, "")]).collect();
        let overview = overview(&records);
        assert_eq!((&*overview.headline, overview.is_good), (headline, is_good), "{kinds:?}");
    }
}

#[test]
fn the_overview_has_times_requests_and_the_meaning_of_the_exit_code() {
    let closed = |line| outcome(line, OutcomeKind::Closed, "200");
    let overview =
        overview(&[begun(2), attempt(2), closed(2), attempt(3), closed(3), finished(4, "the deadline came")]);
    assert_eq!(overview.rows, "2 rows: 2 closed.");
    assert_eq!(
        overview.when,
        "23 Nov 2026, 19:00:00 to 19:00:05 UTC, 5s. 2 requests, 4 refused for their rate, 2s in pauses."
    );
    assert_eq!(
        overview.end,
        "Exit code 4: interrupted, or out of time: the same command continues it. Stopped early: the deadline came."
    );
}

#[test]
fn a_run_without_a_last_record_is_unfinished_even_if_an_earlier_process_ended() {
    let closed = outcome(2, OutcomeKind::Closed, "200");
    let killed = overview(&[begun(3), closed.clone()]);
    assert_eq!((&*killed.headline, killed.is_good), ("Unfinished: 1 meeting ended so far.", false));
    assert!(killed.end.contains("its process was killed. 2 rows are without an outcome."), "{}", killed.end);
    let killed_later = overview(&[begun(3), closed.clone(), finished(4, ""), continued("d", 3)]);
    assert_eq!(killed_later.headline, killed.headline);
    let edited = overview(&[begun(3), closed, continued("other", 5)]);
    assert!(!edited.end.contains("without an outcome"), "lists that were edited: {}", edited.end);
}

#[test]
fn the_summary_has_no_exit_code_while_a_continued_run_is_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let exit_code = |records: &[Record]| Summary::of(&journal(folder.path(), records).0).exit_code;
    assert_eq!(exit_code(&[begun(3), finished(4, "")]), Some(4));
    assert_eq!(exit_code(&[begun(3), finished(4, ""), continued("d", 3)]), None);
}

#[test]
fn foreign_text_stays_text_in_the_page_and_in_its_data() {
    let page = page(
        &[begun(1), outcome(2, OutcomeKind::Failed, HOSTILE), finished(1, HOSTILE)],
        PageBounds::DEFAULT,
    );
    assert!(!page.contains("<b onclick") && !page.contains("<!--<script>") && !page.contains("</script><!"));
    assert_eq!(page.matches("<script").count(), 2);
    let data = between(&page, "<script type=\"application/json\" id=\"data\">", "</script>");
    assert!(!data.contains(['<', '>', '&']), "{data}");
    let read: serde_json::Value = serde_json::from_str(data).unwrap();
    assert!(read["texts"].as_array().unwrap().contains(&HOSTILE.into()));
}

#[test]
fn the_policy_names_the_style_and_the_script_of_the_page() {
    let page = page(&[begun(0), finished(0, "")], PageBounds::DEFAULT);
    let [style, script] =
        [("<style>", "</style>"), ("<script>", "</script>")].map(|(from, to)| between(&page, from, to));
    let policy = policy::content_security_policy(style, script).replace('\'', "&#39;").replace('+', "&#43;");
    let stated = between(&page, "Content-Security-Policy\" content=\"", "\"").replace('+', "&#43;");
    assert_eq!(stated, policy);
    assert!(!page.contains(" style=\""), "the policy refuses style attributes");
}

#[test]
fn a_page_that_cannot_hold_every_row_holds_those_that_need_attention_and_says_so() {
    let kind = |line| if line % 4 == 0 { OutcomeKind::Failed } else { OutcomeKind::Closed };
    let outcomes = (2..22).map(|line| outcome(line, kind(line), if line == 20 { "rare" } else { "often" }));
    let records: Vec<Record> = [begun(20)].into_iter().chain(outcomes).chain([finished(1, "")]).collect();
    let lines = |page: &str| -> Vec<u64> {
        let data = between(page, "id=\"data\">", "</script>");
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        data["rows"].as_array().unwrap().iter().map(|row| row[1].as_u64().unwrap()).collect()
    };
    let large = page(&records, PageBounds { rows: 8, printed: 2 });
    assert_eq!(lines(&large), [4, 8, 12, 16, 20, 2, 3, 5]);
    assert!(
        large.contains("This page holds 8 of 20 rows: all that need attention, and the first of the others.")
    );
    assert!(large.contains("Shown: the first 2 of 5 rows that need attention."));
    let printed = between(&large, "<tbody class=\"printed\">", "</tbody>");
    assert_eq!(printed.matches("<tr>").count(), 2);
    let tight = page(&records, PageBounds { rows: 3, printed: 2 });
    assert_eq!(lines(&tight), [4, 8, 12]);
    assert!(tight.contains("This page holds 3 of 20 rows: the first of those that need attention."));
    let roomy = page(&records, PageBounds::DEFAULT);
    assert!(!roomy.contains("This page holds") && lines(&roomy).len() == 20);
}

#[test]
fn failures_are_counted_over_the_whole_journal_and_have_a_hint_and_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let failed = |line, code| outcome(line, OutcomeKind::Failed, code);
    let not_attempted = |line| outcome(line, OutcomeKind::NotAttempted, "404");
    let records = [
        begun(6),
        outcome(6, OutcomeKind::Closed, "200"),
        failed(5, "permissionError"),
        failed(4, "permissionError"),
        outcome(3, OutcomeKind::Invalid, ""),
        not_attempted(2),
        not_attempted(7),
        finished(3, ""),
        continued("d", 6),
        outcome(2, OutcomeKind::Closed, "200"),
        outcome(7, OutcomeKind::Closed, "200"),
        finished(1, ""),
    ];
    let (index, mut reader) = journal(folder.path(), &records);
    let page = ReportPage::of(&index, &mut reader, PageBounds { rows: 2, printed: 0 }).unwrap();
    let group = |group: &failure_groups::FailureGroup| {
        let place = group.example.as_ref().map(|(place, _)| place.clone());
        (group.style.label, group.code.clone(), group.rows.clone(), group.hint.is_some(), place)
    };
    let groups: Vec<_> = page.failures.groups.iter().map(group).collect();
    let (invalid, place) = ("Invalid", Some("a.csv:3".to_owned()));
    // Rows that were closed after the continuation are no failures. Examples come only from rows that the page holds.
    assert_eq!(
        groups,
        [
            ("Failed", "permissionError".to_owned(), "2".to_owned(), true, Some("a.csv:4".to_owned())),
            (invalid, String::new(), "1".to_owned(), true, place),
        ]
    );
}

#[test]
fn a_rehearsal_is_marked_at_the_top_and_continuations_are_listed_with_their_times() {
    let rehearsal = Record::RunStarted(Box::new(RunStarted { sandbox: true, ..started("d", 0) }));
    let rehearsed = page(&[rehearsal, continued("d", 0), finished(0, "")], PageBounds::DEFAULT);
    assert!(between(&rehearsed, "<body>", "<h1").contains("a rehearsal, no real meeting was touched"));
    assert!(rehearsed.contains("<title>SANDBOX: "));
    assert!(rehearsed.contains("<li>23 Nov 2026, 19:00:01 UTC</li>"));
    assert!(!page(&[begun(0), finished(0, "")], PageBounds::DEFAULT).contains("SANDBOX"));
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to}")).0
}
