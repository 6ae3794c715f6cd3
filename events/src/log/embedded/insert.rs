//! The rows of a group, written in few statements.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::plan::NewRow;
use super::read::signed;
use super::table;
use crate::position::Topic;

/// Rows per INSERT: a few fixed sizes, so that the prepared statements are reused.
const INSERT_ROWS: [usize; 3] = [64, 8, 1];

/// Inserts rows in as few statements as the fixed sizes allow.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    topic: Topic,
    rows: &[&NewRow<'_>],
) -> Result<(), sqlx::Error> {
    let mut left = rows;
    for size in INSERT_ROWS {
        while left.len() >= size {
            let (now, later) = left.split_at(size);
            insert_rows(connection, topic, now).await?;
            left = later;
        }
    }
    Ok(())
}

async fn insert_rows(
    connection: &mut SqliteConnection,
    topic: Topic,
    rows: &[&NewRow<'_>],
) -> Result<(), sqlx::Error> {
    let places = vec!["(?, ?, ?, ?, ?, ?)"; rows.len()].join(", ");
    let sql = format!(
        "INSERT INTO {} (sequence, stream, version, command_id, event_type, body) VALUES {places}",
        table(topic)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for row in rows {
        query = query
            .bind(signed(row.sequence.0))
            .bind(row.stream.key())
            .bind(signed(row.version.0))
            .bind(row.command_id.0.as_bytes().as_slice())
            .bind(&*row.event.event_type)
            .bind(row.event.body.as_ref());
    }
    query.execute(connection).await?;
    Ok(())
}
