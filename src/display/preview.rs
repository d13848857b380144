//! What a run would do: the contents of its lists, its time and its calls.
//!
//! Invariant: a preview needs the lists and the settings only; it sends no request.

use std::time::Duration;

use crate::lists::{ExclusionUse, Survey};
use crate::meeting::{ConferenceId, Origin};
use crate::settings::PaceSettings;
use crate::wording::{count, duration};

/// The metered calls that a Standard organisation can make in a month.
const STANDARD_MONTH: u64 = 5_000;

/// What the lists hold, in one line.
pub(crate) fn contents(survey: &Survey) -> String {
    let Survey { total, to_close, invalid, duplicate, excluded, .. } = survey;
    let others = [(invalid, "invalid"), (duplicate, "duplicate"), (excluded, "excluded")];
    let others = others.iter().filter(|(rows, _)| **rows > 0).map(|(rows, kind)| format!(", {rows} {kind}"));
    format!(
        "{}: {} to close{}",
        count(*total, "row"),
        count(*to_close, "meeting"),
        others.collect::<String>()
    )
}

/// The rows that the lists of a continued run do not have any more, after a count of rows; nothing if there are none.
pub(crate) fn withdrawn(rows: u64) -> String {
    match rows {
        0 => String::new(),
        1 => ", 1 row was taken off the lists".to_owned(),
        rows => format!(", {rows} rows were taken off the lists"),
    }
}

/// The rows that people should look at, one line each.
pub(crate) fn remarks(survey: &Survey) -> Vec<String> {
    let mut lines = vec![];
    if let Some(origin) = &survey.first_room_code {
        lines.push(match survey.room_codes {
            1 => format!("hint: 1 conference id has only digits ({origin}); it may be a room code, which people dial"),
            number => format!(
                "hint: {number} conference ids have only digits (the first: {origin}); they may be room codes, which people dial"
            ),
        });
    }
    lines.extend(survey.exclusions.iter().flat_map(unused_exclusions));
    lines
}

/// How many exclusions were read, and how many of them are in the lists.
pub(crate) fn exclusions(exclusions: &ExclusionUse) -> String {
    let ExclusionUse { read, in_lists, .. } = exclusions;
    format!("exclusions: {read} read, {in_lists} of them in the lists")
}

/// The exclusions that are in no list. Each may be a typo.
fn unused_exclusions(exclusions: &ExclusionUse) -> Vec<String> {
    let ExclusionUse { read, in_lists, first_unused } = exclusions;
    let unused = read - in_lists;
    let mut lines: Vec<String> = first_unused
        .iter()
        .map(|(origin, id)| format!("exclusion {origin} is in no list: {id}{}", room_code_note(id)))
        .collect();
    match unused - first_unused.len() as u64 {
        0 => {}
        1 => lines.push("and 1 more exclusion is in no list".to_owned()),
        more => lines.push(format!("and {more} more exclusions are in no list")),
    }
    if unused > 0 {
        lines.push("hint: an exclusion that is in no list may be a typo; it spares no meeting".to_owned());
    }
    lines
}

fn room_code_note(id: &ConferenceId) -> &'static str {
    if id.looks_like_room_code() { " (only digits: it may be a room code, which people dial)" } else { "" }
}

/// An invalid row.
pub(crate) fn invalid_row(origin: &Origin, reason: &str) -> String {
    format!("invalid row {origin}: {reason}")
}

/// The invalid rows beyond those that were named, and what names all of them.
pub(crate) fn more_invalid_rows(more: u64, where_all_are: &str) -> String {
    format!("and {}; {where_all_are}", count(more, "more invalid row"))
}

/// How long the run takes, and how many metered calls it needs.
pub(crate) fn forecast(to_close: u64, pace: &PaceSettings) -> String {
    let seconds = to_close as f64 / pace.requests_per_second;
    let time = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX);
    let time = duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let calls = to_close;
    let more = if calls > STANDARD_MONTH { "only " } else { "" };
    format!(
        "about {time} at {} requests a second\n\
         {} without retries; a Standard organisation has {more}{STANDARD_MONTH} a month",
        pace.requests_per_second,
        count(calls, "metered call"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::load_text;

    #[test]
    fn the_preview_shows_counts_time_and_metered_calls() {
        let survey = Survey { total: 2010, to_close: 2000, invalid: 7, duplicate: 3, ..Survey::default() };
        assert_eq!(contents(&survey), "2010 rows: 2000 meetings to close, 7 invalid, 3 duplicate");
        let pace = load_text("[pace]\nrequests_per_second = 20").unwrap().pace;
        assert_eq!(
            forecast(survey.to_close, &pace),
            "about 1m 40s at 20 requests a second\n\
             2000 metered calls without retries; a Standard organisation has 5000 a month"
        );
        assert!(forecast(6000, &pace).ends_with("; a Standard organisation has only 5000 a month"));
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        let origin = |line| Origin { source: "list.csv".into(), line };
        let one = Survey { total: 1, to_close: 1, room_codes: 1, ..Survey::default() };
        assert_eq!(contents(&one), "1 row: 1 meeting to close");
        let survey = Survey { first_room_code: Some(origin(3)), ..one };
        assert_eq!(
            remarks(&survey),
            ["hint: 1 conference id has only digits (list.csv:3); it may be a room code, which people dial"]
        );
        let survey = Survey { room_codes: 2, ..survey };
        assert!(
            remarks(&survey)[0]
                .starts_with("hint: 2 conference ids have only digits (the first: list.csv:3)")
        );
        assert_eq!(more_invalid_rows(1, "x"), "and 1 more invalid row; x");
        assert_eq!(more_invalid_rows(2, "x"), "and 2 more invalid rows; x");
        assert_eq!(withdrawn(1), ", 1 row was taken off the lists");
    }

    #[test]
    fn every_exclusion_that_is_in_no_list_is_named_or_counted() {
        let unused =
            |line, id: &str| (Origin { source: "keep.csv".into(), line }, ConferenceId::parse(id).unwrap());
        let found = ExclusionUse {
            read: 12,
            in_lists: 9,
            first_unused: vec![unused(4, "confX"), unused(5, "42261597832")],
        };
        assert_eq!(exclusions(&found), "exclusions: 12 read, 9 of them in the lists");
        assert_eq!(
            remarks(&Survey { exclusions: Some(found), ..Survey::default() }),
            [
                "exclusion keep.csv:4 is in no list: confX",
                "exclusion keep.csv:5 is in no list: 42261597832 (only digits: it may be a room code, which people dial)",
                "and 1 more exclusion is in no list",
                "hint: an exclusion that is in no list may be a typo; it spares no meeting",
            ]
        );
        let all_used = ExclusionUse { read: 2, in_lists: 2, first_unused: vec![] };
        assert!(remarks(&Survey { exclusions: Some(all_used), ..Survey::default() }).is_empty());
    }
}
