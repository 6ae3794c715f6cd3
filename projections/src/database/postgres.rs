//! PostgreSQL: projectors and queries have connections of their own, queries may go to a replica.
//!
//! ```text
//! projectors, operators ──► projectors' pool ──► primary
//! redirects, commands   ──► readers' pool    ──► primary
//! lists, statistics     ──► replica's pool   ──► replica, or the primary if there is none
//! ```
//!
//! Every wait is bounded on this side as well: a server that was frozen keeps no time-out of its
//! own. A connection on which something failed is closed, never used again.

mod connection;
mod copy;
mod errors;
mod months;
mod options;
mod snapshot;
mod transaction;

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::TryStreamExt;
use sqlx::PgPool;
use sqlx::postgres::{PgConnection, PgPoolOptions};

use super::{DatabaseError, Purpose, Row, Value};
use connection::{Held, query, within};
use errors::is_cancelled;
pub(super) use errors::{is_about_a_row, is_transient};
pub use options::PostgresOptions;
use options::{PROJECTION_TIMEOUT, Use};
pub(crate) use snapshot::Snapshot;
pub(crate) use transaction::Transaction;

/// Connections for projectors: one for each batch that may be under way
/// ([`crate::runner::BATCHES_MAX`]), and two for each projection's leases, builds and commands.
const PROJECTORS_MAX: u32 = 18;

/// How long a projector waits for a connection before it backs off.
const PROJECTORS_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a redirect or a command waits; then it asks the log.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the comparison of two sets of tables may take.
const COMPARISON_TIMEOUT: Duration = Duration::from_hours(6);

/// A connection that was idle for longer is tested before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// What a projector's answer takes longer here than on the server, at most.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);

/// The same where people wait: the server tells that it took too long, unless it can't.
const ANSWER_ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// What every process that opens read models in a database takes first.
const DEFINITION_LOCK: &str = "set lock_timeout = '60s'; \
    select pg_advisory_lock(hashtextextended('hoplog: definition of read models', 0))";

/// One PostgreSQL database, and perhaps a replica of it.
#[derive(Debug, Clone)]
pub struct PostgresDatabase {
    projectors: PgPool,
    readers: PgPool,
    replica: Option<PgPool>,
    pub(super) query_timeout: Duration,
    long_answers_max: usize,
}

/// The lock of whoever opens its read models; the end of the connection frees it.
#[derive(Debug)]
pub(crate) struct Opening(PgConnection);

impl PostgresDatabase {
    pub(super) async fn open(options: PostgresOptions) -> Result<Self, DatabaseError> {
        let pool =
            PgPoolOptions::new().test_before_acquire(false).before_acquire(|connection, past| {
                Box::pin(async move {
                    if past.idle_for > TRUSTED_IDLE {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            });
        let projectors = pool.clone().max_connections(PROJECTORS_MAX);
        let projectors = projectors.acquire_timeout(PROJECTORS_ACQUIRE_TIMEOUT);
        let readers = pool.max_connections(options.query_connections_max);
        let readers = readers.acquire_timeout(options.query_timeout);
        let replica = options.replica()?;
        let database = Self {
            projectors: projectors.connect_lazy_with(options.primary(Use::Projecting)?),
            replica: replica.map(|replica| readers.clone().connect_lazy_with(replica)),
            readers: readers.connect_lazy_with(options.primary(Use::Querying)?),
            query_timeout: options.query_timeout,
            long_answers_max: (options.query_connections_max as usize / 2).max(1),
        };
        let Opening(mut connection) = database.definition_turn().await?;
        let abilities = within(PROJECTION_TIMEOUT, options.prepare(&mut connection)).await?;
        let plain = options.primary(Use::Projecting)?;
        database.projectors.set_connect_options(abilities.used(plain));
        Ok(database)
    }

    pub(super) fn has_replica(&self) -> bool {
        self.replica.is_some()
    }

    pub(super) fn long_answers_max(&self) -> usize {
        self.long_answers_max
    }

    pub(super) async fn for_each<F>(
        &self,
        purpose: Purpose,
        sql: String,
        values: &[Value],
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let (pool, limit) = match purpose {
            Purpose::Answer => (
                self.replica.as_ref().unwrap_or(&self.readers),
                self.query_timeout + ANSWER_ROUND_TRIP_MAX,
            ),
            Purpose::Lookup => (&self.readers, LOOKUP_TIMEOUT.min(self.query_timeout)),
            Purpose::Projection => (&self.projectors, PROJECTION_TIMEOUT + ROUND_TRIP_MAX),
        };
        let answer = within(limit, async {
            let mut held = Held::acquire(pool).await?;
            let mut rows = query(&sql, values).fetch(held.connection()?);
            while let Some(row) = rows.try_next().await? {
                each(&Row::Postgres(row))?;
            }
            drop(rows);
            held.release();
            Ok(())
        });
        match answer.await {
            Err(DatabaseError::Unavailable(error))
                if purpose == Purpose::Answer && is_cancelled(&error) =>
            {
                Err(DatabaseError::TooLong)
            }
            other => other,
        }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Transaction::begin(&self.projectors).await
    }

    /// Waits while another process opens its read models.
    pub(super) async fn definition_turn(&self) -> Result<Opening, DatabaseError> {
        within(PROJECTION_TIMEOUT + ROUND_TRIP_MAX, async {
            let mut held = Held::acquire(&self.projectors).await?;
            held.run(DEFINITION_LOCK).await?;
            held.detach().map(Opening)
        })
        .await
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.projectors.close().await;
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
    }
}
