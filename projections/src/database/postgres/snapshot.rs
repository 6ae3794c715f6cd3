//! A transaction that reads, with the isolation "repeatable read".

use futures::TryStreamExt;

use super::super::{DatabaseError, Row, Value};
use super::connection::{Held, query, within};
use super::{COMPARISON_TIMEOUT, PROJECTORS_ACQUIRE_TIMEOUT, PostgresDatabase, ROUND_TRIP_MAX};

/// The server notices within seconds when nobody waits for the answer any more.
const BEGIN: &str = "set statement_timeout = 0; set client_connection_check_interval = '5s'; \
    begin isolation level repeatable read, read only";

/// A state of the database. Its connection has no time-out and is used for nothing else: it is
/// closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Snapshot(Held);

impl PostgresDatabase {
    pub(in crate::database) async fn snapshot(&self) -> Result<Snapshot, DatabaseError> {
        within(PROJECTORS_ACQUIRE_TIMEOUT + ROUND_TRIP_MAX, async {
            let mut held = Held::acquire(&self.projectors).await?;
            held.run(BEGIN).await?;
            Ok(Snapshot(held))
        })
        .await
    }
}

impl Snapshot {
    pub(in crate::database) async fn for_each<F>(
        &mut self,
        sql: &str,
        values: &[Value],
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let connection = self.0.connection()?;
        within(COMPARISON_TIMEOUT, async {
            let mut rows = query(sql, values).fetch(connection);
            while let Some(row) = rows.try_next().await? {
                each(&Row::Postgres(row))?;
            }
            Ok(())
        })
        .await
    }
}
