//! A transaction on the one connection that writes.

use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Sqlite};

use super::super::rows::{CellRef, ROWS_PER_APPEND, ROWS_PER_STATEMENT};
use super::super::{DatabaseError, Row, Rows, Value, text_index};
use super::{
    BULK_CACHE_KIB, BULK_WAL_PAGES, SqliteDatabase, WAL_PAGES, WRITER_CACHE_KIB, batch, query,
    render, settings,
};

impl SqliteDatabase {
    pub(in crate::database) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        self.begin_as(Kind::Usual).await
    }

    /// A transaction whose end is synced to the disk, with all that were before it.
    pub(in crate::database) async fn begin_durable(&self) -> Result<Transaction, DatabaseError> {
        self.begin_as(Kind::Durable).await
    }

    /// A transaction of many that fill tables which nobody reads yet; see [`Self::move_wal`].
    pub(in crate::database) async fn begin_bulk(&self) -> Result<Transaction, DatabaseError> {
        self.begin_as(Kind::Bulk).await
    }

    async fn begin_as(&self, kind: Kind) -> Result<Transaction, DatabaseError> {
        let connection = Some(self.writer.acquire().await?);
        let mut transaction = Transaction { connection, kind };
        transaction.set(|settings| settings.during).await?;
        transaction.run("begin immediate").await?;
        Ok(transaction)
    }
}

/// What the connection is set to for one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usual,
    Durable,
    Bulk,
}

struct Settings {
    during: String,
    after: String,
}

impl Kind {
    /// What differs from the usual; `None`: nothing.
    fn settings(self) -> Option<Settings> {
        let set = |pages: u32, kib: u32| -> String {
            settings(pages, kib).map(|(name, value)| format!("pragma {name} = {value};")).concat()
        };
        match self {
            Self::Usual => None,
            Self::Durable => Some(Settings {
                during: "pragma synchronous = full".to_owned(),
                after: "pragma synchronous = normal".to_owned(),
            }),
            Self::Bulk => Some(Settings {
                during: set(BULK_WAL_PAGES, BULK_CACHE_KIB),
                after: set(WAL_PAGES, WRITER_CACHE_KIB),
            }),
        }
    }
}

/// A transaction on the one writer connection. Dropped without `commit`, it changed nothing, and
/// its connection is closed: SQLite ends a transaction that meets a full disk by itself, and what
/// state a connection is in after a failure is not worth finding out.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// It is there until the transaction is committed.
    connection: Option<PoolConnection<Sqlite>>,
    kind: Kind,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl Transaction {
    fn connection(&mut self) -> Result<&mut SqliteConnection, DatabaseError> {
        let connection = self.connection.as_deref_mut();
        connection.ok_or(DatabaseError::Unavailable(sqlx::Error::PoolClosed))
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), DatabaseError> {
        sqlx::raw_sql(sql).execute(self.connection()?).await?;
        Ok(())
    }

    async fn set(&mut self, which: fn(Settings) -> String) -> Result<(), DatabaseError> {
        if let Some(sql) = self.kind.settings().map(which) {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.connection()?).await?;
        }
        Ok(())
    }

    /// Runs a statement; the number of rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: String,
        values: &[Value],
    ) -> Result<u64, DatabaseError> {
        let done = query(render(&sql), values).execute(self.connection()?).await?;
        Ok(done.rows_affected())
    }

    /// Runs a statement with a batch of rows in the place of `{rows}`, as often as the batch is
    /// cut; none: does nothing.
    pub(crate) async fn write(&mut self, sql: &str, rows: &Rows) -> Result<(), DatabaseError> {
        self.write_cut(sql, rows.sqlite_statements(&ROWS_PER_STATEMENT)).await
    }

    /// Adds new rows to a table. In few statements: where the processor is busy, each time the next one is
    /// asked for takes as long as a hundred rows. What goes wrong ends the transaction, so SQLite need not remember what
    /// a statement has changed.
    pub(in crate::database) async fn append(
        &mut self,
        table: &str,
        mut parts: impl Iterator<Item = Rows>,
    ) -> Result<(), DatabaseError> {
        let sql = format!("insert or rollback into {table} select * from {{rows}}");
        let mut next = parts.next();
        while let Some(rows) = next {
            let write = self.write_cut(&sql, rows.sqlite_statements(&ROWS_PER_APPEND));
            let (done, following) = tokio::join!(write, async { parts.next() });
            done?;
            next = following;
        }
        Ok(())
    }

    async fn write_cut<'c, Cells: Iterator<Item = CellRef<'c>>>(
        &mut self,
        sql: &str,
        statements: impl Iterator<Item = (String, Cells)>,
    ) -> Result<(), DatabaseError> {
        let sql = render(sql);
        let mut statements =
            statements.map(|(source, cells)| batch(sql.replace("{rows}", &source), cells));
        let mut next = statements.next();
        while let Some(statement) = next {
            // The values of the next one are collected while SQLite's thread is at work.
            let (done, following) =
                tokio::join!(statement.execute(self.connection()?), async { statements.next() });
            done?;
            next = following;
        }
        Ok(())
    }

    /// Reads what matches a batch of rows in the place of `{rows}`.
    pub(crate) async fn read<F>(
        &mut self,
        sql: &str,
        rows: &Rows,
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let sql = render(sql);
        for (source, cells) in rows.sqlite_statements(&ROWS_PER_STATEMENT) {
            let statement = batch(sql.replace("{rows}", &source), cells);
            let mut answer = statement.fetch(self.connection()?);
            while let Some(row) = answer.try_next().await? {
                each(&Row::Sqlite(row))?;
            }
        }
        Ok(())
    }

    /// Runs several statements without parameters: the definition of tables.
    pub(crate) async fn define(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let sql = text_index::for_sqlite(&render(sql));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.connection()?).await?;
        Ok(())
    }

    /// Makes everything done so far last.
    pub(crate) async fn commit(mut self) -> Result<(), DatabaseError> {
        self.run("commit").await?;
        self.set(|settings| settings.after).await?;
        // Back to the pool.
        self.connection = None;
        Ok(())
    }
}
