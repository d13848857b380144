//! The runs of an audit folder: which one an invocation goes on with.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{EndReason, FILE_NAME, Record, RunStarted};

/// A run as its journal's first and last records tell of it. The chain is not checked: whoever goes on with the run reads
/// it whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Its folder.
    pub folder: PathBuf,
    /// What it set out to do when it was last begun or continued.
    pub latest: RunStarted,
    /// Why it ended; none where it did not come to its last record.
    pub ended: Option<EndReason>,
    begun_at: Timestamp,
}

impl PastRun {
    /// The run in a folder, if there is one whose first record can be read.
    pub fn look_into(folder: &Path) -> io::Result<Option<Self>> {
        let Some((mut journal, begun_at, Record::RunStarted(mut latest))) = begun(folder)? else {
            return Ok(None);
        };
        let mut line = vec![];
        let mut last = None;
        while journal.read_until(b'\n', &mut line)? > 0 {
            // Most records are attempts and outcomes, whose content does not matter here.
            if names_type(&line, "run_continued")
                && let Some((_, Record::RunContinued(continued))) = read(&line)
            {
                latest = continued;
            }
            std::mem::swap(last.get_or_insert_with(Vec::new), &mut line);
            line.clear();
        }
        let ended = last.and_then(|line| match read(&line)?.1 {
            Record::RunFinished(finished) => Some(finished.reason),
            Record::RunStarted(_) | Record::RunContinued(_) | Record::Attempt(_) | Record::Outcome(_) => None,
        });
        Ok(Some(Self { folder: folder.to_owned(), latest: *latest, ended, begun_at }))
    }

    /// Whether every row of its lists has its final outcome.
    pub fn is_complete(&self) -> bool {
        self.ended == Some(EndReason::Completed)
    }

    /// Whether a run would do the same at the same place. A rehearsal is never gone on with for real: what it closed is
    /// still open.
    pub fn is_at_the_same_place(&self, wanted: &RunStarted) -> bool {
        let base_url = |run: &RunStarted| run.settings.get("dingtalk.base_url").cloned();
        self.latest.sandbox == wanted.sandbox
            && (wanted.sandbox || base_url(&self.latest) == base_url(wanted))
    }

    fn is_same_work(&self, wanted: &RunStarted) -> bool {
        self.latest.lists_digest == wanted.lists_digest && self.is_at_the_same_place(wanted)
    }
}

/// The folder of a run: its path, its id in the audit folder, or `latest`.
pub fn find_run(audit_dir: &Path, run: &str) -> io::Result<Option<PathBuf>> {
    let holds_run = |folder: &PathBuf| folder.join(FILE_NAME).is_file();
    if run != "latest" {
        return Ok([PathBuf::from(run), audit_dir.join(run)].into_iter().find(holds_run));
    }
    let mut newest: Option<(Timestamp, PathBuf)> = None;
    for folder in folders(audit_dir)? {
        let begun = begun(&folder)?.map(|(_, at, _)| (at, folder));
        newest = newest.into_iter().chain(begun).max();
    }
    Ok(newest.map(|(_, folder)| folder))
}

/// The newest unfinished run of the same lists at the same place, if there is one.
pub fn find_unfinished(audit_dir: &Path, wanted: &RunStarted) -> io::Result<Option<PastRun>> {
    let mut newest: Option<PastRun> = None;
    for folder in folders(audit_dir)? {
        let run = PastRun::look_into(&folder)?.filter(|run| !run.is_complete() && run.is_same_work(wanted));
        newest = newest.into_iter().chain(run).max_by_key(|run| run.begun_at);
    }
    Ok(newest)
}

fn folders(audit_dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(audit_dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// A journal behind its first record, and that record, if it can be read.
fn begun(folder: &Path) -> io::Result<Option<(BufReader<File>, Timestamp, Record)>> {
    let Ok(file) = File::open(folder.join(FILE_NAME)) else { return Ok(None) };
    let mut journal = BufReader::with_capacity(1 << 16, file);
    let mut first = vec![];
    journal.read_until(b'\n', &mut first)?;
    Ok(read(&first).map(|(at, record)| (journal, at, record)))
}

fn read(line: &[u8]) -> Option<(Timestamp, Record)> {
    let line = Record::read(std::str::from_utf8(line).ok()?).ok()?;
    Some((line.at, line.record))
}

/// Whether a line can be a record of this type: its content could name the type too, and parsing tells.
fn names_type(line: &[u8], name: &str) -> bool {
    let wanted = format!("\"type\":\"{name}\"");
    line.windows(wanted.len()).any(|window| window == wanted.as_bytes())
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
            retry_of: None,
            queue: None,
        }
    }

    #[test]
    fn a_rehearsal_is_never_gone_on_with_for_real_nor_one_account_with_another() {
        let real = run("a", false, "https://api.dingtalk.io");
        let goes_on = |latest: RunStarted, wanted: &RunStarted| {
            let folder = PathBuf::new();
            PastRun { folder, latest, ended: None, begun_at: Timestamp::UNIX_EPOCH }.is_same_work(wanted)
        };
        assert!(goes_on(real.clone(), &real));
        assert!(!goes_on(run("a", true, "https://api.dingtalk.io"), &real));
        assert!(!goes_on(run("b", false, "https://api.dingtalk.io"), &real));
        assert!(!goes_on(run("a", false, "https://api.dingtalk.com"), &real));
        assert!(goes_on(run("a", true, "http://127.0.0.1:1"), &run("a", true, "http://127.0.0.1:2")));
    }
}
