//! What a run would do: the contents of its lists, its time and its calls.
//!
//! Invariant: a preview needs the lists and the settings only; it sends no request.

use std::time::Duration;

use crate::lists::Survey;
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

/// The rows that people should look at, one line each.
pub(crate) fn remarks(survey: &Survey) -> Vec<String> {
    let mut lines: Vec<String> = survey
        .first_invalid
        .iter()
        .map(|(origin, reason)| format!("invalid row {origin}: {reason}"))
        .collect();
    let more = survey.invalid - survey.first_invalid.len() as u64;
    if more > 0 {
        lines.push(format!("and {}; audit.csv lists all of them", count(more, "more invalid row")));
    }
    if let Some(origin) = &survey.first_room_code {
        lines.push(match survey.room_codes {
            1 => format!("hint: 1 conference id has only digits ({origin}); it may be a room code, which people dial"),
            number => format!(
                "hint: {number} conference ids have only digits (the first: {origin}); they may be room codes, which people dial"
            ),
        });
    }
    lines
}

/// How long the run takes, and how many metered calls it needs.
pub(crate) fn forecast(survey: &Survey, pace: &PaceSettings) -> String {
    let seconds = survey.to_close as f64 / pace.requests_per_second;
    let time = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX);
    let time = duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let calls = survey.to_close;
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
    use crate::meeting::Origin;
    use crate::settings::tests::load_text;

    #[test]
    fn the_preview_shows_counts_time_and_metered_calls() {
        let survey = Survey { total: 2010, to_close: 2000, invalid: 7, duplicate: 3, ..Survey::default() };
        assert_eq!(contents(&survey), "2010 rows: 2000 meetings to close, 7 invalid, 3 duplicate");
        let pace = load_text("[pace]\nrequests_per_second = 20").unwrap().pace;
        assert_eq!(
            forecast(&survey, &pace),
            "about 1m 40s at 20 requests a second\n\
             2000 metered calls without retries; a Standard organisation has 5000 a month"
        );
        let many = Survey { to_close: 6000, ..survey };
        assert!(forecast(&many, &pace).ends_with("; a Standard organisation has only 5000 a month"));
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        let origin = |line| Origin { source: "list.csv".into(), line };
        let one = Survey { total: 1, to_close: 1, room_codes: 1, ..Survey::default() };
        assert_eq!(contents(&one), "1 row: 1 meeting to close");
        let invalid = |line| (origin(line), "column \"host\" is empty".to_owned());
        let survey =
            Survey { invalid: 2, first_invalid: vec![invalid(2)], first_room_code: Some(origin(3)), ..one };
        assert_eq!(
            remarks(&survey),
            [
                "invalid row list.csv:2: column \"host\" is empty",
                "and 1 more invalid row; audit.csv lists all of them",
                "hint: 1 conference id has only digits (list.csv:3); it may be a room code, which people dial",
            ]
        );
        let survey = Survey { invalid: 3, room_codes: 2, ..survey };
        let remarks = remarks(&survey);
        assert_eq!(remarks[1], "and 2 more invalid rows; audit.csv lists all of them");
        assert!(remarks[2].starts_with("hint: 2 conference ids have only digits (the first: list.csv:3)"));
    }
}
