//! The questions about visits that led nowhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::click::VisitorHash;
use hoplog_events::orphan::OrphanKind;
use tokio::sync::Semaphore;

use super::NAME;
use crate::click_statistics::{
    Accumulator, BUCKET_MICROS, Breakdown, Slice, Statistics, StatisticsQuery,
};
use crate::clicks::BotFilter;
use crate::cursor::{QueryError, cut, decode_place, encode_place};
use crate::database::{DatabaseError, Row, Value};
use crate::dimension::{Dimension, Values};
use crate::long_answers;
use crate::sketch::Place;
use crate::table_set::Tables;

/// The most visits one page holds.
pub const ORPHANS_PAGE_MAX: usize = 1_000;

/// The most paths, or values of a dimension, that a breakdown lists.
const LISTED_MAX: usize = 100;

/// A visit that led nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanRow {
    /// The event's id, a dash and the place in the event.
    pub id: String,
    /// Why, see [`OrphanKind::name`].
    pub kind: String,
    /// The domain that was visited.
    pub domain: String,
    /// What was asked for there; empty: nothing, or nothing that is kept.
    pub path: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// human, bot, preview, prefetch or head.
    pub class: String,
    /// Empty: unknown, here and below.
    pub country: String,
    /// The region.
    pub region: String,
    /// The city.
    pub city: String,
    /// desktop, mobile, tablet, bot or other.
    pub device: String,
    /// The browser.
    pub browser: String,
    /// The operating system.
    pub system: String,
    /// The referring host; empty: direct.
    pub referrer: String,
    /// The language.
    pub language: String,
}

/// Which visits are asked for.
#[derive(Debug, Clone, Default)]
pub struct WhichOrphans {
    /// Of these kinds; none: of all.
    pub kinds: BTreeSet<OrphanKind>,
    /// With one of these paths; none: with any.
    pub paths: BTreeSet<String>,
}

/// Which page of the list is asked for.
#[derive(Debug, Clone)]
pub struct OrphanQuery {
    /// Which visits.
    pub which: WhichOrphans,
    /// From this instant on.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
    /// Which of them count.
    pub bots: BotFilter,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The most visits to return; at most [`ORPHANS_PAGE_MAX`].
    pub limit: usize,
}

/// Some visits, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanPage {
    /// The visits.
    pub visits: Vec<OrphanRow>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

/// Visits of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindCount {
    /// The kind.
    pub kind: String,
    /// How many.
    pub visits: u64,
}

/// The numbers about some visits that led nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanStatistics {
    /// Those that were recorded.
    pub recorded: Statistics,
    /// They by their kinds.
    pub kinds: Vec<Slice>,
    /// They by what was asked for, where something was: the paths with the most visits.
    pub paths: Vec<Slice>,
    /// Those beyond the limit, by their kinds: nothing else is known of them.
    pub unrecorded: Vec<KindCount>,
}

/// Answers questions about visits that led nowhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Orphans {
    tables: Tables,
    long_answers: Arc<Semaphore>,
}

const COLUMNS: &str = "at, sequence, place, event_id, kind, domain, path, class, country, region, \
    city, device, browser, system, referrer, language";

/// What a visit is counted by, in the order of a row of [`counted`], from its fifth column on.
const DIMENSIONS: [Dimension; 9] = [
    Dimension::Class,
    Dimension::Country,
    Dimension::Region,
    Dimension::City,
    Dimension::Device,
    Dimension::Browser,
    Dimension::System,
    Dimension::Referrer,
    Dimension::Language,
];

/// Of these there may be as many values as visits: whoever tries codes chooses them, or an operator's database has as
/// many places.
const MANY: [Dimension; 4] =
    [Dimension::Referrer, Dimension::Language, Dimension::Region, Dimension::City];

impl Orphans {
    pub(crate) fn new(tables: Tables, long_answers: Arc<Semaphore>) -> Self {
        Self { tables, long_answers }
    }

    /// The same, with other turns.
    #[cfg(test)]
    pub(crate) fn with_turns(self, turns: Semaphore) -> Self {
        Self { long_answers: Arc::new(turns), ..self }
    }

    /// The dimensions that numbers about these visits can be filtered by.
    #[must_use]
    pub fn dimensions() -> [Dimension; 9] {
        DIMENSIONS
    }

    /// One page, newest first.
    ///
    /// # Errors
    /// For a cursor of another list, or when the database can't answer.
    pub async fn list(&self, query: &OrphanQuery) -> Result<OrphanPage, QueryError> {
        // What few visits are like is found by reading nearly all.
        let is_long = !query.which.paths.is_empty() || query.bots != BotFilter::Include;
        let _turn =
            if is_long { Some(long_answers::turn(&self.long_answers).await?) } else { None };
        let after = decode_place(NAME, query.cursor.as_deref())?;
        let limit = query.limit.clamp(1, ORPHANS_PAGE_MAX);
        let micros = |at: DateTime<Utc>| at.timestamp_micros();
        let (from, to) = (query.from.map(micros), query.to.map(micros));
        let mut condition = Condition::new((from, to), query.bots, &query.which);
        let [at, sequence, place] = after.map(|number| condition.parameter(number));
        let end = condition.parameter(i64::try_from(limit + 1).unwrap_or(i64::MAX));
        let sql = format!(
            "select {COLUMNS} from {{orphans.visits}} where {} \
             and (at, sequence, place) < ({at}, {sequence}, {place}) \
             order by at desc, sequence desc, place desc limit {end}",
            condition.sql
        );
        let mut rows = self.tables.fetch(&sql, &condition.values, read).await?;
        let next_cursor = cut(&mut rows, limit).map(|(place, _)| encode_place(NAME, *place));
        Ok(OrphanPage { visits: rows.into_iter().map(|(_, row)| row).collect(), next_cursor })
    }

    /// The numbers. Of the query, whose clicks are asked for does not matter; its filters are of
    /// [`Self::dimensions`].
    ///
    /// # Errors
    /// For a range that is empty or gives too long a series, or when the database can't answer.
    pub async fn statistics(
        &self,
        query: &StatisticsQuery,
        which: &WhichOrphans,
    ) -> Result<OrphanStatistics, QueryError> {
        if query.from.zip(query.to).is_some_and(|(from, to)| from >= to) {
            return Err(QueryError::EmptyRange);
        }
        let _turn = long_answers::turn(&self.long_answers).await?;
        let condition = counted(query, which);
        let (mut sum, mut kinds) = (Accumulator::default(), Breakdown::default());
        let mut paths = Breakdown::default();
        let columns = DIMENSIONS.map(|dimension| condition.told(dimension)).join(", ");
        let path = condition.most("path", false);
        let sql = format!(
            "select at, visitor, kind, {path}, {columns} from {{orphans.visits}} where {}",
            condition.sql
        );
        let count = |row: &Row| {
            let visitor = Place::of(VisitorHash(row.count(1)?));
            kinds.count(row.text(2)?, visitor);
            if let Some(path) = row.optional_text(3)? {
                paths.count(path, visitor);
            }
            let (mut values, mut is_told) = (Values::default(), [true; Dimension::ALL.len()]);
            for (place, dimension) in DIMENSIONS.into_iter().enumerate() {
                match row.optional_text(place + 4)? {
                    Some(value) => values.set(dimension, value),
                    None => is_told[dimension as usize] = false,
                }
            }
            let bucket = row.int(0)?.div_euclid(BUCKET_MICROS);
            sum.count_some(bucket, &values, visitor, |dimension| is_told[dimension as usize]);
            Ok(())
        };
        self.tables.for_each(&sql, &condition.values, count).await?;
        let recorded = sum.finish(query)?;
        let unrecorded = self.unrecorded(query, which).await?;
        Ok(OrphanStatistics { recorded, kinds: kinds.finish(), paths: paths.finish(), unrecorded })
    }

    async fn unrecorded(
        &self,
        query: &StatisticsQuery,
        which: &WhichOrphans,
    ) -> Result<Vec<KindCount>, DatabaseError> {
        let sql = format!(
            "select kind, cast(sum(visits) as bigint) from {{orphans.unrecorded}} \
             where bucket >= $1 and bucket < $2{} group by kind order by kind",
            of_kinds(which)
        );
        let values = [
            query.first_bucket().unwrap_or(i64::MIN).into(),
            query.end_bucket().unwrap_or(i64::MAX).into(),
        ];
        let read =
            |row: &Row| Ok(KindCount { kind: row.text(0)?.to_owned(), visits: row.count(1)? });
        self.tables.fetch(&sql, &values, read).await
    }
}

/// What rows have to be like, and its parameters.
struct Condition {
    sql: String,
    values: Vec<Value>,
}

impl Condition {
    fn new((from, to): (Option<i64>, Option<i64>), bots: BotFilter, which: &WhichOrphans) -> Self {
        let (lowest, highest) = bots.range();
        let range = [from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX), lowest, highest];
        let sql = format!("at >= $1 and at < $2 and bot between $3 and $4{}", of_kinds(which));
        let mut condition = Self { sql, values: range.map(Value::from).into() };
        if !which.paths.is_empty() {
            let paths = which.paths.iter().map(|path| condition.parameter(path.as_str()));
            let paths = paths.collect::<Vec<_>>().join(", ");
            condition.sql.extend([" and path in (", &paths, ")"]);
        }
        condition
    }

    /// What stands for a dimension in a statement on these rows.
    fn told(&self, dimension: Dimension) -> String {
        let column = dimension.column().unwrap_or_default();
        if MANY.contains(&dimension) {
            self.most(column, dimension.counts(true))
        } else {
            column.to_owned()
        }
    }

    /// A column, if its value is one of those that most of these rows have, the empty one among them or not; else `null`. In the
    /// statement that counts them, so that both see the same rows.
    fn most(&self, column: &str, with_empty: bool) -> String {
        let empty = if with_empty { String::new() } else { format!(" and {column} <> ''") };
        format!(
            "case when {column} in (select {column} from {{orphans.visits}} where {}{empty} \
             group by {column} order by count(*) desc, {column} limit {LISTED_MAX}) \
             then {column} end",
            self.sql
        )
    }

    /// Adds a parameter; what stands for it.
    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }
}

/// The names are this program's own.
fn of_kinds(which: &WhichOrphans) -> String {
    if which.kinds.is_empty() {
        return String::new();
    }
    let names = which.kinds.iter().map(|kind| format!("'{}'", kind.name()));
    format!(" and kind in ({})", names.collect::<Vec<_>>().join(", "))
}

/// The visits that numbers are asked about, by whole quarters of an hour.
fn counted(query: &StatisticsQuery, which: &WhichOrphans) -> Condition {
    let micros = |bucket: Option<i64>| bucket.map(|bucket| bucket.saturating_mul(BUCKET_MICROS));
    let range = (micros(query.first_bucket()), micros(query.end_bucket()));
    let Condition { mut sql, mut values } = Condition::new(range, query.bots, which);
    let known = query.filters.iter().filter(|filter| DIMENSIONS.contains(&filter.dimension));
    known.for_each(|filter| filter.demand(&mut sql, &mut values));
    Condition { sql, values }
}

fn read(row: &Row) -> Result<([i64; 3], OrphanRow), DatabaseError> {
    let text = |column| row.text(column).map(str::to_owned);
    let visit = OrphanRow {
        at: row.instant(0)?,
        id: format!("{}-{}", row.text(3)?, row.int(2)?),
        kind: text(4)?,
        domain: text(5)?,
        path: text(6)?,
        class: text(7)?,
        country: text(8)?,
        region: text(9)?,
        city: text(10)?,
        device: text(11)?,
        browser: text(12)?,
        system: text(13)?,
        referrer: text(14)?,
        language: text(15)?,
    };
    Ok(([row.int(0)?, row.int(1)?, row.int(2)?], visit))
}
