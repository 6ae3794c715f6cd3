//! What a log is asked to rewrite, and why it did not.

use bytes::Bytes;

use super::APPEND_BYTES_MAX;
use crate::envelope::CommandId;
use crate::position::{Sequence, Topic};

/// The same event without the personal data in it: what [`EventLog::rewrite`] puts in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The event's topic.
    pub topic: Topic,
    /// Its place there.
    pub sequence: Sequence,
    /// Its command: whose event has to be there.
    pub command_id: CommandId,
    /// The body it gets, of [`APPEND_BYTES_MAX`] at most.
    pub body: Bytes,
}

/// Why not everything was rewritten. Whether some of it was is unknown: the same may be asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// Move the events to a log that can.
    #[error(
        "this log can't change what is on it: the embedded log can, and JetStream where its streams \
         let messages be deleted"
    )]
    Unsupported,
    /// Read again: the event is no longer kept, or is another command's.
    #[error("an event that is to be rewritten is not on the log")]
    Missing,
    /// Try again later; or, if it says so, otherwise.
    #[error("the log can't be rewritten: {0}")]
    Unavailable(String),
}

/// A body has to be one that could have been appended.
pub(super) fn check_sizes(rewrites: &[Rewrite]) -> Result<(), RewriteError> {
    if rewrites.iter().all(|rewrite| rewrite.body.len() <= APPEND_BYTES_MAX) {
        return Ok(());
    }
    let reason = format!("a body may have {APPEND_BYTES_MAX} bytes at most");
    Err(RewriteError::Unavailable(reason))
}
