//! Answers from the tables of versions before, until those of this one are built.

use std::fmt::Write;

use super::accumulate::Accumulator;
use super::columns;
use super::queries::{ClickStatistics, StatisticsQuery, add_row, parameters};
use super::reading::IS_QUARTER;
use super::summed::Subject;
use crate::database::{DatabaseError, Row};
use crate::table_set::TableSet;

/// The first version with quarters.
const QUARTERS_SINCE: i64 = 3;

/// The first version with sums of longer spans.
pub(super) const SUMS_SINCE: i64 = 4;

impl ClickStatistics {
    /// Adds up quarters, all of them. The set is named: one that is swapped in meanwhile has other tables.
    pub(super) async fn sum_earlier(
        &self,
        query: &StatisticsQuery,
        (set, version): (TableSet, i64),
        subject: &Subject,
    ) -> Result<Accumulator, DatabaseError> {
        let Subject { condition: scope, parameter, .. } = subject;
        let buckets = [query.first_bucket(), query.end_bucket()];
        let mut values = parameters(parameter.clone(), buckets, query.bots);
        let with = subject.with(&mut values);
        let range = "bucket >= $2 and bucket < $3 and bot between $4 and $5";
        let mut sql = format!(
            "{with}select bucket, dimension, value, clicks, visitors from {{click_statistics.buckets}} \
             where {scope} and {range}"
        );
        if version >= QUARTERS_SINCE {
            // Writing to a string can't fail.
            let _ = write!(
                sql,
                " union all \
                 select bucket, {IS_QUARTER}, '', 0, clicks from {{click_statistics.quarters}} \
                 where {scope} and {range} and length(clicks) > 0"
            );
        }
        let mut sum = Accumulator::default();
        self.tables.for_each(&set.render(&sql), &values, |row| add_bucket(&mut sum, row)).await?;
        Ok(sum)
    }
}

/// A bucket's number was that of its quarter.
fn add_bucket(sum: &mut Accumulator, row: &Row) -> Result<(), DatabaseError> {
    if row.int(1)? == IS_QUARTER {
        return add_row(sum, row);
    }
    let value = (columns::dimension(row, 1)?, row.text(2)?);
    sum.add(row.int(0)?, value, row.count(3)?, &columns::visitors(row, 4)?);
    Ok(())
}
