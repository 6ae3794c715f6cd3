//! What both erasures do to the log.

use hoplog_events::catalogue::DecodeError;
use hoplog_events::log::{AppendError, EventLog, ReadError, Rewrite, RewriteError};

use super::Commands;
use crate::execute::ExecuteError;

/// How much is rewritten at once, in bytes of events.
const REWRITE_BYTES: usize = 4 * 1024 * 1024;

/// And how many events.
const REWRITE_EVENTS: usize = 256;

/// Why something was not erased, or not all of it. Asking again finishes it.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Move the log to a backend that can.
    #[error("{}", RewriteError::Unsupported)]
    Unsupported,
    /// Try again later.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// An event can't be read, so nobody knows what is in it; an operator has to look at it.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// See [`ExecuteError`].
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl From<ReadError> for EraseError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<AppendError> for EraseError {
    fn from(error: AppendError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<RewriteError> for EraseError {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Unsupported => Self::Unsupported,
            // Read anew, it may be there.
            RewriteError::Missing | RewriteError::Unavailable(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl Commands {
    /// Whether there is a way to erase at all on this log.
    ///
    /// # Errors
    /// When there is none.
    pub fn can_erase(&self) -> Result<(), EraseError> {
        if self.log.can_rewrite() { Ok(()) } else { Err(EraseError::Unsupported) }
    }
}

/// Events to be rewritten, some at a time.
#[derive(Debug, Default)]
pub(super) struct Rewrites {
    waiting: Vec<Rewrite>,
    bytes: usize,
    /// How many were rewritten.
    pub(super) done: usize,
}

impl Rewrites {
    pub(super) async fn push(
        &mut self,
        log: &dyn EventLog,
        rewrite: Rewrite,
    ) -> Result<(), EraseError> {
        self.bytes += rewrite.body.len();
        self.waiting.push(rewrite);
        if self.bytes >= REWRITE_BYTES || self.waiting.len() >= REWRITE_EVENTS {
            self.flush(log).await?;
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self, log: &dyn EventLog) -> Result<(), EraseError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        let count = waiting.len();
        log.rewrite(waiting).await?;
        self.done += count;
        Ok(())
    }
}
