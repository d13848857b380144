//! The figures in a file, for `node_exporter`'s textfile collector.
//!
//! Invariant: whoever reads the file finds the old one or the new one, whole.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Puts the text into a file that everybody may read, in place of the old one: by way of a file beside it, whose name no
/// collector looks for.
pub fn write_textfile(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside =
        tempfile::Builder::new().prefix(".meeting-closer-").suffix(".tmp").tempfile_in(folder)?;
    beside.write_all(text.as_bytes())?;
    // The collector is another user; the figures name nobody.
    beside.as_file().set_permissions(Permissions::from_mode(0o644))?;
    beside.as_file().sync_all()?;
    beside.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_everybodys_to_read_and_takes_the_old_ones_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("closer.prom");
        for text in ["old\n", "new\n"] {
            write_textfile(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_put_in_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("closer.prom");
        std::fs::create_dir(&path).unwrap();
        assert!(write_textfile(&path, "new").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_textfile(Path::new("/nowhere/closer.prom"), "new").is_err());
    }
}
