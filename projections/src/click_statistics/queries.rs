//! The questions that statistics answer. Without filters they are answered from sums (the
//! cost grows with the length of time, and little, not with clicks); with filters from the clicks themselves.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use hoplog_events::click::VisitorHash;
use hoplog_events::link::{LinkKey, OwnerId};
use tokio::sync::Semaphore;

use super::accumulate::Accumulator;
use super::columns;
use super::earlier::SUMS_SINCE;
use super::intervals::Interval;
use super::reading::{IS_CHECK, IS_QUARTER, statement};
use super::selection::Selection;
use super::spans::Span;
use super::summed::Subject;
use super::{BUCKET_MICROS, NAME};
use crate::clicks::{BotFilter, earlier};
use crate::cursor::QueryError;
use crate::database::{DatabaseError, Row, Value};
use crate::dimension::{Dimension, Values};
use crate::long_answers;
use crate::sketch::Place;
use crate::table_set::{TableSet, Tables};

/// Whose clicks are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Of one link.
    Link(LinkKey),
    /// Of all links of an owner, as far as the link directory knows them.
    Owner(OwnerId),
    /// Of the links of a selection, as far as the link directory knows them.
    Selected(Selection),
    /// Of all links.
    All,
}

/// Only clicks with certain values of one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimensionFilter {
    /// The dimension.
    pub dimension: Dimension,
    /// One of these; empty: any.
    pub include: Vec<String>,
    /// None of these.
    pub exclude: Vec<String>,
}

impl DimensionFilter {
    /// Adds a condition to a statement on the clicks, and its parameters.
    pub(crate) fn demand(&self, sql: &mut String, values: &mut Vec<Value>) {
        let Some(column) = self.dimension.column() else { return };
        for (listed, verb) in [(&self.include, "in"), (&self.exclude, "not in")] {
            for (place, value) in listed.iter().enumerate() {
                values.push(value.as_str().into());
                let before =
                    if place == 0 { format!(" and {column} {verb} (") } else { ",".into() };
                // Writing to a string can't fail.
                let _ = write!(sql, "{before}${}", values.len());
            }
            if !listed.is_empty() {
                sql.push(')');
            }
        }
    }
}

/// What is asked for. The range counts by whole quarters of an hour and is widened to them;
/// it holds for the total, the series and every breakdown alike.
#[derive(Debug, Clone)]
pub struct StatisticsQuery {
    /// Whose clicks.
    pub scope: Scope,
    /// From this instant on; `None`: from the first click on.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant; `None`: up to the last click.
    pub to: Option<DateTime<Utc>>,
    /// The time zone of the series' intervals.
    pub tz: Tz,
    /// The length of the series' intervals; `None`: a day, or longer where those would be too many.
    pub interval: Option<Interval>,
    /// Which clicks count.
    pub bots: BotFilter,
    /// All of them must admit a click.
    pub filters: Vec<DimensionFilter>,
}

impl StatisticsQuery {
    /// Whether the rows to be read are many: single clicks, or the buckets of many links.
    fn is_long(&self) -> bool {
        !self.filters.is_empty() || !matches!(self.scope, Scope::Link(_))
    }

    pub(crate) fn first_bucket(&self) -> Option<i64> {
        self.from.map(|from| from.timestamp_micros().div_euclid(BUCKET_MICROS))
    }

    /// The first bucket behind the range.
    pub(crate) fn end_bucket(&self) -> Option<i64> {
        self.to.map(|to| -(-to.timestamp_micros()).div_euclid(BUCKET_MICROS))
    }
}

/// One interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Where it begins. The first one may begin before the range; it counts what is in both.
    pub start: DateTime<Utc>,
    /// The clicks in it.
    pub clicks: u64,
    /// About how many visitors they came from.
    pub visitors: u64,
}

/// One value of a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The value; empty: unknown, or direct.
    pub value: String,
    /// The clicks with it.
    pub clicks: u64,
    /// About how many visitors they came from.
    pub visitors: u64,
}

/// The numbers about some clicks. Visitors are estimated (standard error 0.81 %).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    /// The beginning of the first quarter that was counted; `None`: no clicks, and no beginning
    /// was asked for.
    pub from: Option<DateTime<Utc>>,
    /// The end of the last quarter that was counted; `None` likewise.
    pub to: Option<DateTime<Utc>>,
    /// The length of the series' intervals.
    pub interval: Interval,
    /// All of them.
    pub total_clicks: u64,
    /// About how many visitors they came from.
    pub unique_visitors: u64,
    /// Interval by interval.
    pub series: Vec<Point>,
    /// For each dimension the values with the most clicks, at most 100.
    pub breakdowns: BTreeMap<Dimension, Vec<Slice>>,
}

/// Answers questions about numbers of clicks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClickStatistics {
    pub(super) tables: Tables,
    long_answers: Arc<Semaphore>,
}

impl ClickStatistics {
    /// As many long answers may be under way at once as there are permits.
    pub(crate) fn new(tables: Tables, long_answers: Arc<Semaphore>) -> Self {
        Self { tables, long_answers }
    }

    /// The numbers.
    ///
    /// # Errors
    /// For a range that is empty or gives too long a series, or when the database can't answer.
    pub async fn statistics(&self, query: &StatisticsQuery) -> Result<Statistics, QueryError> {
        if query.from.zip(query.to).is_some_and(|(from, to)| from >= to) {
            return Err(QueryError::EmptyRange);
        }
        let _turn = if query.is_long() {
            Some(long_answers::turn(&self.long_answers).await?)
        } else {
            None
        };
        let accumulator = if query.filters.is_empty() {
            self.sum(query).await?
        } else {
            self.sum_clicks(query).await?
        };
        accumulator.finish(query)
    }

    /// From the sums.
    async fn sum(&self, query: &StatisticsQuery) -> Result<Accumulator, QueryError> {
        let subject = Subject::of(&query.scope);
        let set = self.tables.one_set(NAME).await?;
        let sum = self.sum_spans(query, &subject, set).await;
        if !matches!(sum, Err(QueryError::Database(DatabaseError::Broken(_)))) {
            return sum;
        }
        // Tables of a version before answer until those of this one are built. If others were swapped in before
        // it was looked, they answer.
        match self.tables.answering_set(NAME).await? {
            (set, Some(version)) if version < SUMS_SINCE => {
                Ok(self.sum_earlier(query, (set, version), &subject).await?)
            }
            (set, _) => self.sum_spans(query, &subject, set).await,
        }
    }

    /// All statements of an answer are about one set: another one may be summed up, or be split, otherwise.
    async fn sum_spans(
        &self,
        query: &StatisticsQuery,
        subject: &Subject,
        set: TableSet,
    ) -> Result<Accumulator, QueryError> {
        let Some(plan) = self.plan(query, subject, set).await? else {
            return Ok(Accumulator::default());
        };
        let (mut sum, packs) = (plan.accumulator(), self.tables.packs());
        let mut is_so = true;
        for subject in self.summed(subject, set, plan.quarters.start).await? {
            let statement = statement(&plan, query.bots, &subject, packs);
            is_so &= self.add_rows(&mut sum, statement, &subject, set).await?;
        }
        if !is_so {
            // A replica answered that is behind the one that was asked before. The quarters are always there.
            sum = plan.accumulator();
            let statement = statement(&plan, query.bots, subject, packs);
            self.add_rows(&mut sum, statement, subject, set).await?;
        }
        Ok(sum)
    }

    /// Adds rows up; whether they were summed up to where they should be.
    async fn add_rows(
        &self,
        sum: &mut Accumulator,
        (sql, values): (String, Vec<Value>),
        subject: &Subject,
        set: TableSet,
    ) -> Result<bool, DatabaseError> {
        let mut is_so = true;
        let read = |row: &Row| {
            if row.int(1)? == IS_CHECK {
                is_so = subject.is_so(row.int(0)?)?;
                return Ok(());
            }
            add_row(sum, row)
        };
        self.tables.for_each(&set.render(&sql), &values, read).await?;
        Ok(is_so)
    }

    /// How many rows the answer about a link is read from.
    #[cfg(test)]
    pub(crate) async fn rows_of_link(&self, link: &LinkKey, query: &StatisticsQuery) -> usize {
        let subject = Subject::of(&Scope::Link(link.clone()));
        let Ok(set) = self.tables.one_set(NAME).await else { return usize::MAX };
        self.sum_spans(query, &subject, set).await.map_or(usize::MAX, |sum| sum.rows)
    }

    /// The same from the clicks themselves, one by one.
    pub(super) async fn sum_clicks(
        &self,
        query: &StatisticsQuery,
    ) -> Result<Accumulator, DatabaseError> {
        let micros =
            |bucket: Option<i64>| bucket.map(|bucket| bucket.saturating_mul(BUCKET_MICROS));
        let range = [micros(query.first_bucket()), micros(query.end_bucket())];
        let subject = match &query.scope {
            Scope::Link(link) => link.to_string(),
            Scope::Owner(owner) => owner.to_string(),
            Scope::Selected(selection) => selection.first(),
            Scope::All => String::new(),
        };
        let mut values = parameters(subject, range, query.bots);
        let mut among = |selection: &Selection| format!("link in ({})", selection.sql(&mut values));
        let scope = match &query.scope {
            Scope::Link(_) => "link = $1".to_owned(),
            Scope::Owner(owner) => among(&Selection::of_owner(owner)),
            Scope::Selected(selection) => among(selection),
            Scope::All => "link >= $1".to_owned(),
        };
        let mut sql = format!(
            "select at, visitor, class, country, region, city, device, browser, system, referrer, \
             referrer_url, language, utm_source, utm_medium, utm_campaign, utm_term, utm_content, \
             variant, rule from {{clicks.clicks}} \
             where {scope} and at >= $2 and at < $3 and bot between $4 and $5"
        );
        let mut sum = Accumulator::default();
        query.filters.iter().for_each(|filter| filter.demand(&mut sql, &mut values));
        let count = |row: &Row| {
            let visitor = Place::of(VisitorHash(row.count(1)?));
            sum.count(row.int(0)?.div_euclid(BUCKET_MICROS), &dimensions(row)?, visitor);
            Ok(())
        };
        earlier::for_each(&self.tables, &sql, &values, count).await?;
        Ok(sum)
    }
}

/// Adds a row of the sums, or of the quarters.
pub(super) fn add_row(sum: &mut Accumulator, row: &Row) -> Result<(), DatabaseError> {
    sum.rows += 1;
    let bucket = row.int(0)?;
    if row.int(1)? == IS_QUARTER {
        columns::quarter(row.bytes(4)?)?
            .each(|value, visitors| sum.count_all(bucket, value, visitors));
        return Ok(());
    }
    let value = (columns::dimension(row, 1)?, row.text(2)?);
    sum.add(Span::quarter_of(bucket)?, value, row.count(3)?, &columns::visitors(row, 4)?);
    Ok(())
}

/// The parameters that both ways share: `$1` whose clicks, `$2` and `$3` the range, `$4` and
/// `$5` people or bots.
pub(super) fn parameters(
    subject: String,
    [from, to]: [Option<i64>; 2],
    bots: BotFilter,
) -> Vec<Value> {
    let (lowest, highest) = bots.range();
    vec![
        subject.into(),
        from.unwrap_or(i64::MIN).into(),
        to.unwrap_or(i64::MAX).into(),
        lowest.into(),
        highest.into(),
    ]
}

/// A click's values, which stand in the order of the dimensions from column 2 on.
fn dimensions(row: &Row) -> Result<Values<'_>, DatabaseError> {
    let mut values = Values::default();
    for dimension in Dimension::ALL.into_iter().skip(1) {
        values.set(dimension, row.text(dimension as usize + 1)?);
    }
    Ok(values)
}
