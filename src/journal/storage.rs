//! Where a journal's bytes go: a seam, so that a disk that fails can be had in a test.
//!
//! Invariant: bytes are only ever added at the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// An append-only place.
pub trait Storage: Send + Sync + 'static {
    /// Adds bytes at the end; they have reached the operating system when this returns.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything added so far is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// A file, locked for as long as it is open: the lock goes with the process, however that ends.
#[derive(Debug, Clone)]
pub struct FileStorage(Arc<File>);

impl FileStorage {
    /// Makes a new file that its owner alone can read; it must not be there yet.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::lock(OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?)
    }

    /// Opens a file to go on at its end. An error of the kind `WouldBlock` says that another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::lock(OpenOptions::new().append(true).open(path)?)
    }

    /// Cuts the file to a length.
    pub fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.sync_all()
    }

    fn lock(file: File) -> io::Result<Self> {
        file.try_lock().map_err(io::Error::from)?;
        Ok(Self(Arc::new(file)))
    }
}

impl Storage for FileStorage {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.0).write_all(bytes)
    }

    /// A file that was removed takes bytes as before, and nobody will ever read them: that is a failure too.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()?;
        if self.0.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "somebody removed it"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_is_a_disk_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let storage = FileStorage::create(&path).unwrap();
        storage.append(b"x").and_then(|()| storage.sync()).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(storage.append(b"y").is_ok());
        assert_eq!(storage.sync().unwrap_err().to_string(), "somebody removed it");
    }
}
