//! Where a journal writes its bytes. Tests replace it with a disk that fails.
//!
//! Invariant: bytes are only ever added at the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// An append-only store.
pub trait Storage: Send + Sync + 'static {
    /// Adds bytes at the end. The operating system has them when this returns.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything added so far is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is locked while it is open. The system releases the lock when the process ends.
#[derive(Debug, Clone)]
pub struct FileStorage(Arc<File>);

impl FileStorage {
    /// Creates a file that only its owner can read. It must not exist yet.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::lock(OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?)
    }

    /// Opens a file to append to it. The error kind `WouldBlock` means that another process has it open.
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

    /// A removed file still accepts bytes, but they are lost. So that is a failure too.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()?;
        if self.0.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sync_of_a_removed_file_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let storage = FileStorage::create(&path).unwrap();
        storage.append(b"x").and_then(|()| storage.sync()).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(storage.append(b"y").is_ok());
        assert_eq!(storage.sync().unwrap_err().to_string(), "the file was removed");
    }
}
