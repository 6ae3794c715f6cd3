//! A durable queue for appends that a log can't take now: one SQLite file.
//!
//! ```text
//! lane 0   #7 v41 ► #9 v42 ► #12 v43        each batch knows its stream, the version it expects
//! lane 1   #8 v90 ► #10 v91                 and its command: the log can tell whether it has it
//! ```
//!
//! It is no [`EmbeddedLog`](crate::log::embedded): what was delivered is removed, one batch after
//! the other, so that pages are used again and the size of the file has a bound.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use crate::envelope::{CommandId, NewEvent};
use crate::log::{Append, ExpectedVersion};
use crate::position::{StreamId, Version};

mod file;
mod row;
#[cfg(test)]
mod tests;

/// The smallest bound a spool file may be given: some appends of the largest size.
pub const SPOOL_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// Batches of one writer, oldest first.
pub type Lane = u32;

/// One append that waits for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledBatch {
    /// Whose batch it is; the order inside a lane is kept.
    pub lane: Lane,
    /// The stream that is to get it.
    pub stream: StreamId,
    /// The version the stream is at before it.
    pub version: Version,
    /// The command that caused it: the same at every attempt.
    pub command_id: CommandId,
    /// The one event.
    pub event: NewEvent,
    /// How many clicks are in it.
    pub clicks: u32,
    /// Since when it waits.
    pub since: DateTime<Utc>,
}

impl SpooledBatch {
    /// The append at the version it expects.
    #[must_use]
    pub fn append(&self) -> Append {
        Append {
            stream: self.stream.clone(),
            expected: ExpectedVersion::Exact(self.version),
            command_id: self.command_id,
            events: vec![self.event.clone()],
        }
    }
}

/// The place of a batch in the file; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(i64);

/// What waits in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Which lane.
    pub lane: Lane,
    /// How many batches.
    pub batches: u64,
    /// How many clicks are in them.
    pub clicks: u64,
    /// Since when the first of them waits.
    pub since: DateTime<Utc>,
    /// The stream of the last batch.
    pub stream: StreamId,
    /// The version of that stream after the last batch.
    pub next: Version,
}

/// Why the spool did not do it.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Make room, or look at the file and the disk. Nothing was acknowledged.
    #[error("the spool file fails: {0}")]
    File(#[from] sqlx::Error),
    /// Use the version of hoplog that wrote it, or a later one.
    #[error("the spool file has schema version {found}; this program knows up to {known}")]
    Newer {
        /// The version in the file.
        found: i64,
        /// The version of this program.
        known: i64,
    },
}

/// The file. What is put is on the disk when the call returns.
#[derive(Debug)]
pub struct SpoolFile {
    path: PathBuf,
    bytes_max: u64,
    /// `None` after a failure: what state the connection was in is not known then.
    connection: Mutex<Option<SqliteConnection>>,
}

impl SpoolFile {
    /// Opens the file, or makes a new one that never holds more than `bytes_max`.
    ///
    /// # Errors
    /// When the file can't be opened, or was written by a newer version.
    pub async fn open(path: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        let mut connection = file::options(path, bytes_max).connect().await?;
        file::prepare(&mut connection).await?;
        Ok(Self { path: path.to_owned(), bytes_max, connection: Mutex::new(Some(connection)) })
    }

    /// What waits, lane by lane.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, SpoolError> {
        self.with(async |connection| row::backlogs(connection).await).await
    }

    /// Puts a batch behind those of its lane.
    ///
    /// # Errors
    /// When the disk or the file is full, or fails.
    pub async fn put(&self, batch: &SpooledBatch) -> Result<(), SpoolError> {
        let put = self.with(async |connection| row::insert(connection, batch).await).await;
        if put.is_err() {
            // A commit that failed may be on the disk all the same; it was not acknowledged.
            let _ = self.with(async |c| row::withdraw(c, batch.command_id).await).await;
        }
        put
    }

    /// The first batch of a lane.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn first(&self, lane: Lane) -> Result<Option<(Ticket, SpooledBatch)>, SpoolError> {
        self.with(async |connection| row::first(connection, lane).await).await
    }

    /// Forgets a batch that is on the log.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn remove(&self, ticket: Ticket) -> Result<(), SpoolError> {
        self.with(async |connection| row::remove(connection, ticket).await).await
    }

    /// Gives unused pages back to the disk.
    ///
    /// # Errors
    /// When the file can't be written; nothing is lost.
    pub async fn shrink(&self) -> Result<(), SpoolError> {
        self.with(async |connection| file::shrink(connection).await).await
    }

    /// Closes the file. Dropping it without loses nothing.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the spool file was not closed cleanly; nothing is lost");
        }
    }

    /// Gives the connection to a task and takes it back if all went well: one that was dropped
    /// half-way or failed is made anew.
    async fn with<T>(
        &self,
        task: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, SpoolError> {
        let mut place = self.connection.lock().await;
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => {
                file::options(&self.path, self.bytes_max).create_if_missing(false).connect().await?
            }
        };
        let done = task(&mut connection).await?;
        *place = Some(connection);
        Ok(done)
    }
}
