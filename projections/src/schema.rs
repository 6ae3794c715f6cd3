//! The tables that this crate keeps about the projections themselves, and those of versions
//! before, which are brought up to date by whoever comes first.

use crate::database::{Database, DatabaseError, Purpose};

const DEFINITION: &str = include_str!("schema.sql");

/// Checkpoints were one for each set before: those of the first and only partition. A key can't
/// be changed in SQLite, so the rows move. What a running process of a version before writes
/// later gets the default, and finds its row where it was.
const ADD_PARTITIONS: &str = "alter table checkpoints rename to checkpoints_before";
const MOVE_CHECKPOINTS: &str = "\
    insert into checkpoints (projection, table_set, topic, log_id, sequence) \
    select projection, table_set, topic, log_id, sequence from checkpoints_before; \
    drop table checkpoints_before";

/// What tables of versions before lack: whose event a checkpoint is at, how often what is parked
/// there changed, and which tables were read before.
const ADDED: [(&str, &str, &str); 4] = [
    ("checkpoints", "last_event", "{text}"),
    ("checkpoints", "parking", "bigint not null default 0"),
    ("projections", "previous_set", "bigint"),
    ("projections", "previous_version", "bigint"),
];

/// Makes what is missing. The caller has the turn at defining tables.
pub(crate) async fn prepare(database: &Database) -> Result<(), DatabaseError> {
    let mut transaction = database.begin().await?;
    transaction.define(DEFINITION).await?;
    transaction.commit().await?;
    let sql = "select partition from checkpoints limit 1".to_owned();
    match database.fetch(Purpose::Projection, sql, &[], |row| row.int(0)).await {
        Ok(_) => {}
        Err(DatabaseError::Broken(_)) => upgrade(database).await?,
        Err(error) => return Err(error),
    }
    for (table, column, definition) in ADDED {
        add_column(database, table, column, definition).await?;
    }
    Ok(())
}

/// Adds a column that a table of a version before lacks.
async fn add_column(
    database: &Database,
    table: &str,
    column: &str,
    definition: &str,
) -> Result<(), DatabaseError> {
    let sql = format!("select count({column}) from {table}");
    let found = database.fetch(Purpose::Projection, sql, &[], |row| row.int(0)).await;
    let Err(error) = found else { return Ok(()) };
    let DatabaseError::Broken(_) = error else { return Err(error) };
    let mut transaction = database.begin().await?;
    transaction.define(&format!("alter table {table} add column {column} {definition}")).await?;
    transaction.commit().await
}

async fn upgrade(database: &Database) -> Result<(), DatabaseError> {
    tracing::info!("checkpoints of a version before are brought up to date");
    let mut transaction = database.begin().await?;
    for sql in [ADD_PARTITIONS, DEFINITION, MOVE_CHECKPOINTS] {
        transaction.define(sql).await?;
    }
    transaction.commit().await
}
