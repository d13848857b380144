//! The runs of an audit folder, as candidates: `lifecycle` decides which one a command continues.
//!
//! Invariant: an unreadable audit folder is an error, never "no run".

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::Deserialize;
use thiserror::Error;

use super::{EndReason, FILE_NAME, FileStorage, Hasher, Record, RunStarted};

/// How many digits of the lists' digest are in a run's default id.
pub(crate) const DIGITS_IN_ID: usize = 8;

/// A run, by the first and last records of its journal. The chain is not checked here. A process that continues the run
/// reads the whole journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastRun {
    /// Its folder.
    pub folder: PathBuf,
    /// The record of its start or, if it was continued, of its last continuation.
    pub latest: RunStarted,
    /// Why it ended; none if it is unfinished.
    pub ended: Option<EndReason>,
    /// The hash in its last record.
    pub head_hash: String,
    begun_at: Timestamp,
}

/// Why the runs of an audit folder cannot be listed.
#[derive(Debug, Error)]
pub(crate) enum RunsError {
    /// The audit folder cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first record of a journal is broken. The record or the folder's name says that the run was about these lists.
    #[error("{}: record 1 is broken: its hash does not match its content", .0.display())]
    BrokenStart(PathBuf),
}

/// How a journal begins.
enum Start {
    /// With no whole record: its process ended before it sent a request.
    Nothing,
    /// With a line that does not start a run.
    Broken,
    Run {
        journal: BufReader<File>,
        at: Timestamp,
        started: Box<RunStarted>,
        is_as_written: bool,
    },
}

impl Start {
    /// `hasher` checks the record. A record with a keyed hash cannot be checked without the key.
    fn of(folder: &Path, hasher: &Hasher) -> io::Result<Self> {
        let Ok(file) = File::open(folder.join(FILE_NAME)) else { return Ok(Self::Nothing) };
        let mut journal = BufReader::with_capacity(1 << 16, file);
        let mut first = vec![];
        match journal.read_until(b'\n', &mut first) {
            // A folder with the journal's name is no run.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Ok(Self::Nothing),
            read => read?,
        };
        let Some(line) = first.strip_suffix(b"\n") else { return Ok(Self::Nothing) };
        let Some((at, Record::RunStarted(started))) = read(line) else { return Ok(Self::Broken) };
        let can_check = started.keyed == hasher.is_keyed();
        let is_as_written =
            !can_check || std::str::from_utf8(line).is_ok_and(|line| hasher.check(line).is_some());
        Ok(Self::Run { journal, at, started, is_as_written })
    }
}

impl PastRun {
    /// The run in a folder, if there is one whose first record can be read.
    pub(crate) fn look_into(folder: &Path) -> io::Result<Option<Self>> {
        match Start::of(folder, &Hasher::PLAIN)? {
            Start::Nothing | Start::Broken => Ok(None),
            Start::Run { journal, at, started, .. } => Self::read(folder, journal, at, started).map(Some),
        }
    }

    fn read(
        folder: &Path,
        mut journal: BufReader<File>,
        begun_at: Timestamp,
        mut latest: Box<RunStarted>,
    ) -> io::Result<Self> {
        // Most records are attempts and outcomes, which do not matter here. Their content could contain this text too, so a
        // match is parsed.
        let continued = Finder::new(b"\"type\":\"run_continued\"");
        let (mut line, mut last) = (vec![], vec![]);
        while journal.read_until(b'\n', &mut line)? > 0 {
            if continued.find(&line).is_some()
                && let Some((_, Record::RunContinued(continued))) = read(&line)
            {
                latest = continued;
            }
            std::mem::swap(&mut last, &mut line);
            line.clear();
        }
        let ended = read(&last).and_then(|(_, record)| match record {
            Record::RunFinished(finished) => Some(finished.reason),
            Record::RunStarted(_) | Record::RunContinued(_) | Record::Attempt(_) | Record::Outcome(_) => None,
        });
        let head_hash = serde_json::from_slice(&last).map(|HashedRecord { hash }| hash).unwrap_or_default();
        Ok(Self { folder: folder.to_owned(), latest: *latest, ended, head_hash, begun_at })
    }

    /// Whether a process is writing its journal.
    pub(crate) fn is_running(&self) -> bool {
        let opened = FileStorage::open(&self.folder.join(FILE_NAME));
        opened.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether every row of its lists has its final outcome.
    pub(crate) fn is_complete(&self) -> bool {
        self.ended == Some(EndReason::Completed)
    }

    /// Whether both runs are rehearsals, or both use the same address of DingTalk. A real run never continues a rehearsal:
    /// the meetings that a rehearsal closed are still open.
    pub(crate) fn is_at_the_same_place(&self, wanted: &RunStarted) -> bool {
        is_same_place(&self.latest, wanted)
    }

    fn is_same_work(&self, wanted: &RunStarted) -> bool {
        self.latest.lists_digest == wanted.lists_digest && self.is_at_the_same_place(wanted)
    }
}

fn is_same_place(run: &RunStarted, wanted: &RunStarted) -> bool {
    let base_url = |run: &RunStarted| run.settings.get("dingtalk.base_url").cloned();
    run.sandbox == wanted.sandbox && (wanted.sandbox || base_url(run) == base_url(wanted))
}

/// The folder of a run: its path, its id in the audit folder, or `latest`.
pub(crate) fn find_run(audit_dir: &Path, run: &str) -> io::Result<Option<PathBuf>> {
    let holds_run = |folder: &PathBuf| folder.join(FILE_NAME).is_file();
    if run != "latest" {
        return Ok([PathBuf::from(run), audit_dir.join(run)].into_iter().find(holds_run));
    }
    let mut newest: Option<(Timestamp, PathBuf)> = None;
    for folder in folders(audit_dir)? {
        if let Start::Run { at, .. } = Start::of(&folder, &Hasher::PLAIN)? {
            newest = newest.max(Some((at, folder)));
        }
    }
    Ok(newest.map(|(_, folder)| folder))
}

/// The runs of the same lists at the same place, the oldest first. The lists of the run `latest` count as the same too.
pub(crate) fn runs_of_the_same_work(
    audit_dir: &Path,
    wanted: &RunStarted,
    latest: Option<&PastRun>,
    hasher: &Hasher,
) -> Result<Vec<PastRun>, RunsError> {
    let mut runs = vec![];
    for folder in folders(audit_dir)? {
        match Start::of(&folder, hasher)? {
            Start::Run { journal, at, started, is_as_written: true } => {
                let run = PastRun::read(&folder, journal, at, started)?;
                if run.is_same_work(wanted) || latest.is_some_and(|latest| run.is_same_work(&latest.latest)) {
                    runs.push(run);
                }
            }
            Start::Run { started, .. } if started.lists_digest == wanted.lists_digest => {
                return Err(RunsError::BrokenStart(folder.join(FILE_NAME)));
            }
            Start::Broken | Start::Run { .. } if is_named_after(&folder, &wanted.lists_digest) => {
                return Err(RunsError::BrokenStart(folder.join(FILE_NAME)));
            }
            Start::Nothing | Start::Broken | Start::Run { .. } => {}
        }
    }
    runs.sort_by_key(|run| run.begun_at);
    Ok(runs)
}

/// The newest run at the same place with a list of the same file name. Only the first records of the other runs are read.
pub(crate) fn newest_of_the_same_name(audit_dir: &Path, wanted: &RunStarted) -> io::Result<Option<PastRun>> {
    let mut newest: Option<(Timestamp, PathBuf)> = None;
    for folder in folders(audit_dir)? {
        if let Start::Run { at, started, .. } = Start::of(&folder, &Hasher::PLAIN)?
            && started.queue.is_none()
            && have_a_name_in_common(&started, wanted)
            && is_same_place(&started, wanted)
        {
            newest = newest.max(Some((at, folder)));
        }
    }
    newest.map_or(Ok(None), |(_, folder)| PastRun::look_into(&folder))
}

fn have_a_name_in_common(run: &RunStarted, wanted: &RunStarted) -> bool {
    let names = |run: &RunStarted| -> Vec<OsString> {
        // Standard input and the rows of an earlier run have no file name of their own.
        let lists = run.lists.iter().filter(|list| run.retry_of.is_none() && list.source != "-");
        lists.filter_map(|list| Some(Path::new(&list.source).file_name()?.to_owned())).collect()
    };
    let wanted = names(wanted);
    names(run).iter().any(|name| wanted.contains(name))
}

/// Whether a run's folder has the default name of a run over these lists.
fn is_named_after(folder: &Path, lists_digest: &str) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.contains(&format!("Z-{}", &lists_digest[..DIGITS_IN_ID]))
}

fn folders(audit_dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(audit_dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// The hash at the end of every record.
#[derive(Deserialize)]
struct HashedRecord {
    hash: String,
}

fn read(line: &[u8]) -> Option<(Timestamp, Record)> {
    let line = Record::read(std::str::from_utf8(line).ok()?).ok()?;
    Some((line.at, line.record))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fixtures::run_started;

    fn run(digest: &str, sandbox: bool, base_url: &str) -> RunStarted {
        RunStarted {
            sandbox,
            lists_digest: digest.into(),
            settings: BTreeMap::from([("dingtalk.base_url".into(), base_url.into())]),
            ..run_started()
        }
    }

    #[test]
    fn a_real_run_continues_neither_a_rehearsal_nor_a_run_at_another_address() {
        let real = run("a", false, "https://api.dingtalk.io");
        let is_continued = |latest: RunStarted, wanted: &RunStarted| {
            let folder = PathBuf::new();
            let head_hash = String::new();
            let run = PastRun { folder, latest, ended: None, head_hash, begun_at: Timestamp::UNIX_EPOCH };
            run.is_same_work(wanted)
        };
        assert!(is_continued(real.clone(), &real));
        assert!(!is_continued(run("a", true, "https://api.dingtalk.io"), &real));
        assert!(!is_continued(run("b", false, "https://api.dingtalk.io"), &real));
        assert!(!is_continued(run("a", false, "https://api.dingtalk.com"), &real));
        assert!(is_continued(run("a", true, "http://127.0.0.1:1"), &run("a", true, "http://127.0.0.1:2")));
    }
}
