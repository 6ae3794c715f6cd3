//! A transaction that reads: in WAL mode it sees what was there at its first statement, and the
//! writer goes on.

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

use super::super::{DatabaseError, Row, Value};
use super::{SqliteDatabase, query, read, render};

/// A state of the file.
#[derive(Debug)]
pub(crate) struct Snapshot(PoolConnection<Sqlite>);

impl Drop for Snapshot {
    /// Its transaction ends with the connection.
    fn drop(&mut self) {
        self.0.close_on_drop();
    }
}

impl SqliteDatabase {
    pub(in crate::database) async fn snapshot(&self) -> Result<Snapshot, DatabaseError> {
        let mut snapshot = Snapshot(self.workers.acquire().await?);
        sqlx::raw_sql("begin").execute(&mut *snapshot.0).await?;
        Ok(snapshot)
    }
}

impl Snapshot {
    pub(in crate::database) async fn for_each<F>(
        &mut self,
        sql: String,
        values: &[Value],
        each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        read(query(render(&sql), values), &mut *self.0, each).await
    }
}
