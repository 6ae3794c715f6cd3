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
use crate::log::{Rewrite, RewriteError};

/// What a body is filled up with: JSON may end so, also for a version that knows nothing of this.
const PADDING: u8 = b' ';

/// One transaction, or none of it. What SQLite says is the outer error, after which nobody knows.
pub(super) async fn rewrite(
    connection: &mut SqliteConnection,
    rewrites: &[Rewrite],
) -> Result<Result<(), RewriteError>, sqlx::Error> {
    if rewrites.is_empty() {
        return Ok(Ok(()));
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for rewrite in rewrites {
        if let Err(refused) = rewrite_one(&mut transaction, rewrite).await? {
            transaction.rollback().await?;
            return Ok(Err(refused));
        }
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

async fn rewrite_one(
    connection: &mut SqliteConnection,
    rewrite: &Rewrite,
) -> Result<Result<(), RewriteError>, sqlx::Error> {
    let table = table(rewrite.topic);
    let (sequence, command) = (signed(rewrite.sequence.0), rewrite.command_id.0);
    let sql = format!("SELECT body FROM {table} WHERE sequence = $1 AND command_id = $2");
    let found = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(sequence)
        .bind(command.as_bytes().as_slice())
        .fetch_optional(&mut *connection);
    let Some(found): Option<Vec<u8>> = found.await? else { return Ok(Err(RewriteError::Missing)) };
    let said = without_padding(&found);
    if said == without_padding(&rewrite.body) {
        return Ok(Ok(()));
    }
    if said != without_padding(&rewrite.read) {
        return Ok(Err(RewriteError::Changed));
    }
    let mut body = rewrite.body.to_vec();
    body.resize(found.len().max(body.len()), PADDING);
    let sql = format!("UPDATE {table} SET body = $1 WHERE sequence = $2");
    sqlx::query(AssertSqlSafe(sql)).bind(body).bind(sequence).execute(connection).await?;
    Ok(Ok(()))
}

/// What a body says.
pub(super) fn without_padding(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|byte| *byte != PADDING).map_or(0, |last| last + 1);
    &body[..end]
}
