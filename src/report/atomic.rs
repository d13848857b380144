//! Writing a file so that whoever reads it finds the old one or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::ReportError;

/// Fills a file beside `path`, puts it on the disk and renames it to `path`.
pub(super) fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), ReportError> {
    let beside = path.with_extension("tmp");
    let written =
        write_beside(&beside, fill).and_then(|()| fs::rename(&beside, path)).and_then(|()| sync_parent(path));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        ReportError::Write { path: path.to_owned(), problem: error.to_string() }
    })
}

fn write_beside(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut writer = BufWriter::with_capacity(1 << 16, opened);
    fill(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_filled_leaves_the_old_one_and_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        write(&path, |file| file.write_all(b"old")).unwrap();
        let error = write(&path, |file| file.write_all(b"new").and(Err(io::ErrorKind::StorageFull.into())));
        assert!(error.unwrap_err().to_string().contains("summary.json"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_report_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.csv");
        write(&path, |file| file.write_all(b"x")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
