//! Replacing a file so that readers find the old content or the new one, whole.
//!
//! Invariant: an error leaves the old file as it was, and nothing beside it.

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
    // The name is unique, because another process may replace the same file. No collector of textfiles reads `.tmp`.
    let temporary = tempfile::Builder::new().prefix(".meeting-closer-").suffix(".tmp").tempfile_in(folder)?;
    let mut writer = BufWriter::with_capacity(1 << 16, temporary.as_file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_could_not_be_filled_leaves_the_old_one_and_nothing_beside() {
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
    fn a_new_file_takes_the_old_ones_place_and_has_the_mode_that_was_asked_for() {
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
    fn a_file_that_cannot_be_put_in_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("closer.prom");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, 0o644, |file| file.write_all(b"new")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(Path::new("/nowhere/closer.prom"), 0o644, |_| Ok(())).is_err());
    }
}
