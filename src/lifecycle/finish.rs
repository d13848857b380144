//! Finishes a run: writes its last record and its reports, and prints the closing table.
//!
//! Invariant: a run that has lost its audit writes no record after the loss.

use super::rehearsal::REHEARSAL;
use super::start::StartedRun;
use crate::clock::Clock;
use crate::dingtalk;
use crate::display;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Record, RunFinished};
use crate::printer;
use crate::report::{self, Summary};
use crate::run::{RunEnd, Stop};
use crate::wording::count;

/// The exit code and the summary of a run, or why its reports could not be written.
pub(crate) type Finished = Result<(ExitCode, Summary), Failure>;

pub(crate) fn exit_code(finished: &Finished) -> ExitCode {
    match finished {
        Ok((code, _)) => *code,
        Err(failure) => failure.code,
    }
}

/// Writes the last record and the reports. Prints the table, the hints, and the command that continues the run.
pub(crate) fn finish(end: &RunEnd, run: &StartedRun, clock: &Clock) -> Finished {
    if let Some(Stop::AuditLost(error)) = &end.stop {
        print_next_command(run);
        return Err(error.clone().into());
    }
    if end.aborted {
        run.journal.sync()?;
        print_next_command(run);
        return Err(Failure::new(ExitCode::Interrupted, "aborted at the second signal"));
    }
    let code = end.exit_code(|kind| run.earlier(kind));
    let finished = RunFinished {
        exit_code: code.number(),
        reason: end.stop.as_ref().map_or(journal::EndReason::Completed, Stop::reason),
        detail: end.stop.as_ref().map(ToString::to_string).unwrap_or_default(),
        totals: end.totals.clone(),
    };
    run.journal.append(&Record::RunFinished(Box::new(finished)), clock.timestamp())?;
    run.journal.sync()?;
    let summary =
        report::write_reports(&run.folder, run.hasher.clone()).inspect_err(|_| print_next_command(run))?;
    print_end(&summary, run);
    if end.withdrawn_in_doubt > 0 {
        printer::err(&format!(
            "hint: {} may have ended or not: a request was sent and not answered; look at the rows in audit.csv",
            count(end.withdrawn_in_doubt, "withdrawn meeting")
        ));
    }
    // If the run was halted before its first request, no row has the code, and the table has no hint for it.
    // Nor has it one for a code that is not known.
    if let Some(Stop::Halted(details)) = &end.stop {
        let is_told = |_: &&str| !summary.codes.contains_key(&details.code);
        let advice = match dingtalk::hint(&details.code) {
            Some(advice) => Some(advice).filter(is_told),
            None => Some(dingtalk::UNKNOWN_REFUSAL_HINT),
        };
        if let Some(advice) = advice {
            printer::err(&format!("hint: {}: {advice}", details.code));
        }
    }
    if end.stop.is_some() {
        print_next_command(run);
    }
    Ok((code, summary))
}

fn print_end(summary: &Summary, run: &StartedRun) {
    if summary.sandbox {
        printer::out(REHEARSAL);
    }
    printer::out(&display::closing_table(summary));
    printer::out_path(&run.folder);
    for line in display::end_notes(summary) {
        printer::err(&line);
    }
}

fn print_next_command(run: &StartedRun) {
    if let Some(command) = &run.next_command {
        printer::err(&format!("to continue: {command}"));
    }
}
