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

/// Reads clicks with a statement that names the columns of this version.
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
    let answer = tables.for_each(sql, values, &mut each).await;
    let Err(DatabaseError::Broken(_)) = answer else { return answer };
    // The statement failed before its first row. If tables of this version were swapped in before it was looked, they
    // answer.
    match tables.answering_set(NAME).await? {
        (_, Some(version)) if version < LED_SINCE => {
            tables.for_each(&sql.replacen(TABLE, EARLIER, 1), values, each).await
        }
        _ => tables.for_each(sql, values, each).await,
    }
}
