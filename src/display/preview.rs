//! What a run would do, before anything is called.

use std::time::Duration;

use crate::lists::Survey;
use crate::settings::PaceSettings;
use crate::wording::duration;

/// Metered calls that a Standard organisation has in a month.
const STANDARD_MONTH: u64 = 5_000;

/// What the lists hold, in a line.
pub(crate) fn contents(survey: &Survey) -> String {
    let Survey { total, to_close, invalid, duplicate, excluded, .. } = survey;
    let others = [(invalid, "invalid"), (duplicate, "duplicate"), (excluded, "excluded")];
    let others =
        others.iter().filter(|(count, _)| **count > 0).map(|(count, name)| format!(", {count} {name}"));
    format!("{total} rows: {to_close} meetings to close{}", others.collect::<String>())
}

/// The rows that need a person's eye, a line each.
pub(crate) fn remarks(survey: &Survey) -> Vec<String> {
    let mut lines: Vec<String> = survey
        .first_invalid
        .iter()
        .map(|(origin, reason)| format!("invalid row {origin}: {reason}"))
        .collect();
    let more = survey.invalid - survey.first_invalid.len() as u64;
    if more > 0 {
        lines.push(format!("and {more} invalid rows more; audit.csv names them all"));
    }
    if let Some(origin) = &survey.first_room_code {
        lines.push(format!(
            "hint: {} conference ids have digits only (the first at {origin}): what people see and dial is the room code, \
             not the conference id",
            survey.room_codes
        ));
    }
    lines
}

/// How long it takes and what it costs.
pub(crate) fn forecast(survey: &Survey, pace: &PaceSettings) -> String {
    let seconds = survey.to_close as f64 / pace.requests_per_second;
    let time = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX);
    let time = duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let calls = survey.to_close;
    let share = if calls > STANDARD_MONTH {
        format!("more than the {STANDARD_MONTH} that a Standard organisation has in a month")
    } else {
        format!("of {STANDARD_MONTH} that a Standard organisation has in a month")
    };
    format!(
        "about {time} at {} requests a second\n{calls} metered calls, retries not counted, {share}",
        pace.requests_per_second
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::load_text;

    #[test]
    fn counts_time_and_calls_are_told() {
        let survey = Survey { total: 2010, to_close: 2000, invalid: 7, duplicate: 3, ..Survey::default() };
        assert_eq!(contents(&survey), "2010 rows: 2000 meetings to close, 7 invalid, 3 duplicate");
        let pace = load_text("[pace]\nrequests_per_second = 20").unwrap().pace;
        assert_eq!(
            forecast(&survey, &pace),
            "about 1m 40s at 20 requests a second\n\
             2000 metered calls, retries not counted, of 5000 that a Standard organisation has in a month"
        );
        let many = Survey { to_close: 6000, ..survey };
        assert!(
            forecast(&many, &pace)
                .ends_with("more than the 5000 that a Standard organisation has in a month")
        );
    }
}
