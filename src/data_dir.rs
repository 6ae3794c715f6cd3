//! The data directory: what is where in it, and who may write.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory that holds everything of an embedded server.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

/// The right to write in a data directory; ends with the process or when it is dropped.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Stop the other process, or choose another directory.
    #[error("the data directory {0} is in use by another hoplog")]
    InUse(String),
    /// Look at the directory and its rights.
    #[error("the data directory {0}: {1}")]
    Io(String, io::Error),
}

impl DataDir {
    /// Names a directory; nothing is touched yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes the directory if it is missing and takes the right to write in it.
    ///
    /// # Errors
    /// When another process has it, or the directory can't be made.
    pub fn lock(&self) -> Result<DataDirLock, DataDirError> {
        let failed = |error| DataDirError::Io(self.0.display().to_string(), error);
        // What it holds is nobody else's business: clicks, secrets.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(failed)?;
        let file = File::create(self.0.join("lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(DataDirLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(self.0.display().to_string())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the embedded log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.0.join("log.db")
    }

    /// The file of the read models; may be deleted while the server is stopped.
    #[must_use]
    pub fn read_models_file(&self) -> PathBuf {
        self.0.join("read.db")
    }

    /// How far webhooks are, and what they have still to be sent: not to be deleted.
    #[must_use]
    pub fn webhooks_file(&self) -> PathBuf {
        self.0.join("webhooks.db")
    }

    /// The identity under which this directory's clicks are written.
    #[must_use]
    pub fn node_id_file(&self) -> PathBuf {
        self.0.join("node-id")
    }

    /// The file in which clicks wait for a log that is away.
    #[must_use]
    pub fn spool_file(&self) -> PathBuf {
        self.0.join("spool.db")
    }

    /// The visitor salts: secrets of today.
    #[must_use]
    pub fn visitor_salts_file(&self) -> PathBuf {
        self.0.join("visitor-salts.json")
    }
}

/// Replaces a small file at once, readable by its owner only. Afterwards it outlives the loss of
/// power: its name is on the disk, too.
///
/// # Errors
/// When it can't be written; the old file stays, or the new one is there and may not last.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_writer_has_the_directory_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDir::new(parent.path().join("new"));
        let lock = directory.lock().unwrap();
        assert!(matches!(directory.lock(), Err(DataDirError::InUse(_))));
        drop(lock);
        directory.lock().unwrap();
        let mode = fs::metadata(parent.path().join("new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "nobody else may look into it");
    }
}
