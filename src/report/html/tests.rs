use std::path::Path;

use jiff::Timestamp;

use super::*;
use crate::journal::{
    AttemptStarted, Chain, EndReason, FileStorage, Hasher, Journal, OutcomeRecord, Record, RowCounts,
    RunFinished, RunStarted, Totals,
};
use crate::meeting::{Cells, Origin};
use crate::outcome::{Outcome, ReplyDetails};
use crate::report::Summary;

const HOSTILE: &str = "</script><!--<script>\u{2028}'\"><b onclick=x>&amp;";

fn started(digest: &str, rows: u64) -> RunStarted {
    RunStarted {
        run_id: "r".into(),
        version: "1".into(),
        pid: 1,
        keyed: false,
        sandbox: false,
        lists: vec![],
        lists_digest: digest.into(),
        rows: RowCounts { total: rows, to_close: rows, ..RowCounts::default() },
        settings: [("dingtalk.base_url".into(), HOSTILE.into())].into(),
        retry_of: None,
        queue: None,
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

/// A journal with these records, a second after each other.
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

fn story(records: &[Record]) -> Story {
    let folder = tempfile::tempdir().unwrap();
    Story::of(&journal(folder.path(), records).0)
}

fn page(records: &[Record], bounds: Bounds) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (index, mut reader) = journal(folder.path(), records);
    Page::of(&index, &mut reader, bounds).unwrap().render().unwrap()
}

#[test]
fn the_headline_counts_as_ended_what_ended_and_nothing_else() {
    use OutcomeKind::{AlreadyClosed, Closed, Duplicate, Excluded, Failed, Invalid, NotAttempted};
    let cases: [(&[OutcomeKind], &str, bool); 7] = [
        (&[Closed, AlreadyClosed, Closed], "All 3 meetings ended.", true),
        (&[Closed, Duplicate, Excluded], "The one meeting ended.", true),
        (&[Closed, Closed, Invalid], "All 2 meetings ended.", false),
        (&[Closed, Failed, Failed], "1 of 3 meetings ended; 2 failed.", false),
        (&[Failed], "0 of 1 meeting ended; 1 failed.", false),
        (&[Closed, Failed, NotAttempted], "1 of 3 meetings ended; 1 failed, 1 not attempted.", false),
        (&[Excluded], "There was no meeting to end.", true),
    ];
    for (kinds, headline, is_good) in cases {
        let outcomes = (2u64..).zip(kinds).map(|(line, kind)| outcome(line, *kind, ""));
        let records: Vec<Record> = [begun(3)].into_iter().chain(outcomes).chain([finished(1, "")]).collect();
        let story = story(&records);
        assert_eq!((&*story.headline, story.is_good), (headline, is_good), "{kinds:?}");
    }
}

#[test]
fn when_how_long_how_many_and_how_it_ended_are_told() {
    let closed = |line| outcome(line, OutcomeKind::Closed, "200");
    let story =
        story(&[begun(2), attempt(2), closed(2), attempt(3), closed(3), finished(4, "the deadline came")]);
    assert_eq!(story.rows, "2 rows: 2 closed.");
    assert_eq!(
        story.when,
        "23 Nov 2026, 19:00:00 to 19:00:05 UTC, 5s. 2 requests, 4 refused for the rate, 2s in pauses."
    );
    assert_eq!(
        story.end,
        "Exit code 4: interrupted, or out of time: the same command continues it. Stopped early: the deadline came."
    );
}

#[test]
fn a_run_without_a_last_record_is_never_told_as_finished_even_where_an_earlier_process_ended() {
    let closed = outcome(2, OutcomeKind::Closed, "200");
    let killed = story(&[begun(3), closed.clone()]);
    assert_eq!((&*killed.headline, killed.is_good), ("Not finished: 1 meeting ended so far.", false));
    assert!(
        killed.end.contains("killed, or it is still going on. Rows without an outcome: 2."),
        "{}",
        killed.end
    );
    let killed_later = story(&[begun(3), closed.clone(), finished(4, ""), continued("d", 3)]);
    assert_eq!(killed_later.headline, killed.headline);
    let edited = story(&[begun(3), closed, continued("other", 5)]);
    assert!(!edited.end.contains("Rows without"), "lists that were edited: {}", edited.end);
}

#[test]
fn an_earlier_end_is_no_end_in_the_summary_either() {
    let folder = tempfile::tempdir().unwrap();
    let exit_code = |records: &[Record]| Summary::of(&journal(folder.path(), records).0).exit_code;
    assert_eq!(exit_code(&[begun(3), finished(4, "")]), Some(4));
    assert_eq!(exit_code(&[begun(3), finished(4, ""), continued("d", 3)]), None);
}

#[test]
fn foreign_text_is_text_in_the_page_and_in_its_data() {
    let page =
        page(&[begun(1), outcome(2, OutcomeKind::Failed, HOSTILE), finished(1, HOSTILE)], Bounds::PAGE);
    assert!(!page.contains("<b onclick") && !page.contains("<!--<script>") && !page.contains("</script><!"));
    assert_eq!(page.matches("<script").count(), 2);
    let data = between(&page, "<script type=\"application/json\" id=\"data\">", "</script>");
    assert!(!data.contains(['<', '>', '&']), "{data}");
    let read: serde_json::Value = serde_json::from_str(data).unwrap();
    assert!(read["texts"].as_array().unwrap().contains(&HOSTILE.into()));
}

#[test]
fn the_policy_names_the_style_and_the_script_that_stand_in_the_page() {
    let page = page(&[begun(0), finished(0, "")], Bounds::PAGE);
    let [style, script] =
        [("<style>", "</style>"), ("<script>", "</script>")].map(|(from, to)| between(&page, from, to));
    let policy = policy::of(style, script).replace('\'', "&#39;").replace('+', "&#43;");
    let stated = between(&page, "Content-Security-Policy\" content=\"", "\"").replace('+', "&#43;");
    assert_eq!(stated, policy);
    assert!(!page.contains(" style=\""), "the policy refuses a style at its place");
}

#[test]
fn a_page_that_cannot_hold_every_row_holds_those_that_need_a_look_and_says_so() {
    let kind = |line| if line % 4 == 0 { OutcomeKind::Failed } else { OutcomeKind::Closed };
    let outcomes = (2..22).map(|line| outcome(line, kind(line), if line == 20 { "rare" } else { "often" }));
    let records: Vec<Record> = [begun(20)].into_iter().chain(outcomes).chain([finished(1, "")]).collect();
    let lines = |page: &str| -> Vec<u64> {
        let data = between(page, "id=\"data\">", "</script>");
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        data["rows"].as_array().unwrap().iter().map(|row| row[1].as_u64().unwrap()).collect()
    };
    let large = page(&records, Bounds { rows: 8, printed: 2 });
    assert_eq!(lines(&large), [4, 8, 12, 16, 20, 2, 3, 5]);
    assert!(
        large.contains("This page holds 8 of 20 rows: all that need a look, and the first of the others.")
    );
    assert!(large.contains("These are the first 2 of 5 rows that need a look."));
    let printed = between(&large, "<tbody class=\"printed\">", "</tbody>");
    assert_eq!(printed.matches("<tr>").count(), 2);
    let tight = page(&records, Bounds { rows: 3, printed: 2 });
    assert_eq!(lines(&tight), [4, 8, 12]);
    assert!(tight.contains("This page holds 3 of 20 rows: the first of those that need a look."));
    let roomy = page(&records, Bounds::PAGE);
    assert!(!roomy.contains("This page holds") && lines(&roomy).len() == 20);
}

#[test]
fn failures_are_counted_over_the_whole_journal_with_their_hint_and_first_row() {
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
    let page = Page::of(&index, &mut reader, Bounds { rows: 2, printed: 0 }).unwrap();
    let group = |group: &failures::Group| {
        let place = group.example.as_ref().map(|(place, _)| place.clone());
        (group.look.label, group.code.clone(), group.rows.clone(), group.hint.is_some(), place)
    };
    let groups: Vec<_> = page.failures.groups.iter().map(group).collect();
    let (invalid, place) = ("Invalid", Some("a.csv:3".to_owned()));
    // Rows that were not attempted and were asked later are no failures; an example that the page has no room for is none.
    assert_eq!(
        groups,
        [
            ("Failed", "permissionError".to_owned(), "2".to_owned(), true, Some("a.csv:4".to_owned())),
            (invalid, String::new(), "1".to_owned(), true, place),
        ]
    );
}

#[test]
fn a_rehearsal_says_so_first_and_a_run_that_was_continued_says_when() {
    let rehearsal = Record::RunStarted(Box::new(RunStarted { sandbox: true, ..started("d", 0) }));
    let rehearsed = page(&[rehearsal, continued("d", 0), finished(0, "")], Bounds::PAGE);
    assert!(between(&rehearsed, "<body>", "<h1").contains("a rehearsal, no real meeting was touched"));
    assert!(rehearsed.contains("<title>SANDBOX: "));
    assert!(rehearsed.contains("<li>23 Nov 2026, 19:00:01 UTC</li>"));
    assert!(!page(&[begun(0), finished(0, "")], Bounds::PAGE).contains("SANDBOX"));
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to}")).0
}
