//! The cost of a long journal: reads a million outcomes to continue a run, to verify it and to write its reports.
//!
//! `cargo bench --bench replay`. Peak memory is that of the whole process and never falls, so the steps are in the order of their
//! need for memory.

use std::path::Path;

use jiff::Timestamp;
use meeting_closer::{
    Chain, Clock, EndedBy, FileStorage, Hasher, History, Journal, Outcome, OutcomeKind, OutcomeRecord,
    Record, ReplyDetails, fixtures, print_out, recover, verify, write_reports,
};

const OUTCOMES: u64 = 1_000_000;

fn main() {
    let folder = tempfile::tempdir_in(".").expect("a folder on a real disk");
    let path = folder.path().join("journal.jsonl");
    timed("write", || write(&path));
    let bytes = std::fs::metadata(&path).expect("the journal").len();
    print_out(&format!("          {OUTCOMES} outcomes and as many attempts, {} MiB", bytes >> 20));
    timed("continue", || {
        let mut history = History::default();
        let learn = |entry: meeting_closer::JournalEntry| history.learn(&entry.record, entry.at);
        recover(&path, Hasher::PLAIN, learn).expect("a whole journal");
        assert_eq!(history.rows_done(), OUTCOMES);
    });
    timed("verify", || {
        assert_eq!(verify(&path, Hasher::PLAIN, None).expect("a whole journal").rows, OUTCOMES);
    });
    timed("report", || {
        write_reports(folder.path(), Hasher::PLAIN).expect("reports");
    });
}

fn timed(what: &str, step: impl FnOnce()) {
    let start = Clock::System.now();
    step();
    let seconds = (Clock::System.now() - start).as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
    print_out(&format!("{what:<9} {seconds:>6.2} s, peak memory so far {peak}"));
}

fn write(path: &Path) {
    let journal = Journal::new(
        path.to_owned(),
        FileStorage::create(path).expect("a journal"),
        Chain::new(Hasher::PLAIN),
    );
    let at = |row: u64| {
        Timestamp::from_millisecond(1_795_000_000_000 + i64::try_from(row).expect("small")).expect("a time")
    };
    let started = fixtures::run_started();
    journal.append(&Record::RunStarted(Box::new(started)), at(0)).expect("room");
    for row in 0..OUTCOMES {
        let (conference_id, union_id) = (format!("{row:024x}"), format!("u{row:023}"));
        let origin = fixtures::origin(row + 2);
        let request = fixtures::close_request(&conference_id, &union_id);
        let attempt = fixtures::attempt(&origin, &request, 1);
        journal.append(&Record::Attempt(attempt), at(row)).expect("room");
        let outcome = Outcome {
            origin,
            conference_id,
            union_id,
            kind: OutcomeKind::Closed,
            ended_by: Some(EndedBy::ThisRun),
            details: ReplyDetails {
                code: "200".into(),
                http_status: Some(200),
                message: "sucess".into(),
                request_id: format!("{row:036}"),
            },
            attempts: 1,
            first_attempt_at: Some(at(row)),
            finished_at: at(row),
        };
        journal.append(&Record::Outcome(Box::new(OutcomeRecord::from(&outcome))), at(row)).expect("room");
    }
    journal.sync().expect("a journal on the disk");
}
