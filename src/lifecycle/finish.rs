//! The end of a run: its last record, its reports, and what is printed of them.

use super::StartedRun;
use crate::clock::Clock;
use crate::dingtalk;
use crate::display;
use crate::exit::{ExitCode, Failure};
use crate::journal::{self, Record, RunFinished};
use crate::printer;
use crate::report::{self, Summary};
use crate::run::{RunEnd, Stop};

/// What every output of a rehearsal says.
pub(crate) const REHEARSAL: &str = "SANDBOX: a rehearsal, no real meeting was touched";

/// How a run ended: with its reports, or with what kept it from them.
pub(crate) type Finished = Result<(ExitCode, Summary), Failure>;

/// The exit code of a run that ended so.
pub(crate) fn exit_code(finished: &Finished) -> ExitCode {
    match finished {
        Ok((code, _)) => *code,
        Err(failure) => failure.code,
    }
}

/// Writes the last record and the reports, and prints the table, the hints, and how to continue.
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
    // A run that was halted before its first request has a code that no row has.
    if let Some(Stop::Halted(details)) = &end.stop
        && !summary.codes.contains_key(&details.code)
        && let Some(advice) = dingtalk::hint(&details.code)
    {
        printer::err(&format!("hint: {}: {advice}", details.code));
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
    printer::out(&run.folder.display().to_string());
    display::end_notes(summary).iter().for_each(|line| printer::err(line));
}

fn print_next_command(run: &StartedRun) {
    if let Some(command) = &run.next_command {
        printer::err(&format!("to continue: {command}"));
    }
}
