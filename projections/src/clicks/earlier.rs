//! Questions to the tables of a version before, until those of this one are built.

use super::NAME;
use crate::database::{DatabaseError, Row, Value};
use crate::table_set::Tables;

/// The first version with variants and rules.
const LED_SINCE: i64 = 3;

/// Where clicks are read from in a statement.
const TABLE: &str = "{clicks.clicks}";

/// Clicks of before, of which nobody said what had led them.
const EARLIER: &str = "(select c.*, '' as variant, '' as rule from {clicks.clicks} c) as clicks";

/// Reads clicks with a statement that names the columns of this version. Each row is handed over once.
///
/// # Errors
/// When the database can't answer.
pub(crate) async fn for_each<F>(
    tables: &Tables,
    sql: &str,
    values: &[Value],
    mut each: F,
) -> Result<(), DatabaseError>
where
    F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
{
    let asked = tables.one_set(NAME).await?;
    let mut has_begun = false;
    let first = |row: &Row| {
        has_begun = true;
        each(row)
    };
    let answer = tables.for_each(sql, values, first).await;
    // What was handed over is counted, and can't be taken back.
    let is_refused = matches!(answer, Err(DatabaseError::Broken(_))) && !has_begun;
    if !is_refused {
        return answer;
    }
    // The set is named: one that is swapped in meanwhile has other columns.
    match tables.answering_set(NAME).await? {
        (set, Some(version)) if version < LED_SINCE => {
            let sql = set.render(&sql.replacen(TABLE, EARLIER, 1));
            tables.for_each(&sql, values, each).await
        }
        // Tables of this version were swapped in before it was looked: they answer.
        (set, _) if set != asked => tables.for_each(&set.render(sql), values, each).await,
        _ => answer,
    }
}
