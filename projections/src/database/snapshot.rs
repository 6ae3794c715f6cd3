//! One state of the database, for several statements.

use super::{DatabaseError, Row, Value, postgres, sqlite};

/// Reads the database as it is at the first statement, whatever others write meanwhile, and holds
/// nobody up.
#[derive(Debug)]
pub(crate) enum Snapshot {
    /// On one of the workers' connections.
    Sqlite(sqlite::Snapshot),
    /// On one of the projectors' connections.
    Postgres(postgres::Snapshot),
}

impl Snapshot {
    /// All rows of a short answer, however long it takes to find them.
    pub(crate) async fn fetch<T: Send>(
        &mut self,
        sql: String,
        values: &[Value],
        mut read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        let mut rows = Vec::new();
        let each = |row: &Row| {
            rows.push(read(row)?);
            Ok(())
        };
        match self {
            Self::Sqlite(snapshot) => snapshot.for_each(sql, values, each).await?,
            Self::Postgres(snapshot) => snapshot.for_each(&sql, values, each).await?,
        }
        Ok(rows)
    }
}
