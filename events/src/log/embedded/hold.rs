//! The writer's hold on the file: its connection, made anew after a failure, and the size of the
//! write-ahead log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::OpenOptions;
use super::files::{self, OpenError, WAL_BYTES_MAX};
use crate::position::{LogId, Sequence};

/// How long the writer waits for readers that keep the write-ahead log from beginning anew.
const READERS_TIMEOUT: Duration = Duration::from_millis(100);

/// The file, held open for writing.
#[derive(Debug)]
pub(super) struct Hold {
    path: PathBuf,
    wal: PathBuf,
    options: OpenOptions,
    /// `None` after a failure: what state the connection was in is not known then.
    connection: Option<SqliteConnection>,
    /// The bound of the write-ahead log.
    wal_bytes_max: u64,
    /// The size of the write-ahead log from which on it is made to begin anew.
    wal_bytes_next: u64,
}

impl Hold {
    /// Opens the file, or makes a new one with tables and an identity.
    pub(super) async fn open(
        path: &Path,
        options: OpenOptions,
    ) -> Result<(Self, LogId, [Sequence; 3]), OpenError> {
        let mut connection = files::for_writing(path, options, true).connect().await?;
        let id = files::prepare(&mut connection).await?;
        let heads = files::heads(&mut connection).await?;
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let mut hold = Self {
            path: path.to_owned(),
            wal: wal.into(),
            options,
            connection: Some(connection),
            wal_bytes_max: WAL_BYTES_MAX,
            wal_bytes_next: WAL_BYTES_MAX,
        };
        // Who was killed while it rewrote may have left old bodies there. A full disk is told by
        // the first append.
        if let Err(error) = hold.empty_wal().await {
            tracing::warn!(%error, "the write-ahead log could not be emptied");
        }
        Ok((hold, id, heads))
    }

    /// The connection, to be given back if all went well; `None` after a failure.
    pub(super) fn take(&mut self) -> Option<SqliteConnection> {
        self.connection.take()
    }

    /// Gives the connection back.
    pub(super) fn keep(&mut self, connection: SqliteConnection) {
        self.connection = Some(connection);
    }

    /// A new connection, and where the topics end: a commit that failed may still be on the disk.
    pub(super) async fn again(
        &self,
        log: LogId,
    ) -> Result<(SqliteConnection, [Sequence; 3]), OpenError> {
        let mut connection = files::for_writing(&self.path, self.options, false).connect().await?;
        if files::identity(&mut connection).await? != log {
            return Err(OpenError::Identity);
        }
        let heads = files::heads(&mut connection).await?;
        Ok((connection, heads))
    }

    /// Makes the write-ahead log begin anew if it has grown past its bound. A reader that is in
    /// the way for too long (a copy of the file is being made) makes it wait for as much again.
    pub(super) async fn bound_wal(&mut self) -> Result<(), sqlx::Error> {
        let bytes = std::fs::metadata(&self.wal).map_or(0, |wal| wal.len());
        if bytes <= self.wal_bytes_next {
            return Ok(());
        }
        if !self.empty_wal().await? {
            self.wal_bytes_next = bytes + self.wal_bytes_max;
        }
        Ok(())
    }

    /// Moves all that is in the write-ahead log to the file and makes it empty; `false`: a reader is
    /// in the way.
    pub(super) async fn empty_wal(&mut self) -> Result<bool, sqlx::Error> {
        let Some(connection) = &mut self.connection else { return Ok(false) };
        busy_timeout(connection, READERS_TIMEOUT).await?;
        let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await?;
        busy_timeout(connection, files::BUSY_TIMEOUT).await?;
        if busy == 0 {
            self.wal_bytes_next = self.wal_bytes_max;
        }
        Ok(busy == 0)
    }

    /// Closes the file.
    pub(super) async fn close(self) {
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the log file was not closed cleanly; nothing is lost");
        }
    }
}

async fn busy_timeout(
    connection: &mut SqliteConnection,
    timeout: Duration,
) -> Result<(), sqlx::Error> {
    let sql = format!("PRAGMA busy_timeout = {}", timeout.as_millis());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests;
