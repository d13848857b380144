//! What keeps a run from starting: too many meetings, or a person who says no.

use crate::exit::{ExitCode, Failure};
use crate::lists::Survey;
use crate::printer;
use crate::settings::Settings;

/// Refuses lists that hold more meetings than `guard.max_meetings`.
pub(crate) fn check_max_meetings(survey: &Survey, settings: &Settings) -> Result<(), Failure> {
    match settings.guard.max_meetings {
        Some(most) if survey.to_close > most => {
            let problem =
                format!("the lists hold {} meetings, and at most {most} may be closed", survey.to_close);
            Err(Failure::new(ExitCode::Usage, problem)
                .hint("check that these are the right lists, or raise --max-meetings (guard.max_meetings)"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Asks a question that a person has to answer with yes. `refused` says what did not happen then.
pub(crate) fn confirm(question: &str, refused: &str) -> Result<(), Failure> {
    if !printer::can_ask() {
        let problem = format!("cannot ask \"{question}\": standard input or standard error is no terminal");
        return Err(
            Failure::new(ExitCode::Usage, problem).hint("pass --yes to go ahead without this question")
        );
    }
    if printer::ask(question) {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Usage, format!("not confirmed: {refused}")))
}
