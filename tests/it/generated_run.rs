//! A generated run: a journal of any length, written by the library.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use meeting_closer::{
    Chain, EndReason, EndedBy, FileStorage, Hasher, Journal, ListRecord, Origin, Outcome, OutcomeKind,
    OutcomeRecord, PaceTotals, Record, ReplyDetails, RowCounts, RunFinished, RunStarted, Timeline, Totals,
    fixtures,
};

/// The time between two rows.
const STEP: Duration = Duration::from_millis(60);

/// Writes a run of so many rows into `folder`. Of every 1,000 rows, number 7 fails and number 8 is invalid. Every tenth
/// meeting has already ended.
pub(crate) fn write(folder: &Path, rows: u64) {
    let path = folder.join("journal.jsonl");
    let journal = Journal::new(path.clone(), FileStorage::create(&path).unwrap(), Chain::new(Hasher::PLAIN));
    let append = |record: Record, at| journal.append(&record, at).unwrap();
    append(Record::RunStarted(Box::new(started(rows))), at(0));
    for row in 0..rows {
        append(Record::Outcome(Box::new(OutcomeRecord::from(&outcome(row)))), at(row));
    }
    append(Record::RunFinished(Box::new(finished(rows))), at(rows));
    journal.sync().unwrap();
}

fn at(row: u64) -> Timestamp {
    let begun: Timestamp = "2026-11-23T19:00:00Z".parse().unwrap();
    begun + SignedDuration::try_from(STEP * u32::try_from(row).unwrap()).unwrap()
}

fn started(rows: u64) -> RunStarted {
    let list =
        ListRecord { source: "evening.csv".into(), sha256: "5".repeat(64), bytes: rows * 52, sheet: None };
    RunStarted {
        run_id: "20261123T190000Z-5a5a5a5a".into(),
        version: "0.1.0".into(),
        lists: vec![list],
        lists_digest: "5".repeat(64),
        rows: RowCounts { total: rows, to_close: rows, ..RowCounts::default() },
        settings: [("pace.requests_per_second".into(), "18".into())].into(),
        ..fixtures::run_started()
    }
}

fn outcome(row: u64) -> Outcome {
    let (kind, ended_by, code, status, message) = match row % 1000 {
        7 => (OutcomeKind::Failed, None, "permissionError", Some(404), "the caller is not the host"),
        8 => (OutcomeKind::Invalid, None, "", None, "column \"unionId\" is empty"),
        other if other % 10 == 0 => {
            let earlier = Some(EndedBy::Earlier);
            (OutcomeKind::AlreadyClosed, earlier, "resourceClose", Some(400), "the meeting has ended")
        }
        _ => (OutcomeKind::Closed, Some(EndedBy::ThisRun), "200", Some(200), "sucess"),
    };
    let asked = kind != OutcomeKind::Invalid;
    Outcome {
        origin: Origin { source: "evening.csv".into(), line: row + 2 },
        conference_id: format!("{:024x}", row * 0x9e37_79b9),
        union_id: if asked { format!("host{:04}", row % 500) } else { String::new() },
        kind,
        ended_by,
        details: ReplyDetails {
            code: code.into(),
            http_status: status,
            message: message.into(),
            request_id: if asked { format!("REQUEST-{row:08}") } else { String::new() },
        },
        attempts: u32::from(asked),
        first_attempt_at: asked.then(|| at(row)),
        finished_at: at(row) + SignedDuration::from_millis(43),
    }
}

/// In the middle of the run DingTalk refuses some calls, the rate falls, and it rises again.
fn finished(rows: u64) -> RunFinished {
    let mut timeline = Timeline::default();
    timeline.rate(Duration::ZERO, 18_000);
    let elapsed = |row: u64| STEP * u32::try_from(row).unwrap();
    for row in 0..rows {
        timeline.call(elapsed(row));
    }
    for row in (rows / 2..rows / 2 + rows / 20).step_by(9) {
        timeline.refusal(elapsed(row));
    }
    timeline.pause(elapsed(rows / 2), elapsed(rows / 2 + rows / 100));
    for (part, rate) in (0u64..).zip([9_000, 11_000, 13_000, 15_000, 17_000, 18_000]) {
        timeline.rate(elapsed(rows / 2 + rows / 15 * part), rate);
    }
    let pace = PaceTotals { configured: 18_000, lowest: 9_000, last: 18_000, unrefused: Some(15_500) };
    RunFinished {
        exit_code: 1,
        reason: EndReason::Completed,
        detail: String::new(),
        totals: Totals { calls: rows, throttled_calls: rows / 180, pace, timeline, ..Totals::default() },
    }
}
