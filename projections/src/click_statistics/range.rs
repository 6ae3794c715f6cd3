//! Which quarters a question is about, and what its answer is read from.

use std::ops::Range;

use super::accumulate::Accumulator;
use super::intervals::starts_of_any;
use super::queries::{ClickStatistics, StatisticsQuery};
use super::spans::{OF_TOTALS, OF_VALUES, Run, Span, cover};
use super::{BUCKET_MICROS, instant};
use crate::clicks::BotFilter;
use crate::cursor::QueryError;
use crate::database::{DatabaseError, Value};
use crate::dimension::Dimension;

/// The most runs that are read for a series. Days that begin at a full hour of UTC are few runs, others two each.
const RUNS_MAX: usize = 50;

/// Which rows an answer is made of.
pub(super) struct Plan {
    /// The quarters that are asked for and may have clicks.
    pub(super) quarters: Range<i64>,
    /// Those of the table of sums: from, and before.
    pub(super) runs: Vec<[i64; 2]>,
    /// Where the points of the series begin: the first quarter of each.
    starts: Vec<i64>,
}

impl Plan {
    /// Of these quarters.
    fn of(quarters: Range<i64>, query: &StatisticsQuery) -> Result<Self, QueryError> {
        let mut plan = Self { quarters: quarters.clone(), runs: Vec::new(), starts: Vec::new() };
        let Some((from, to)) = instant(quarters.start).zip(instant(quarters.end)) else {
            return Ok(plan);
        };
        let (_, starts) = starts_of_any(from, to, query.tz, query.interval)?;
        // A quarter is in the point that has begun when it begins.
        let first = |micros: i64| -(-micros).div_euclid(BUCKET_MICROS);
        plan.starts = starts.iter().map(|start| first(start.timestamp_micros())).collect();
        let mut totals = Vec::new();
        for (place, start) in plan.starts.iter().enumerate() {
            let end = plan.starts.get(place + 1).map_or(quarters.end, |end| *end);
            let point = (*start).max(quarters.start)..end.min(quarters.end);
            cover(point, OF_TOTALS, &mut totals);
        }
        if totals.len() > RUNS_MAX {
            totals.clear();
            cover(quarters.clone(), &[Span::Quarter], &mut totals);
        }
        let mut values = Vec::new();
        cover(quarters, OF_VALUES, &mut values);
        // All other dimensions have the same numbers.
        let buckets = |runs: Vec<Run>, dimension| {
            runs.into_iter().map(move |run| run.buckets(dimension)).collect::<Vec<_>>()
        };
        plan.runs = buckets(totals, Dimension::Total);
        plan.runs.extend(buckets(values, Dimension::Class));
        Ok(plan)
    }

    /// What takes the rows.
    pub(super) fn accumulator(self) -> Accumulator {
        Accumulator::within(self.quarters, self.starts)
    }
}

impl ClickStatistics {
    /// What an answer is read from; `None`: there are no clicks in the range.
    pub(super) async fn plan(
        &self,
        query: &StatisticsQuery,
        scope: (&str, &str),
    ) -> Result<Option<Plan>, QueryError> {
        let (first, end) = (query.first_bucket(), query.end_bucket());
        let quarters = if let Some((first, end)) = first.zip(end) {
            first..end
        } else {
            let ever = self.ever(query.bots, scope).await?;
            first.unwrap_or(ever.start)..end.unwrap_or(ever.end)
        };
        if quarters.is_empty() { Ok(None) } else { Plan::of(quarters, query).map(Some) }
    }

    /// From the quarter of the first click ever to that of the last; empty: there is none.
    async fn ever(
        &self,
        bots: BotFilter,
        (condition, subject): (&str, &str),
    ) -> Result<Range<i64>, DatabaseError> {
        let sql = format!(
            "select min(first_human), max(last_human), min(first_bot), max(last_bot) \
             from {{click_statistics.totals}} where {condition}"
        );
        let subject: Value = subject.into();
        let read = |row: &crate::database::Row| {
            let (mut start, mut end) = (i64::MAX, i64::MIN);
            for (bot, first) in [(0, 0), (1, 2)] {
                let (lowest, highest) = bots.range();
                if (lowest..=highest).contains(&bot) {
                    let (from, to) = (row.optional_int(first)?, row.optional_int(first + 1)?);
                    start = start.min(from.unwrap_or(i64::MAX));
                    end = end.max(to.map_or(i64::MIN, |last| last.saturating_add(1)));
                }
            }
            Ok(start..end)
        };
        let found = self.tables.fetch(&sql, &[subject], read).await?;
        Ok(found.into_iter().next().unwrap_or(0..0))
    }
}
