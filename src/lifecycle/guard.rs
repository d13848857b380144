//! Keeps a run from starting: the lists have too many meetings, or the user does not confirm.
//!
//! Invariant: nothing has been called when a guard refuses.

use std::path::Path;

use super::outlook::Outlook;
use crate::cli::{CloseArgs, EnqueueArgs};
use crate::display;
use crate::exit::{ExitCode, Failure};
use crate::lists::{Exclusions, Survey};
use crate::printer;
use crate::settings::Settings;
use crate::wording::count;

/// Reads the list of exclusions, if there is one.
pub(crate) fn exclusions(path: Option<&Path>, settings: &Settings) -> Result<Exclusions, Failure> {
    match path {
        Some(path) => Ok(Exclusions::read(path, &settings.input)?),
        None => Ok(Exclusions::default()),
    }
}

/// Refuses lists with more meetings than `guard.max_meetings`.
pub(crate) fn check_max_meetings(survey: &Survey, settings: &Settings) -> Result<(), Failure> {
    match settings.guard.max_meetings {
        Some(max) if survey.to_close > max => {
            let meetings = count(survey.to_close, "meeting");
            let problem = format!("the lists contain {meetings}, and at most {max} may be closed");
            Err(Failure::new(ExitCode::Usage, problem)
                .hint("check that these are the right lists, or raise --max-meetings (guard.max_meetings)"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Asks whether to close the meetings. A run in the sandbox needs no confirmation.
pub(crate) fn confirm_close(
    args: &CloseArgs,
    survey: &Survey,
    outlook: &Outlook,
    settings: &Settings,
    is_rehearsal: bool,
) -> Result<(), Failure> {
    let to_close = outlook.to_close(survey);
    if args.sandbox || args.guards.yes || to_close == 0 {
        return Ok(());
    }
    let note = if is_rehearsal { " (a stand-in on this machine)" } else { "" };
    let meetings = count(to_close, "meeting");
    let verb = match &outlook.continued {
        None => "Close".to_owned(),
        Some(continued) => format!("Continue run {} ({}) and close", continued.run_id, continued.rows_done()),
    };
    let question =
        format!("{verb} {meetings} at {}{note}{}?", settings.dingtalk.base_url, about_exclusions(survey));
    confirm(&question, "nothing was called")
}

/// Asks whether to add the meetings to the queue.
pub(crate) fn confirm_enqueue(
    args: &EnqueueArgs,
    survey: &Survey,
    settings: &Settings,
) -> Result<(), Failure> {
    if args.guards.yes || survey.to_close == 0 {
        return Ok(());
    }
    let requests = count(survey.to_close, "close request");
    let question = format!("Add {requests} to {}{}?", settings.queue.stream, about_exclusions(survey));
    confirm(&question, "nothing was added")
}

/// What a question says about the exclusions.
fn about_exclusions(survey: &Survey) -> String {
    let exclusions = survey.exclusions.as_ref().map(display::exclusions);
    exclusions.map(|exclusions| format!(" ({exclusions})")).unwrap_or_default()
}

/// Asks for a yes. `refused` says what did not happen without it.
fn confirm(question: &str, refused: &str) -> Result<(), Failure> {
    if !printer::can_ask() {
        let problem = format!(
            "cannot ask for confirmation ({question}): standard input or standard error is not a terminal"
        );
        return Err(Failure::new(ExitCode::Usage, problem).hint("pass --yes to confirm in advance"));
    }
    if printer::ask(question) {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Usage, format!("not confirmed: {refused}")))
}
