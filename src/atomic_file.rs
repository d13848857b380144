//! Replaces a file atomically: readers see the whole old content or the whole new content.
//!
//! Invariant: after an error, the old file is unchanged, and no temporary file is left.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Fills a temporary file in the same folder, syncs it to the disk, and renames it to `path`. The new file has the
/// permission bits `mode`.
pub(crate) fn replace(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The name is unique, because another process may replace the same file. Collectors of textfiles ignore `.tmp`.
    let temporary = tempfile::Builder::new().prefix(".meeting-closer-").suffix(".tmp").tempfile_in(folder)?;
    let mut writer = BufWriter::with_capacity(1 << 16, temporary.as_file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_error_while_filling_keeps_the_old_file_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        replace(&path, 0o600, |file| file.write_all(b"old")).unwrap();
        let full =
            replace(&path, 0o600, |file| file.write_all(b"new").and(Err(io::ErrorKind::StorageFull.into())));
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_new_file_replaces_the_old_one_and_has_the_given_mode() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("audit.csv", 0o600), ("closer.prom", 0o644)] {
            let path = folder.path().join(name);
            for text in ["old\n", "new\n"] {
                replace(&path, mode, |file| file.write_all(text.as_bytes())).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_error_while_renaming_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("closer.prom");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, 0o644, |file| file.write_all(b"new")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(Path::new("/nowhere/closer.prom"), 0o644, |_| Ok(())).is_err());
    }
}
