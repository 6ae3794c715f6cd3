//! What was erased leaves the file as well.
//!
//! SQLite writes over the row, and no more: what was moved between pages leaves a copy in the gap
//! of the page it came from (also with `secure_delete`, which clears what is deleted and not what
//! is moved), dropped tables stay in free pages, and the write-ahead log keeps pages as they were.
//! So the file is written anew, page by page, which leaves nothing behind and costs other writes
//! nothing; and the write-ahead log is emptied.
//!
//! ```text
//! noted ──► file written anew ──► noted as "wal" ──► write-ahead log emptied ──► nothing noted
//! ```
//!
//! A file of gigabytes takes minutes, and who erases decides how often. So erasures that come while it
//! is written share the next time, and that comes only when writing has taken a tenth of the time at most.

use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Executor, Row as _, Sqlite};
use uuid::Uuid;

use super::{Purpose, SqliteDatabase, Transaction};
use crate::database::DatabaseError;

const MARK: &str = "insert into unscrubbed (mark) values ($1)";

/// How a note begins of what is left in the write-ahead log only.
const WAL: &str = "wal";

/// After it was written the file is left alone for so many times as long as that took, ...
const REST: u32 = 9;

/// ... but not for longer than this.
const REST_MAX: Duration = Duration::from_hours(1);

/// How long it is left alone after a failure, twice as long after each further one.
const FAILURE_REST: Duration = Duration::from_mins(1);

/// How long who asks waits for its time; else he is told when it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long readers of what was there before are waited for, with the writers waiting, and when they
/// are waited for again.
const READERS_PATIENCE: Duration = Duration::from_secs(1);
const READERS_REST: Duration = Duration::from_secs(30);

/// When the file may be written anew next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    not_before: Option<Instant>,
    failures: u32,
}

impl Pace {
    fn left(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    fn note(&mut self, took: Duration, is_done: bool) {
        self.failures = if is_done { 0 } else { self.failures + 1 };
        let after_failures = match self.failures {
            0 => Duration::ZERO,
            failures => FAILURE_REST.saturating_mul(1 << (failures - 1).min(16)),
        };
        let rest = (took * REST).max(after_failures).min(REST_MAX);
        self.not_before = Some(Instant::now() + rest);
    }
}

impl Transaction {
    /// Notes that something is erased which the file still has. Each note is one of its own: one
    /// that comes while the file is written anew outlives that.
    pub(in crate::database) async fn mark_unscrubbed(
        &mut self,
        mark: &str,
    ) -> Result<(), DatabaseError> {
        let mark = format!("{mark} {}", Uuid::new_v4());
        self.execute(MARK.to_owned(), &[mark.into()]).await.map(drop)
    }

    async fn unmark(&mut self, marks: Vec<String>) -> Result<(), DatabaseError> {
        for mark in marks {
            let sql = "delete from unscrubbed where mark = $1".to_owned();
            self.execute(sql, &[mark.into()]).await?;
        }
        Ok(())
    }
}

impl SqliteDatabase {
    /// Writes the file anew, if something was erased since that was done last. Writers wait
    /// meanwhile, readers do not. What is not done gives how long it is until it is to be tried
    /// again: the file is written, or was just now, or somebody reads what was there before. What failed
    /// fails until it is tried again: nobody knows when it is done.
    pub(in crate::database) async fn scrub(&self) -> Result<Option<Duration>, DatabaseError> {
        // Whoever comes while another one is at it waits, and mostly finds it done.
        let Ok(mut pace) = tokio::time::timeout(PATIENCE, self.pace.lock()).await else {
            return Ok(Some(PATIENCE));
        };
        if self.marks(false).await?.is_empty() {
            return self.empty_wal().await;
        }
        let left = pace.left();
        if left > PATIENCE {
            return if pace.failures == 0 { Ok(Some(left)) } else { Err(failed(left)) };
        }
        tokio::time::sleep(left).await;
        let begun = Instant::now();
        let written = self.write_anew().await;
        pace.note(begun.elapsed(), written.is_ok());
        written?;
        self.empty_wal().await
    }

    /// What is noted: of the write-ahead log, or else of the file.
    async fn marks(&self, of_wal: bool) -> Result<Vec<String>, DatabaseError> {
        let mut marks = Vec::new();
        let sql = "select mark from unscrubbed".to_owned();
        self.for_each(Purpose::Projection, sql, &[], |row| {
            let mark = row.text(0)?;
            if mark.starts_with(WAL) == of_wal {
                marks.push(mark.to_owned());
            }
            Ok(())
        })
        .await?;
        Ok(marks)
    }

    async fn write_anew(&self) -> Result<(), DatabaseError> {
        let marks = self.marks(false).await?;
        let mut connection = self.writer_for_once().await?;
        // The copy may be larger than memory. It holds nothing that was erased.
        connection.execute("pragma temp_store = file").await?;
        connection.execute("vacuum").await?;
        drop(connection);
        let mut transaction = self.begin().await?;
        transaction.unmark(marks).await?;
        transaction.mark_unscrubbed(WAL).await?;
        transaction.commit().await
    }

    /// Does not write the file again for a reader that holds this up.
    async fn empty_wal(&self) -> Result<Option<Duration>, DatabaseError> {
        let marks = self.marks(true).await?;
        if marks.is_empty() {
            return Ok(None);
        }
        let mut connection = self.writer_for_once().await?;
        // The mover would have it refused at once.
        let _turn = self.moving.lock().await;
        let patience = format!("pragma busy_timeout = {}", READERS_PATIENCE.as_millis());
        connection.execute(sqlx::AssertSqlSafe(patience)).await?;
        let emptied = connection.fetch_one("pragma wal_checkpoint(truncate)").await?;
        drop(connection);
        if emptied.try_get::<i64, _>(0)? != 0 {
            return Ok(Some(READERS_REST));
        }
        let mut transaction = self.begin().await?;
        transaction.unmark(marks).await?;
        transaction.commit().await?;
        Ok(None)
    }

    /// The connection that writes; it is closed afterwards, however that ends: the next one has the
    /// settings of all.
    async fn writer_for_once(&self) -> Result<PoolConnection<Sqlite>, DatabaseError> {
        let mut connection = self.writer.acquire().await?;
        connection.close_on_drop();
        Ok(connection)
    }
}

fn failed(left: Duration) -> DatabaseError {
    let left = left.as_secs();
    let reason = format!("its file could not be written anew; tried again in {left} seconds");
    DatabaseError::Unavailable(sqlx::Error::Io(std::io::Error::other(reason)))
}

#[cfg(test)]
mod tests;
