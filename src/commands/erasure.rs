//! What both erasures do to the log.

use std::time::Duration;

use bytes::Bytes;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{AppendError, EventLog, ReadError, Rewrite, RewriteError};
use tokio::time::sleep;
use uuid::Uuid;

use super::Commands;
use crate::execute::ExecuteError;

/// How much is rewritten at once, in bytes of events.
const REWRITE_BYTES: usize = 4 * 1024 * 1024;

/// And how many events.
const REWRITE_EVENTS: usize = 256;

/// How often in a row others may have rewritten the same before somebody is told to ask again.
const ATTEMPTS_MAX: u32 = 16;

/// The longest pause before it is done again.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Why something was not erased, or not all of it. Asking again finishes it.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Move the log to a backend that can.
    #[error("{}", RewriteError::Unsupported)]
    Unsupported,
    /// Try again later.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// Read again and make it of what is there now.
    #[error("{}", RewriteError::Changed)]
    Changed,
    /// The read models are of another log, or of what this one was before it was put back: rebuild
    /// them, then ask again.
    #[error(
        "the log has another event where the read models have a click of the visitor: rebuild them \
         (hoplog projection rebuild clicks), then ask again"
    )]
    Moved,
    /// An event can't be read, so nobody knows what is in it; an operator has to look at it.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// See [`ExecuteError`].
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl EraseError {
    /// Whether it is certain that nothing was appended. What is not may have landed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unavailable(_) | Self::Execute(ExecuteError::Unavailable(_)))
    }
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
            RewriteError::Changed => Self::Changed,
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

/// What puts a body in the place of the one of an event that was read.
pub(super) fn rewrite_of(event: RecordedEvent, body: Bytes) -> Rewrite {
    let RecordedEvent { position, command_id, body: read, .. } = event;
    Rewrite { topic: position.topic, sequence: position.sequence, command_id, read, body }
}

/// How often something is done once more because others have rewritten the same events.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    without_progress: u32,
    done: usize,
}

impl Attempts {
    /// Whether it may be done again, after a moment in which others get on.
    pub(super) async fn again(
        &mut self,
        error: EraseError,
        rewrites: &mut Rewrites,
    ) -> Result<(), EraseError> {
        if !matches!(error, EraseError::Changed) {
            return Err(error);
        }
        let stands_still = rewrites.done == self.done;
        self.without_progress = if stands_still { self.without_progress + 1 } else { 0 };
        self.done = rewrites.done;
        rewrites.forget_waiting();
        if self.without_progress >= ATTEMPTS_MAX {
            return Err(EraseError::Unavailable(RewriteError::Changed.to_string()));
        }
        let (random, _) = Uuid::new_v4().as_u64_pair();
        sleep(PAUSE_MAX * u32::try_from(random % 256).unwrap_or_default() / 256).await;
        Ok(())
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

    /// What waits was made of what is there no more.
    fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
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
