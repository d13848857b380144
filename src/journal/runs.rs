//! The runs of an audit folder: which one an invocation goes on with.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use super::{EndReason, FILE_NAME, Record, RunStarted};
use crate::clock::rfc3339_serde;

/// A run that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its folder.
    pub folder: PathBuf,
    /// How it began.
    pub started: RunStarted,
    /// The process that last went on with it.
    pub pid: u32,
    started_at: Timestamp,
}

/// The folder of a run: its path, its id in the audit folder, or `latest`.
pub fn find_run(audit_dir: &Path, run: &str) -> io::Result<Option<PathBuf>> {
    let holds_run = |folder: &PathBuf| folder.join(FILE_NAME).is_file();
    if run != "latest" {
        return Ok([PathBuf::from(run), audit_dir.join(run)].into_iter().find(holds_run));
    }
    let mut newest: Option<(Timestamp, PathBuf)> = None;
    for entry in fs::read_dir(audit_dir)? {
        let folder = entry?.path();
        let begun = first_line(&folder)?.map(|line| (line.at, folder));
        newest = newest.into_iter().chain(begun).max();
    }
    Ok(newest.map(|(_, folder)| folder))
}

/// A journal's first record, if there is one that can be read.
fn first_line(folder: &Path) -> io::Result<Option<Line>> {
    let Ok(file) = File::open(folder.join(FILE_NAME)) else { return Ok(None) };
    let first = BufReader::new(file).split(b'\n').next().transpose()?;
    Ok(first.and_then(|line| serde_json::from_slice(&line).ok()))
}

/// The newest unfinished run of the same lists at the same place, if there is one. A rehearsal is never gone on with for
/// real: what it closed is still open.
pub fn find_unfinished(audit_dir: &Path, wanted: &RunStarted) -> io::Result<Option<Unfinished>> {
    let entries = match fs::read_dir(audit_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut newest: Option<Unfinished> = None;
    for entry in entries {
        let folder = entry?.path();
        let found = look_into(folder, wanted)?;
        newest = newest.into_iter().chain(found).max_by_key(|run| run.started_at);
    }
    Ok(newest)
}

/// The run in a folder, if it is the same work and has not come to its end. The chain is not checked here: whoever goes on
/// with the run reads it whole.
fn look_into(folder: PathBuf, wanted: &RunStarted) -> io::Result<Option<Unfinished>> {
    let Ok(file) = File::open(folder.join(FILE_NAME)) else { return Ok(None) };
    let mut lines = BufReader::new(file).split(b'\n');
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let Ok(Line { at, record: Record::RunStarted(started) }) = serde_json::from_slice(&first) else {
        return Ok(None);
    };
    if !is_same_work(&started, wanted) {
        return Ok(None);
    }
    let (mut completed, mut pid) = (false, started.pid);
    for line in lines {
        match serde_json::from_slice::<Line>(&line?).map(|line| line.record) {
            Ok(Record::RunFinished(finished)) => completed = finished.reason == EndReason::Completed,
            Ok(Record::RunContinued(continued)) => (completed, pid) = (false, continued.pid),
            Ok(Record::RunStarted(_) | Record::Attempt(_) | Record::Outcome(_)) | Err(_) => {}
        }
    }
    Ok((!completed).then_some(Unfinished { folder, started: *started, pid, started_at: at }))
}

#[derive(Deserialize)]
struct Line {
    #[serde(with = "rfc3339_serde")]
    at: Timestamp,
    #[serde(flatten)]
    record: Record,
}

fn is_same_work(started: &RunStarted, wanted: &RunStarted) -> bool {
    let base_url = |run: &RunStarted| run.settings.get("dingtalk.base_url").cloned();
    started.lists_digest == wanted.lists_digest
        && started.sandbox == wanted.sandbox
        && (started.sandbox || base_url(started) == base_url(wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::journal::RowCounts;

    fn run(digest: &str, sandbox: bool, base_url: &str) -> RunStarted {
        RunStarted {
            run_id: "r".into(),
            version: "1".into(),
            pid: 1,
            keyed: false,
            sandbox,
            lists: vec![],
            lists_digest: digest.into(),
            rows: RowCounts::default(),
            settings: BTreeMap::from([("dingtalk.base_url".into(), base_url.into())]),
        }
    }

    #[test]
    fn a_rehearsal_is_never_gone_on_with_for_real_nor_one_account_with_another() {
        let real = run("a", false, "https://api.dingtalk.io");
        assert!(is_same_work(&real, &real));
        assert!(!is_same_work(&run("a", true, "https://api.dingtalk.io"), &real));
        assert!(!is_same_work(&run("b", false, "https://api.dingtalk.io"), &real));
        assert!(!is_same_work(&run("a", false, "https://api.dingtalk.com"), &real));
        assert!(is_same_work(&run("a", true, "http://127.0.0.1:1"), &run("a", true, "http://127.0.0.1:2")));
    }
}
