//! Putting other bodies in the place of old ones, so that nothing of those is left in the file.
//!
//! A row that changes its size may make SQLite move its neighbours to other pages. It does not promise
//! to overwrite their old place, where what they said could be found when they are rewritten
//! themselves. So a new body is filled up to the size of the old one, which SQLite then overwrites
//! where it is, also on the pages that a long body goes on to. One that is longer than the old one
//! is the exception; erasing hardly ever makes an event longer.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::read::signed;
use super::table;
use crate::log::Rewrite;

/// What a body is filled up with.
pub(super) const PADDING: u8 = 0;

/// One transaction; `false`: an event is not there, and nothing was changed.
pub(super) async fn rewrite(
    connection: &mut SqliteConnection,
    rewrites: &[Rewrite],
) -> Result<bool, sqlx::Error> {
    if rewrites.is_empty() {
        return Ok(true);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for rewrite in rewrites {
        if !rewrite_one(&mut transaction, rewrite).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
    }
    transaction.commit().await?;
    Ok(true)
}

async fn rewrite_one(
    connection: &mut SqliteConnection,
    rewrite: &Rewrite,
) -> Result<bool, sqlx::Error> {
    let table = table(rewrite.topic);
    let (sequence, command) = (signed(rewrite.sequence.0), rewrite.command_id.0);
    let sql = format!("SELECT LENGTH(body) FROM {table} WHERE sequence = $1 AND command_id = $2");
    let length = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(sequence)
        .bind(command.as_bytes().as_slice())
        .fetch_optional(&mut *connection);
    let Some(length): Option<i64> = length.await? else { return Ok(false) };
    let mut body = rewrite.body.to_vec();
    let length = usize::try_from(length).unwrap_or_default();
    body.resize(length.max(body.len()), PADDING);
    let sql = format!("UPDATE {table} SET body = $1 WHERE sequence = $2");
    sqlx::query(AssertSqlSafe(sql)).bind(body).bind(sequence).execute(connection).await?;
    Ok(true)
}
