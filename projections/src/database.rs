//! The database of the read models, and the only place where dialects differ.
//!
//! Statements are one text for every database: `$1` parameters, `on conflict`, BIGINT
//! microseconds for times. What the dialect writes:
//!
//! | word | stands for |
//! |---|---|
//! | `{rows}` | where a statement reads a batch of rows from, see [`Rows`] |
//! | `{now}` | the database's clock |
//! | `{text}` | the type of a text that is compared byte by byte |
//! | `{bytes}` | the type of a byte string |
//! | `{clustered}` | a table kept in the order of its primary key, where there is such a thing |
//! | `{numbered}` | a primary key of whole numbers, in whose order rows are kept where there is such an order |
//! | `{packed: int n, text t, bytes b}` | the columns of an answer of very many rows, see `packed.rs` |
//! | `{filled}` | how full the pages of such a table are |
//! | `{numbers in $1}` | a table of the numbers in a text, which commas separate: its column is `number` |
//! | `{texts of table: number, columns}`, `{index of texts of table: columns}` | what finds its rows by any part of their texts: beside the tables, or beside the indexes |
//! | `{by_month}`, `{, month}` | the same, or a table in parts by the month of its column `at`, and what its primary key needs for that |

mod packed;
mod postgres;
mod row;
mod rows;
mod snapshot;
mod sqlite;
mod text_index;
mod texts;
mod transaction;

use std::path::Path;
use std::time::Duration;

pub use postgres::PostgresOptions;
use postgres::{Opening, PostgresDatabase};
pub(crate) use row::{Row, bad_row};
pub(crate) use rows::{Column, PART_ROWS, Rows};
pub(crate) use snapshot::Snapshot;
use sqlite::SqliteDatabase;
pub(crate) use text_index::Rarity;
pub(crate) use texts::{TextId, Texts};
pub(crate) use transaction::Transaction;

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Try again: the database is away or busy.
    #[error("the read models are unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A statement or a row is not what this version expects. Trying again is no use: rebuild.
    #[error("the read models can't be used: {0}")]
    Broken(#[source] sqlx::Error),
    /// The database does not take a row of this batch: park the event that it comes from.
    #[error("a row can't be kept: {0}")]
    Row(#[source] sqlx::Error),
    /// Ask for less: a shorter range, one link instead of all.
    #[error("the answer takes too long")]
    TooLong,
    /// Ask again a little later: others wait for long answers already.
    #[error("too many long answers are under way")]
    Busy,
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        if postgres::is_transient(&error) || sqlite::is_transient(&error) {
            Self::Unavailable(error)
        } else if postgres::is_about_a_row(&error) || sqlite::is_about_a_row(&error) {
            Self::Row(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// A parameter of a statement. The type is known even when there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// BIGINT.
    Int(Option<i64>),
    /// TEXT.
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<std::time::Duration> for Value {
    /// Microseconds, as [`i64`] has room for.
    fn from(duration: std::time::Duration) -> Self {
        i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).into()
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl From<String> for Value {
    /// NUL becomes what it became in the tables, see [`Rows`].
    fn from(value: String) -> Self {
        Self::Text(Some(if value.contains('\0') { without_nul(&value) } else { value }))
    }
}

/// The text as the tables hold it: PostgreSQL can't keep NUL in a text, so the replacement
/// character stands for it in every database, and their rows are the same.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What an answer is for: where it may come from, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// People wait for it. It may come from a replica.
    Answer,
    /// A redirect or a command waits for a few rows by their key, as they are now.
    Lookup,
    /// A projector needs it to go on.
    Projection,
}

/// A database that holds read models. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Database {
    /// One file, this process its only writer.
    Sqlite(SqliteDatabase),
    /// A server that several processes share.
    Postgres(PostgresDatabase),
}

/// A turn at defining tables: held while a process opens its read models, so that two that start
/// at once don't both make the first tables.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never read: dropping it ends the turn")]
pub(crate) enum DefinitionTurn {
    /// Among the tasks of this process.
    Sqlite(tokio::sync::OwnedMutexGuard<()>),
    /// Among all processes.
    Postgres(Opening),
}

impl Database {
    /// Opens the database in a file, which is made if there is none.
    ///
    /// # Errors
    /// When the file can't be opened or is not a database.
    pub async fn open_sqlite(path: &Path) -> Result<Self, DatabaseError> {
        SqliteDatabase::open(path).await.map(Self::Sqlite)
    }

    /// Opens a PostgreSQL database (14 or newer, encoding UTF8), and makes the schema that the
    /// options name if there is none.
    ///
    /// # Errors
    /// When the options can't be used, the server can't be reached, or its encoding is another.
    pub async fn open_postgres(options: PostgresOptions) -> Result<Self, DatabaseError> {
        PostgresDatabase::open(options).await.map(Self::Postgres)
    }

    /// Whether [`Purpose::Answer`] may be behind what this process has written.
    pub(crate) fn has_replica(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(database) => database.has_replica(),
        }
    }

    /// How many answers that read many rows may be under way at once, so that those that read few
    /// find a free connection.
    pub(crate) fn long_answers_max(&self) -> usize {
        match self {
            Self::Sqlite(_) => sqlite::LONG_ANSWERS_MAX,
            Self::Postgres(database) => database.long_answers_max(),
        }
    }

    /// Calls `each` with every row of the answer, one at a time; memory stays bounded however
    /// long the answer is.
    pub(crate) async fn for_each<F>(
        &self,
        purpose: Purpose,
        sql: String,
        values: &[Value],
        each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        match self {
            Self::Sqlite(database) => database.for_each(purpose, sql, values, each).await,
            // Large: not to be carried by those who ask SQLite.
            Self::Postgres(database) => {
                Box::pin(database.for_each(purpose, sql, values, each)).await
            }
        }
    }

    /// Whether `{packed: …}` makes one value of many rows: a statement is then to be cut into parts that have room in
    /// memory.
    pub(crate) fn packs(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// How long an answer may take, of however many statements it is made.
    pub(crate) fn answer_timeout(&self) -> Duration {
        match self {
            Self::Sqlite(database) => database.answer_timeout,
            Self::Postgres(database) => database.query_timeout,
        }
    }

    /// All rows of a short answer.
    pub(crate) async fn fetch<T: Send>(
        &self,
        purpose: Purpose,
        sql: String,
        values: &[Value],
        mut read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        let mut rows = Vec::new();
        self.for_each(purpose, sql, values, |row| {
            rows.push(read(row)?);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Begins a transaction. On SQLite it waits while another one is open. Dropping it changes
    /// nothing.
    pub(crate) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.begin().await.map(Transaction::Sqlite),
            Self::Postgres(database) => database.begin().await.map(Transaction::Postgres),
        }
    }

    /// The same for what has to outlive the machine's loss of power: see
    /// [`begin_durable`](SqliteDatabase::begin_durable). A server keeps what it has committed.
    pub(crate) async fn begin_durable(&self) -> Result<Transaction, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.begin_durable().await.map(Transaction::Sqlite),
            Self::Postgres(database) => database.begin().await.map(Transaction::Postgres),
        }
    }

    /// A transaction of many that fill tables which nobody reads yet.
    pub(crate) async fn begin_bulk(&self) -> Result<Transaction, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.begin_bulk().await.map(Transaction::Sqlite),
            Self::Postgres(database) => database.begin().await.map(Transaction::Postgres),
        }
    }

    /// Settles what such transactions have left for later, while the next one is written. A server does
    /// that itself.
    pub(crate) async fn settle_bulk(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(database) => database.move_wal().await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Whether what a definition makes "if not exists" is there. To find that out by itself a server locks
    /// the table.
    pub(crate) async fn has_what_it_makes(&self, definition: &str) -> Result<bool, DatabaseError> {
        let Some((_, made)) = definition.split_once("if not exists ") else { return Ok(false) };
        let Self::Postgres(_) = self else { return Ok(false) };
        let name = made.split_whitespace().next().unwrap_or_default();
        let sql = "select (to_regclass($1) is not null)::int::bigint".to_owned();
        let found = self.fetch(Purpose::Projection, sql, &[name.into()], |row| row.int(0)).await?;
        Ok(found == [1])
    }

    /// Runs one statement in a transaction of its own; the number of rows it changed.
    pub(crate) async fn change(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let mut transaction = self.begin().await?;
        let changed = transaction.execute(sql.to_owned(), values).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// Several statements on one state of the database.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.snapshot().await.map(Snapshot::Sqlite),
            Self::Postgres(database) => database.snapshot().await.map(Snapshot::Postgres),
        }
    }

    /// Waits for this process's turn at defining tables.
    pub(crate) async fn definition_turn(&self) -> Result<DefinitionTurn, DatabaseError> {
        match self {
            Self::Sqlite(database) => Ok(DefinitionTurn::Sqlite(database.definition_turn().await)),
            Self::Postgres(database) => {
                database.definition_turn().await.map(DefinitionTurn::Postgres)
            }
        }
    }

    /// Takes what was erased out of the file as well, if there is such a thing. A server does that
    /// itself, in its own time. What is left to be done gives how long it is until it is to be
    /// tried again.
    ///
    /// # Errors
    /// When the file can't be written just now.
    pub(crate) async fn scrub(&self) -> Result<Option<Duration>, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.scrub().await,
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Closes every connection, after what they are doing.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(database) => database.close().await,
        }
    }
}
