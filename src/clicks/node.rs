//! Who writes: the identity of a data directory, in the names of its click streams.
//!
//! One writer per stream is what lets a version tell whether a batch is on the log. A directory
//! that was copied makes two writers of one name; the log notices, and one takes another name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hoplog_events::position::{StreamId, Topic, Version};
use uuid::Uuid;

use crate::data_dir::replace_file;

/// The identity, kept in a file.
#[derive(Debug)]
pub struct NodeId {
    path: PathBuf,
    current: Mutex<Current>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    id: Uuid,
    /// Made by this process: nothing was ever written under it.
    is_new: bool,
}

impl NodeId {
    /// Reads the identity, or makes one.
    ///
    /// # Errors
    /// When the file can't be read or written, or holds something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let current = match fs::read_to_string(path) {
            Ok(text) => Uuid::try_parse(text.trim())
                .map(|id| Current { id, is_new: false })
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), current: Mutex::new(current) })
    }

    /// The identity as it is now.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).id
    }

    /// The stream of one of this node's lanes, and its version if that is known without asking.
    pub(super) fn stream(&self, lane: u32) -> (StreamId, Option<Version>) {
        let current = *self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.stream(lane)
    }

    /// Takes a new identity, unless that was done since the lane got its stream. The lane's new
    /// stream, and its version if that is known without asking.
    pub(super) fn renew(&self, lane: u32, old: &StreamId) -> (StreamId, Option<Version>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.stream(lane).0 == *old {
            // Without the file the old one is taken again at the next start, and left again if
            // there is still a reason.
            *current = make(&self.path).unwrap_or_else(|error| {
                tracing::warn!(%error, "the new node id can't be kept");
                Current { id: Uuid::new_v4(), is_new: true }
            });
        }
        current.stream(lane)
    }
}

fn make(path: &Path) -> io::Result<Current> {
    let id = Uuid::new_v4();
    replace_file(path, id.to_string().as_bytes())?;
    Ok(Current { id, is_new: true })
}

impl Current {
    fn stream(self, lane: u32) -> (StreamId, Option<Version>) {
        let stream = StreamId::new(Topic::Clicks, format!("{}/{lane}", self.id));
        (stream, self.is_new.then_some(Version::NONE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays_until_it_is_renewed_and_is_renewed_once_for_all_lanes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node-id");
        let node = NodeId::open(&path).unwrap();
        assert_eq!(node.stream(0).1, Some(Version::NONE), "nobody can have written yet");
        let old = [node.stream(0).0, node.stream(1).0];
        assert_ne!(old[0], old[1]);
        assert_eq!(NodeId::open(&path).unwrap().stream(1), (old[1].clone(), None));
        let new = [node.renew(0, &old[0]).0, node.renew(1, &old[1]).0];
        assert_ne!(new[0], old[0]);
        assert_eq!(new, [node.stream(0).0, node.stream(1).0]);
        assert_eq!(NodeId::open(&path).unwrap().stream(1).0, new[1]);
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node-id");
        fs::write(&path, "me").unwrap();
        assert_eq!(NodeId::open(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
