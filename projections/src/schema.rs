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
    add_last_event(database).await
}

/// Checkpoints did not remember whose event they are at before.
async fn add_last_event(database: &Database) -> Result<(), DatabaseError> {
    let sql = "select last_event from checkpoints limit 1".to_owned();
    let found = database.fetch(Purpose::Projection, sql, &[], |row| {
        row.optional_text(0).map(|text| text.map(str::to_owned))
    });
    let Err(error) = found.await else { return Ok(()) };
    let DatabaseError::Broken(_) = error else { return Err(error) };
    let mut transaction = database.begin().await?;
    transaction.define("alter table checkpoints add column last_event {text}").await?;
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
