//! Tries the folders that a run writes to, in the way in which a run uses them. The files are removed afterwards.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Finding, Side};
use crate::journal::{FileStorage, Storage as _};
use crate::settings::GuardSettings;

/// What a row takes on the disk: 0.95 KB in the journal and 0.2 KB in each report, and a third of a KB for each retry.
const BYTES_A_ROW: u64 = 2_000;
/// The rows that must have room if `guard.max_meetings` is not set: the month's calls of a Standard organisation.
const ROWS_EXPECTED: u64 = 5_000;

/// The facts of an audit folder in which everything worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FolderFacts {
    /// Its permission bits. `None` if it does not exist yet and can be created.
    pub mode: Option<u32>,
    /// Bytes that are free on its disk for this user.
    pub free_bytes: u64,
}

/// Does in the audit folder what a run does: creates a folder and a file in it, locks the file, writes it and syncs it. If the
/// audit folder does not exist yet, this happens in the folder above it. A check of another user must not create the audit
/// folder, because the job could not write to it then.
pub(crate) fn probe_audit_dir(dir: &Path) -> io::Result<FolderFacts> {
    let existing = nearest_existing(dir)?;
    let mode = if existing == dir { Some(fs::metadata(dir)?.permissions().mode() & 0o777) } else { None };
    let trial = tempfile::Builder::new().prefix(".check-").tempdir_in(on_disk(&existing))?;
    let file = FileStorage::create(&trial.path().join("trial"))?;
    file.append(b"trial\n")?;
    file.sync()?;
    trial.close()?;
    match OpenOptions::new().write(true).open(dir.join(".lock")) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io::Error::new(error.kind(), format!("its file .lock: {error}"))),
    }
    let disk = rustix::fs::statvfs(on_disk(&existing))?;
    Ok(FolderFacts { mode, free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize) })
}

/// The folder itself, or the nearest one above it that exists.
fn nearest_existing(dir: &Path) -> io::Result<PathBuf> {
    for folder in dir.ancestors() {
        if on_disk(folder).try_exists()? {
            return Ok(folder.to_owned());
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The last ancestor of a relative path is empty. It means the working directory.
fn on_disk(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

pub(crate) fn audit_folder(dir: &Path, probed: &io::Result<FolderFacts>) -> Finding {
    let shown = dir.display();
    match probed {
        Err(error) => Finding::wrong(
            Side::Local,
            "audit",
            format!("cannot write the audit to {shown}: {error}"),
            "make the folder writable for the user of the job, or name another one with --audit-dir (audit.dir)",
        ),
        Ok(FolderFacts { mode: Some(mode), .. }) if mode & 0o077 != 0 => Finding::warning(
            "audit",
            format!("other users can read {shown} (mode {mode:04o}), and it shows the ids of runs"),
            format!("chmod 700 {shown}"),
        ),
        Ok(FolderFacts { mode: Some(_), .. }) => {
            Finding::ok("audit", format!("{shown} can be written and locked"))
        }
        Ok(FolderFacts { mode: None, .. }) => {
            Finding::ok("audit", format!("{shown} does not exist yet; it can be created, written and locked"))
        }
    }
}

pub(crate) fn room(free_bytes: u64, guard: &GuardSettings) -> Finding {
    let rows = guard.max_meetings.unwrap_or(ROWS_EXPECTED);
    let needed = rows.saturating_mul(BYTES_A_ROW);
    let found = format!("{} free; {rows} rows need about {}", bytes(free_bytes), bytes(needed));
    if free_bytes < needed {
        Finding::wrong(
            Side::Local,
            "room",
            found,
            "free disk space, or keep the audit on another disk (audit.dir)",
        )
    } else {
        Finding::ok("room", found)
    }
}

/// Tries to create a file beside the textfile, as replacing the textfile does.
pub(crate) fn probe_textfile(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    tempfile::Builder::new().prefix(".check-").tempfile_in(on_disk(folder))?.close()
}

pub(crate) fn textfile(path: &Path, probed: &io::Result<()>) -> Finding {
    let shown = path.display();
    match probed {
        Ok(()) => Finding::ok("metrics", format!("{shown} can be written")),
        Err(error) => Finding::wrong(
            Side::Local,
            "metrics",
            format!("cannot write {shown}, which metrics.textfile names: {error}"),
            "make its folder writable for the user of the job",
        ),
    }
}

fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_folder_is_tried_where_it_is_or_would_be_created_and_no_file_stays() {
        let root = tempfile::tempdir().unwrap();
        let missing = probe_audit_dir(&root.path().join("a/b")).unwrap();
        assert!(missing.mode.is_none() && missing.free_bytes > 0);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(probe_audit_dir(root.path()).unwrap().mode, Some(0o750));
        probe_textfile(&root.path().join("x.prom")).unwrap();
        assert!(names(root.path()).is_empty(), "{:?}", names(root.path()));
    }

    #[test]
    fn a_file_cannot_be_the_folder_of_an_audit_or_a_textfile() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(probe_audit_dir(&file).is_err());
        assert!(probe_audit_dir(&file.join("audit")).is_err());
        assert!(probe_textfile(&file.join("x.prom")).is_err());
        assert!(probe_textfile(&root.path().join("missing/x.prom")).is_err());
        // The lock of another user cannot be opened. A folder in its place gives the same error, also to root.
        fs::create_dir(root.path().join(".lock")).unwrap();
        assert!(probe_audit_dir(root.path()).unwrap_err().to_string().contains(".lock"));
    }

    #[test]
    fn a_folder_that_others_can_read_gives_a_warning() {
        let line =
            |mode| audit_folder(Path::new("audit"), &Ok(FolderFacts { mode, free_bytes: 0 })).to_string();
        assert_eq!(line(Some(0o700)), "ok     audit: audit can be written and locked");
        assert_eq!(
            line(None),
            "ok     audit: audit does not exist yet; it can be created, written and locked"
        );
        for mode in [0o701, 0o750, 0o755] {
            assert!(line(Some(mode)).ends_with("; hint: chmod 700 audit"), "{}", line(Some(mode)));
        }
    }

    #[test]
    fn room_is_needed_for_the_rows_that_a_run_may_have() {
        let guard = |max_meetings| GuardSettings { max_meetings, deadline: None };
        let enough = room(10_000_000, &guard(None)).to_string();
        assert_eq!(enough, "ok     room: 10.00 MB free; 5000 rows need about 10.00 MB");
        assert!(room(9_999_999, &guard(None)).to_string().starts_with("wrong  room: 10.00 MB free; "));
        assert!(room(9_999_999, &guard(Some(100))).to_string().starts_with("ok"));
        assert!(room(u64::MAX / 2, &guard(Some(u64::MAX))).to_string().starts_with("wrong"));
    }
}
