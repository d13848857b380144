//! CSV lists, workbooks and exclusion lists.

use std::collections::HashSet;
use std::path::Path;

use super::{assert_printable, file};
use crate::lists::{Exclusions, ListError, Lists, Survey, Triage, TriagedRow};
use crate::meeting::{Cells, CloseRequest, ConferenceId, Origin, Row, UnionId};
use crate::outcome::OutcomeKind;
use crate::settings::InputSettings;

/// The names of the two columns, as CONTRACT.md documents them, in lower case and without spaces and underscores.
const CONFERENCE_ID: [&str; 4] = ["conferenceid", "confid", "meetingid", "会议id"];
const UNION_ID: [&str; 5] = ["unionid", "hostunionid", "host", "主持人unionid", "主持人"];

/// The bytes as a CSV list of meetings to close.
pub fn csv_list(bytes: &[u8]) {
    let path = file("list.csv", bytes);
    let Some(rows) = check_list(&path) else { return };
    let lines: Vec<u64> = rows.iter().map(|row| row.origin.line).collect();
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "two rows begin on one line: {lines:?}");
    let Some(text) = plain_text(bytes) else { return };
    for row in &rows {
        if let Ok(request) = &row.request {
            assert!(text.contains(request.conference_id.as_str()), "an id that the list does not hold");
            assert!(text.contains(request.union_id.as_str()), "a host that the list does not hold");
        }
    }
    let lines: HashSet<u64> = lines.into_iter().collect();
    for (line, _) in rows_of_text(text, is_header) {
        assert!(lines.contains(&line), "line {line} is lost");
    }
}

/// The bytes as a workbook.
pub fn workbook(bytes: &[u8]) {
    check_list(&file("list.xlsx", bytes));
    check_exclusions(&file("exclude.xlsx", bytes));
}

/// The bytes as a CSV list of meetings that must not be closed.
pub fn exclusions(bytes: &[u8]) {
    let Some(exclusions) = check_exclusions(&file("exclude.csv", bytes)) else { return };
    let Some(text) = plain_text(bytes) else { return };
    let mut triage = Triage::new(exclusions);
    let has_one_column = |line: &str| !line.contains([',', ';', '\t']) && is_conference_id_name(line);
    for (line, cell) in rows_of_text(text, has_one_column) {
        let cell = cell.trim_matches(' ');
        if cell.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && let Ok(id) = ConferenceId::parse(cell)
        {
            assert!(is_spared(&mut triage, id), "line {line} is not spared");
        }
    }
}

/// What holds for every list. `None`: it was refused.
fn check_list(path: &Path) -> Option<Vec<Row>> {
    let lists = match Lists::open(&[path.to_owned()], &InputSettings::default()) {
        Ok(lists) => lists,
        Err(refusal) => {
            assert_refusal(&refusal, path);
            return None;
        }
    };
    let rows: Vec<Row> = match lists.rows().collect() {
        Ok(rows) => rows,
        Err(refusal) => {
            assert_refusal(&refusal, path);
            assert!(refusal.line.is_some(), "a list is refused without a line: {refusal}");
            return None;
        }
    };
    for row in &rows {
        assert_row(row);
    }
    let again: Result<Vec<Row>, ListError> = lists.rows().collect();
    assert!(again.is_ok_and(|again| again == rows), "a second reading gives other rows");
    assert_triage(&lists, &rows);
    Some(rows)
}

fn assert_row(Row { request, cells, origin }: &Row) {
    assert!(origin.line > 0);
    match request {
        Ok(CloseRequest { conference_id, union_id }) => {
            assert_eq!(ConferenceId::parse(conference_id.as_str()).as_ref(), Ok(conference_id));
            assert_eq!(UnionId::parse(union_id.as_str()).as_ref(), Ok(union_id));
            let ids = Cells { conference_id: conference_id.to_string(), union_id: union_id.to_string() };
            assert_eq!(&ids, cells);
        }
        Err(invalid) => assert_printable(&invalid.reason),
    }
}

/// Each meeting is asked for once, and every row is counted.
fn assert_triage(lists: &Lists, rows: &[Row]) {
    let mut triage = Triage::default();
    let mut asked = HashSet::new();
    for row in rows {
        match triage.sort(row.clone()) {
            TriagedRow::ToClose { request, .. } => assert!(asked.insert(request), "asked for twice"),
            TriagedRow::Unasked { kind, reason, .. } => {
                assert!(matches!(kind, OutcomeKind::Invalid | OutcomeKind::Duplicate), "{kind}");
                assert_printable(&reason);
            }
        }
    }
    let wanted: HashSet<&CloseRequest> = rows.iter().filter_map(|row| row.request.as_ref().ok()).collect();
    assert_eq!(asked.len(), wanted.len(), "a meeting is not asked for");
    let survey = Survey::of(lists, &Exclusions::default(), |_, _| {}).expect("the rows were read before");
    assert_eq!(survey.total, rows.len() as u64);
    assert_eq!(survey.to_close, asked.len() as u64);
    assert_eq!(survey.to_close + survey.invalid + survey.duplicate + survey.excluded, survey.total);
}

/// What holds for every exclusion list: a meeting that it names is spared. `None`: it was refused.
fn check_exclusions(path: &Path) -> Option<Exclusions> {
    let names = InputSettings::default();
    let exclusions = match Exclusions::read(path, &names) {
        Ok(exclusions) => exclusions,
        Err(refusal) => {
            assert_refusal(&refusal, path);
            return None;
        }
    };
    if let Ok(lists) = Lists::open(&[path.to_owned()], &names) {
        let mut triage = Triage::new(exclusions.clone());
        for row in lists.rows() {
            let Ok(Row { cells, .. }) = row else { break };
            let id = ConferenceId::parse(&cells.conference_id);
            let id = id.unwrap_or_else(|problem| panic!("an exclusion was taken that {problem}"));
            assert!(is_spared(&mut triage, id), "a meeting that the exclusions name is not spared");
        }
    }
    Some(exclusions)
}

fn is_spared(triage: &mut Triage, conference_id: ConferenceId) -> bool {
    let union_id = UnionId::parse("anyone").expect("it is a union id");
    let row = Row {
        origin: Origin { source: "list.csv".into(), line: 2 },
        cells: Cells::default(),
        request: Ok(CloseRequest { conference_id, union_id }),
    };
    match triage.sort(row) {
        TriagedRow::ToClose { .. } => false,
        TriagedRow::Unasked { kind, .. } => kind == OutcomeKind::Excluded,
    }
}

fn assert_refusal(refusal: &ListError, path: &Path) {
    let text = refusal.to_string();
    assert!(text.starts_with(&*path.to_string_lossy()), "a refusal does not name its list: {text}");
    assert_printable(&refusal.problem);
    assert!(refusal.line.is_none_or(|line| line > 0), "{text}");
}

/// The text, if its lines are its records for certain: UTF-8 without quotes.
fn plain_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains(['"', '\0']))
}

/// The lines with a letter or a digit after the first header, but for repeated headers. Each is a row.
fn rows_of_text(text: &str, is_header: impl Fn(&str) -> bool) -> Vec<(u64, &str)> {
    let lines = (1..).zip(lines(text)).skip_while(|(_, line)| !is_header(line));
    lines.filter(|(_, line)| line.contains(char::is_alphanumeric) && !is_header(line)).collect()
}

/// The lines of a text. A line ends with `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn is_header(line: &str) -> bool {
    [',', ';', '\t'].into_iter().any(|delimiter| {
        let mut names = line.split(delimiter).map(normal);
        let has_union_id = line.split(delimiter).map(normal).any(|name| UNION_ID.contains(&name.as_str()));
        has_union_id && names.any(|name| CONFERENCE_ID.contains(&name.as_str()))
    })
}

fn is_conference_id_name(line: &str) -> bool {
    CONFERENCE_ID.contains(&normal(line).as_str())
}

fn normal(name: &str) -> String {
    let is_ignored = |c: char| {
        c.is_whitespace() || c == '_' || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    name.chars().filter(|c| !is_ignored(*c)).flat_map(char::to_lowercase).collect()
}
