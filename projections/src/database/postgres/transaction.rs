//! A transaction on one of the projectors' connections.

use futures::TryStreamExt;
use sqlx::PgPool;

use super::super::text_index::for_postgres;
use super::super::{DatabaseError, Row, Rows, Value};
use super::connection::{Held, batch, query, render, within};
use super::options::PROJECTION_TIMEOUT;
use super::{COMPARISON_TIMEOUT, PROJECTORS_ACQUIRE_TIMEOUT, ROUND_TRIP_MAX};

/// How long to wait for the answer of one statement.
const LIMIT: std::time::Duration = PROJECTION_TIMEOUT.saturating_add(ROUND_TRIP_MAX);

/// A transaction. Dropped without `commit`, it changed nothing, and its connection is closed.
///
/// The isolation is "read committed": whoever waited for the row of a checkpoint finds it moved
/// and changes nothing.
#[derive(Debug)]
pub(crate) struct Transaction(pub(super) Held);

impl Transaction {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, DatabaseError> {
        within(PROJECTORS_ACQUIRE_TIMEOUT + ROUND_TRIP_MAX, async {
            let mut held = Held::acquire(pool).await?;
            held.run("begin").await?;
            Ok(Self(held))
        })
        .await
    }

    pub(in crate::database) async fn execute(
        &mut self,
        sql: String,
        values: &[Value],
    ) -> Result<u64, DatabaseError> {
        let connection = self.0.connection()?;
        let done = within(LIMIT, async { Ok(query(&sql, values).execute(connection).await?) });
        Ok(done.await?.rows_affected())
    }

    pub(in crate::database) async fn write(
        &mut self,
        sql: &str,
        rows: Rows,
    ) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        let connection = self.0.connection()?;
        within(LIMIT, async { Ok(batch(sql, &rows).execute(connection).await?) }).await?;
        Ok(())
    }

    pub(in crate::database) async fn read<F>(
        &mut self,
        sql: &str,
        rows: Rows,
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        if rows.is_empty() {
            return Ok(());
        }
        let connection = self.0.connection()?;
        within(LIMIT, async {
            let mut answer = batch(sql, &rows).fetch(connection);
            while let Some(row) = answer.try_next().await? {
                each(&Row::Postgres(row))?;
            }
            Ok(())
        })
        .await
    }

    pub(in crate::database) async fn define(&mut self, sql: &str) -> Result<(), DatabaseError> {
        within(LIMIT, self.0.run(&for_postgres(&render(sql)))).await
    }

    /// The time-out is this transaction's alone.
    pub(in crate::database) async fn define_at_length(
        &mut self,
        sql: &str,
    ) -> Result<(), DatabaseError> {
        // The server notices within seconds when nobody waits for it any more.
        let settings = "set local statement_timeout = 0; \
                        set local client_connection_check_interval = '5s'";
        within(LIMIT, self.0.run(settings)).await?;
        within(COMPARISON_TIMEOUT, self.0.run(&for_postgres(&render(sql)))).await
    }

    pub(in crate::database) async fn commit(mut self) -> Result<(), DatabaseError> {
        within(LIMIT, self.0.run("commit")).await?;
        self.0.release();
        Ok(())
    }
}
