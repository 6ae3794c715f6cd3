//! What a log is asked to rewrite, and why it did not.

use std::collections::HashSet;

use bytes::Bytes;

use super::APPEND_BYTES_MAX;
use crate::envelope::CommandId;
use crate::position::{Sequence, Topic};

/// The same event without the personal data in it: what [`EventLog::rewrite`](super::EventLog::rewrite) puts in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The event's topic.
    pub topic: Topic,
    /// Its place there.
    pub sequence: Sequence,
    /// Its command: whose event has to be there.
    pub command_id: CommandId,
    /// The body that was read, of which the new one was made.
    pub read: Bytes,
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
    /// Read again and make the new body of what is there now: somebody else has rewritten the event
    /// meanwhile, and what he took out would be back.
    #[error("an event was rewritten by somebody else since it was read")]
    Changed,
    /// Try again later; or, if it says so, otherwise.
    #[error("the log can't be rewritten: {0}")]
    Unavailable(String),
}

/// A body has to be one that could have been appended, and each event is there once: a second body
/// for it was not made of the first.
pub(super) fn check(rewrites: &[Rewrite]) -> Result<(), RewriteError> {
    if rewrites.iter().any(|rewrite| rewrite.body.len() > APPEND_BYTES_MAX) {
        let reason = format!("a body may have {APPEND_BYTES_MAX} bytes at most");
        return Err(RewriteError::Unavailable(reason));
    }
    let mut seen = HashSet::new();
    if rewrites.iter().all(|rewrite| seen.insert((rewrite.topic, rewrite.sequence))) {
        return Ok(());
    }
    Err(RewriteError::Unavailable("an event is to be rewritten twice at once".to_owned()))
}
