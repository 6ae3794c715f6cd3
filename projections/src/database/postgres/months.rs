//! Tables in parts, one for each month. Parts are made in the transaction of the first rows that
//! fall in them, so that clicks of any age find theirs; those of the coming months are made ahead
//! of time. There is no part for "everything else": it would have to be searched by every query,
//! and emptied before a month could be cut out of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::DatabaseError;
use super::connection::within;
use super::options::PROJECTION_TIMEOUT;
use super::transaction::Transaction;

/// Rows before the first and after the last of these years are in one part each: what names such
/// a time is mistaken, and must not make a thousand tables.
const YEARS: std::ops::Range<i32> = 1990..2100;

/// The length of a day.
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// The parts (`$1`: names) of a table (`$2`) that are wanted and not there. Wanted are those of
/// this month and the two that follow in any case. The catalogue is read as a table: what
/// `to_regclass` has found missing once, it finds missing to the end of the transaction.
const MISSING: &str = "select part from (select unnest($1::text[]) as part union \
    select to_char(now() at time zone 'utc' + make_interval(months => ahead), 'YYYYMM') \
    from generate_series(0, 2) as ahead) as wanted \
    where not exists (select from pg_class part_of join pg_class whole \
    on whole.oid = to_regclass($2) and part_of.relnamespace = whole.relnamespace \
    where part_of.relname = cast($2 || '_' || part as name)) order by part";

/// What whoever makes parts of a table holds to the end of the transaction.
const MAKING_LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('hoplog: parts of ' || ";

/// What the part of the years before and of those after is called.
const BEFORE: &str = "before";
const AFTER: &str = "after";

impl Transaction {
    /// Makes the parts of a table that rows of these times fall in, in microseconds since 1970.
    pub(in crate::database) async fn make_months(
        &mut self,
        table: &str,
        micros: impl Iterator<Item = i64> + Send,
    ) -> Result<(), DatabaseError> {
        // Most are of the day of the one before: a day is in one part.
        let mut days = BTreeSet::new();
        let times = micros.filter(|at| days.insert(at.div_euclid(DAY_MICROS)));
        let parts: Vec<String> = times.map(part).collect::<BTreeSet<_>>().into_iter().collect();
        if parts.is_empty() {
            return Ok(());
        }
        if self.missing(table, parts.clone()).await?.is_empty() {
            return Ok(());
        }
        // One after the other: whoever waited finds those that were made meanwhile.
        self.define(&format!("{MAKING_LOCK}'{table}', 0))")).await?;
        let mut sql = String::new();
        for part in self.missing(table, parts).await? {
            let (from, to) = bounds(&part);
            // Attaching waits for no reader, unlike making the table a part from the start.
            // Writing to a string can't fail.
            let _ = write!(
                sql,
                "create table {table}_{part} (like {table}); alter table {table} \
                 attach partition {table}_{part} for values from ({from}) to ({to});"
            );
        }
        if sql.is_empty() { Ok(()) } else { self.define(&sql).await }
    }

    async fn missing(
        &mut self,
        table: &str,
        parts: Vec<String>,
    ) -> Result<Vec<String>, DatabaseError> {
        let query = sqlx::query(AssertSqlSafe(MISSING)).bind(parts).bind(table.to_owned());
        let connection = self.0.connection()?;
        let rows = within(PROJECTION_TIMEOUT, async { Ok(query.fetch_all(connection).await?) });
        rows.await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// The name of the part that an instant is in: `202603`.
fn part(micros: i64) -> String {
    let date = DateTime::from_timestamp_micros(micros).map(|at| at.date_naive());
    match date {
        Some(date) if YEARS.contains(&date.year()) => date.format("%Y%m").to_string(),
        Some(date) if date.year() >= YEARS.end => AFTER.to_owned(),
        None if micros > 0 => AFTER.to_owned(),
        Some(_) | None => BEFORE.to_owned(),
    }
}

/// The first microsecond of a part and the first behind it.
fn bounds(part: &str) -> (String, String) {
    let micros = |year: i32, month: u32| {
        let first =
            NaiveDate::from_ymd_opt(year, month, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
        first.map_or_else(String::new, |first| first.and_utc().timestamp_micros().to_string())
    };
    match part {
        BEFORE => ("minvalue".to_owned(), micros(YEARS.start, 1)),
        AFTER => (micros(YEARS.end, 1), "maxvalue".to_owned()),
        month => {
            let number: i32 = month.parse().unwrap_or_default();
            let (year, month) = (number / 100, (number % 100).unsigned_abs());
            let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            (micros(year, month), micros(next_year, next))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_instant_is_within_the_bounds_of_its_part(
            micros in prop_oneof![any::<i64>(), 0..5_000_000_000_000_000_i64]
        ) {
            let (from, to) = bounds(&part(micros));
            prop_assert!(from == "minvalue" || from.parse::<i64>().unwrap() <= micros);
            prop_assert!(to == "maxvalue" || micros < to.parse::<i64>().unwrap());
        }
    }

    #[test]
    fn december_ends_with_the_year() {
        let last = "2026-12-31T23:59:59.999999Z".parse::<DateTime<chrono::Utc>>().unwrap();
        assert_eq!(part(last.timestamp_micros()), "202612");
        assert_eq!(bounds("202612").1, (last.timestamp_micros() + 1).to_string());
        assert_eq!(bounds("202612").1, bounds("202701").0);
    }
}
