//! Which quarters a question is about, and what its answer is read from.

use std::ops::Range;

use super::accumulate::Accumulator;
use super::intervals::starts_of_any;
use super::queries::{ClickStatistics, StatisticsQuery};
use super::spans::{OF_TOTALS, OF_VALUES, Run, Span, cover, cover_until};
use super::summed::Subject;
use super::{BUCKET_MICROS, instant};
use crate::clicks::BotFilter;
use crate::cursor::QueryError;
use crate::database::{DatabaseError, Value};
use crate::dimension::Dimension;
use crate::table_set::TableSet;

/// The most runs that are read for a series.
const RUNS_MAX: usize = 50;

/// The same without the longer spans: where days do not begin with those of UTC, few runs are all that there is of hours.
const HOURS: &[Span] = &[Span::Hour, Span::Quarter];

/// Which quarters are counted, and how.
pub(super) struct Plan {
    /// Those that are asked for and may have clicks.
    pub(super) quarters: Range<i64>,
    /// Where the points of the series begin: the first quarter of each.
    starts: Vec<i64>,
}

impl Plan {
    /// Of these quarters.
    fn of(quarters: Range<i64>, query: &StatisticsQuery) -> Result<Self, QueryError> {
        let Some((from, to)) = instant(quarters.start).zip(instant(quarters.end)) else {
            return Ok(Self { quarters, starts: Vec::new() });
        };
        let (_, starts) = starts_of_any(from, to, query.tz, query.interval)?;
        // A quarter is in the point that has begun when it begins.
        let first = |micros: i64| -(-micros).div_euclid(BUCKET_MICROS);
        let starts = starts.iter().map(|start| first(start.timestamp_micros())).collect();
        Ok(Self { quarters, starts })
    }

    /// What is read of the table of sums, where those before `over` are summed up: of totals, and of values; from, and
    /// before.
    pub(super) fn runs(&self, over: Option<i64>) -> [Vec<Range<i64>>; 2] {
        let over = over.unwrap_or(i64::MIN);
        let mut totals = self.series(OF_TOTALS, over);
        if totals.len() > RUNS_MAX {
            totals = self.series(HOURS, over);
        }
        if totals.len() > RUNS_MAX {
            totals.clear();
            cover(self.quarters.clone(), &[Span::Quarter], &mut totals);
        }
        let mut values = Vec::new();
        cover_until(over, &self.quarters, OF_VALUES, &mut values);
        // All other dimensions have the same numbers.
        [(totals, Dimension::Total), (values, Dimension::Class)]
            .map(|(runs, dimension)| runs.iter().map(|run| run.buckets(dimension)).collect())
    }

    /// The runs of the points, each by itself. The first one begins with the range.
    fn series(&self, spans: &[Span], over: i64) -> Vec<Run> {
        let mut runs = Vec::new();
        let Range { start, end } = self.quarters;
        let inner =
            self.starts.iter().copied().skip(1).filter(|first| (start..end).contains(first));
        let mut from = start;
        for to in inner.chain([end]) {
            cover_until(over, &(from..to), spans, &mut runs);
            from = to;
        }
        runs
    }

    /// What takes the rows.
    pub(super) fn accumulator(&self) -> Accumulator {
        Accumulator::within(self.quarters.clone(), self.starts.clone())
    }
}

impl ClickStatistics {
    /// What an answer is read from; `None`: there are no clicks in the range.
    pub(super) async fn plan(
        &self,
        query: &StatisticsQuery,
        subject: &Subject,
        set: TableSet,
    ) -> Result<Option<Plan>, QueryError> {
        let (first, end) = (query.first_bucket(), query.end_bucket());
        let quarters = if let Some((first, end)) = first.zip(end) {
            first..end
        } else {
            let ever = self.ever(query.bots, subject, set).await?;
            first.unwrap_or(ever.start)..end.unwrap_or(ever.end)
        };
        if quarters.is_empty() { Ok(None) } else { Plan::of(quarters, query).map(Some) }
    }

    /// From the quarter of the first click ever to that of the last; empty: there is none.
    async fn ever(
        &self,
        bots: BotFilter,
        subject: &Subject,
        set: TableSet,
    ) -> Result<Range<i64>, DatabaseError> {
        let Subject { condition, parameter, .. } = subject;
        let mut values: Vec<Value> = vec![parameter.as_str().into()];
        let with = subject.with(&mut values);
        let sql = format!(
            "{with}select min(first_human), max(last_human), min(first_bot), max(last_bot) \
             from {{click_statistics.totals}} where {condition}"
        );
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
        let found = self.tables.fetch(&set.render(&sql), &values, read).await?;
        Ok(found.into_iter().next().unwrap_or(0..0))
    }
}
