//! Keeps a run from starting: the lists have too many meetings, or the user does not confirm.
//!
//! Invariant: nothing has been called when a guard refuses.

use std::path::Path;

use super::rehearsal::is_rehearsal;
use crate::cli::{CloseArgs, EnqueueArgs};
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
pub(crate) fn confirm_close(args: &CloseArgs, survey: &Survey, settings: &Settings) -> Result<(), Failure> {
    if args.sandbox || args.guards.yes || survey.to_close == 0 {
        return Ok(());
    }
    let note = if is_rehearsal(settings) { " (a stand-in on this machine)" } else { "" };
    let meetings = count(survey.to_close, "meeting");
    let question = format!("Close {meetings} at {}{note}?", settings.dingtalk.base_url);
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
    confirm(&format!("Add {requests} to {}?", settings.queue.stream), "nothing was added")
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
