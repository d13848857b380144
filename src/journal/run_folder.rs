//! A run's folder, and the lock on the audit folder.
//!
//! Invariant: only the owner can read a run's folder, because it holds people's ids.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The longest run id, in characters.
const MAX_ID_CHARS: usize = 100;

/// Whether a text can name a run: letters, digits, `.`, `_` and `-`, not beginning with a dot, and not `latest`.
pub(crate) fn is_run_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty()
        && text.len() <= MAX_ID_CHARS
        && text.chars().all(allowed)
        && !text.starts_with(['.', '-'])
        && text != "latest"
}

/// Locks an audit folder, and creates it if it is missing. A process holds this lock while it chooses its run, so that two
/// processes with the same lists cannot both begin one. Dropping the file releases the lock.
pub(crate) fn lock_audit_dir(audit_dir: &Path) -> io::Result<File> {
    DirBuilder::new().mode(0o700).recursive(true).create(audit_dir)?;
    let options = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
    let file = options.open(audit_dir.join(".lock"))?;
    file.lock()?;
    Ok(file)
}

/// Creates the folder of a new run in `audit_dir`, and `audit_dir` too if it is missing. Both are on the disk when this
/// returns. Returns none if the run exists already.
pub(crate) fn create_run_folder(audit_dir: &Path, run_id: &str) -> io::Result<Option<PathBuf>> {
    DirBuilder::new().mode(0o700).recursive(true).create(audit_dir)?;
    let folder = audit_dir.join(run_id);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    }
    File::open(audit_dir)?.sync_all()?;
    Ok(Some(folder))
}

/// Syncs a folder, so that a new file in it survives a power loss.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes the folder of a run whose journal could not be created.
pub(crate) fn discard_run_folder(folder: &Path) {
    let _ = fs::remove_file(folder.join(super::FILE_NAME));
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_run_id_is_a_plain_name() {
        for id in ["20261123T180000Z-0a1b2c3d", "evening_1", "a.b"] {
            assert!(is_run_id(id), "{id}");
        }
        for id in ["", "..", ".hidden", "a/b", "a b", "latest", "-x", "会议", &"x".repeat(101)] {
            assert!(!is_run_id(id), "{id}");
        }
    }

    #[test]
    fn only_the_owner_can_read_a_run_folder_and_two_runs_never_share_one() {
        let root = tempfile::tempdir().unwrap();
        let audit = root.path().join("a/b");
        let folder = create_run_folder(&audit, "r").unwrap().unwrap();
        for made in [&audit, &folder] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert_eq!(create_run_folder(&audit, "r").unwrap(), None);
    }
}
