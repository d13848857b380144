//! What a command shows of its lists before it does anything.
//!
//! Invariant: a dry run calls nothing and writes nothing.

use super::outlook::Outlook;
use super::rehearsal::REHEARSAL;
use crate::display;
use crate::exit::ExitCode;
use crate::lists::{Exclusions, ListError, Lists, Survey};
use crate::printer;
use crate::settings::Settings;
use crate::wording::count;

/// How many invalid rows are named before a run.
const NAMED: u64 = 5;

/// Which invalid rows are named before the command does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidRows {
    /// All of them: a dry run.
    All,
    /// The first ones. The text says what names all of them.
    First(&'static str),
}

impl InvalidRows {
    /// `--dry-run` names every invalid row.
    pub(crate) const BEFORE_A_QUESTION: Self = Self::First("--dry-run names all of them");
    /// The run follows, and its audit names every invalid row.
    pub(crate) const BEFORE_A_RUN: Self = Self::First("audit.csv lists all of them");

    const fn limit(self) -> u64 {
        match self {
            Self::All => u64::MAX,
            Self::First(_) => NAMED,
        }
    }
}

/// Counts the rows of the lists. Names invalid rows, and prints remarks about the lists and the exclusions.
pub(crate) fn survey(
    lists: &Lists,
    exclusions: &Exclusions,
    named: InvalidRows,
) -> Result<Survey, ListError> {
    let mut invalid = 0;
    let survey = Survey::of(lists, exclusions, |origin, reason| {
        if invalid < named.limit() {
            printer::err(&display::invalid_row(origin, reason));
        }
        invalid += 1;
    })?;
    match named {
        InvalidRows::First(where_all_are) if survey.invalid > NAMED => {
            printer::err(&display::more_invalid_rows(survey.invalid - NAMED, where_all_are));
        }
        InvalidRows::All | InvalidRows::First(_) => {}
    }
    for line in display::remarks(&survey) {
        printer::err(&line);
    }
    // A dry run prints this line with the other counts.
    if named != InvalidRows::All
        && let Some(exclusions) = &survey.exclusions
    {
        printer::err(&display::exclusions(exclusions));
    }
    Ok(survey)
}

/// Prints what the lists hold.
fn print_contents(survey: &Survey) {
    printer::out(&display::contents(survey));
    if let Some(exclusions) = &survey.exclusions {
        printer::out(&display::exclusions(exclusions));
    }
}

/// Prints what `close` would do.
pub(crate) fn dry_run_of_close(
    survey: &Survey,
    outlook: &Outlook,
    settings: &Settings,
    is_sandbox: bool,
) -> ExitCode {
    print_contents(survey);
    if let Some(continued) = &outlook.continued {
        let (done, meetings) = (continued.rows_done(), count(continued.remainder.to_close, "meeting"));
        printer::out(&format!("continues run {}: {done}, {meetings} to close", continued.run_id));
    }
    printer::out(&display::forecast(outlook.to_close(survey), &settings.pace));
    if is_sandbox {
        printer::out(REHEARSAL);
    }
    printer::out("dry run: nothing was called");
    exit_code(survey)
}

/// Prints what `enqueue` would do.
pub(crate) fn dry_run_of_enqueue(survey: &Survey) -> ExitCode {
    print_contents(survey);
    printer::out("dry run: nothing was added");
    exit_code(survey)
}

/// The exit code of a command that succeeds with these lists.
pub(crate) fn exit_code(survey: &Survey) -> ExitCode {
    if survey.invalid > 0 { ExitCode::Incomplete } else { ExitCode::Done }
}
