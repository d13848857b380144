//! What a command shows of its lists before it does anything.
//!
//! Invariant: a dry run calls nothing and writes nothing.

use super::rehearsal::REHEARSAL;
use crate::display;
use crate::exit::ExitCode;
use crate::lists::{Exclusions, ListError, Lists, Survey};
use crate::printer;
use crate::settings::Settings;

/// Counts the rows of the lists, and prints remarks about them.
pub(crate) fn survey(lists: &Lists, exclusions: Exclusions) -> Result<Survey, ListError> {
    let survey = Survey::of(lists, exclusions)?;
    for line in display::remarks(&survey) {
        printer::err(&line);
    }
    Ok(survey)
}

/// Prints what `close` would do.
pub(crate) fn dry_run_of_close(survey: &Survey, settings: &Settings, is_sandbox: bool) -> ExitCode {
    printer::out(&display::contents(survey));
    printer::out(&display::forecast(survey, &settings.pace));
    if is_sandbox {
        printer::out(REHEARSAL);
    }
    printer::out("dry run: nothing was called");
    exit_code(survey)
}

/// Prints what `enqueue` would do.
pub(crate) fn dry_run_of_enqueue(survey: &Survey) -> ExitCode {
    printer::out(&display::contents(survey));
    printer::out("dry run: nothing was added");
    exit_code(survey)
}

/// The exit code of a command that succeeds with these lists.
pub(crate) fn exit_code(survey: &Survey) -> ExitCode {
    if survey.invalid > 0 { ExitCode::Incomplete } else { ExitCode::Done }
}
