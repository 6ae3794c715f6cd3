//! Adds up what an answer is made of: buckets, or single clicks where filters are given. Both
//! ways meet here, so both answers have the same shape and the same numbers.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::BUCKET_MICROS;
use super::cells::Tally;
use super::intervals::{Interval, starts_of_any};
use super::queries::{Point, Slice, Statistics, StatisticsQuery};
use crate::cursor::QueryError;
use crate::dimension::{Dimension, Values};
use crate::sketch::{Place, Sketch};

/// The most values a breakdown lists.
const SLICES_MAX: usize = 100;

/// Clicks and visitors by bucket and by value.
#[derive(Debug, Default)]
pub(super) struct Accumulator {
    buckets: BTreeMap<i64, Tally>,
    values: BTreeMap<Dimension, HashMap<Box<str>, Tally>>,
}

impl Accumulator {
    /// Adds a row of the buckets.
    pub(super) fn add(
        &mut self,
        bucket: i64,
        value: (Dimension, &str),
        clicks: u64,
        visitors: &Sketch,
    ) {
        let tally = match value {
            (Dimension::Total, _) => self.buckets.entry(bucket).or_default(),
            (dimension, value) => self.value(dimension, value),
        };
        tally.add(clicks, visitors);
    }

    /// Adds a click.
    pub(super) fn count(&mut self, bucket: i64, values: &Values<'_>, visitor: Place) {
        for (dimension, value) in values.counted() {
            match dimension {
                Dimension::Total => self.buckets.entry(bucket).or_default().count(visitor),
                dimension => self.value(dimension, value).count(visitor),
            }
        }
    }

    fn value(&mut self, dimension: Dimension, value: &str) -> &mut Tally {
        let values = self.values.entry(dimension).or_default();
        if !values.contains_key(value) {
            values.insert(value.into(), Tally::default());
        }
        values.entry(value.into()).or_default()
    }

    /// The answer.
    pub(super) fn finish(self, query: &StatisticsQuery) -> Result<Statistics, QueryError> {
        let (first, last) = (self.buckets.first_key_value(), self.buckets.last_key_value());
        let from = query.first_bucket().or(first.map(|(bucket, _)| *bucket)).and_then(instant);
        let to = query.end_bucket().or(last.map(|(bucket, _)| bucket + 1)).and_then(instant);
        let (interval, series) = series(&self.buckets, from.zip(to), query)?;
        let mut total = Tally::default();
        self.buckets.values().for_each(|tally| total.add(tally.clicks, &tally.visitors));
        let breakdowns =
            self.values.into_iter().map(|(dimension, values)| (dimension, slices(values)));
        Ok(Statistics {
            from,
            to,
            interval,
            total_clicks: total.clicks,
            unique_visitors: total.visitors.count(),
            series,
            breakdowns: breakdowns.collect(),
        })
    }
}

/// The values with the most clicks; those with as many, in order.
fn slices(values: HashMap<Box<str>, Tally>) -> Vec<Slice> {
    let mut values: Vec<(Box<str>, Tally)> = values.into_iter().collect();
    values.sort_unstable_by(|(a, x), (b, y)| y.clicks.cmp(&x.clicks).then_with(|| a.cmp(b)));
    values.truncate(SLICES_MAX);
    let slice = |(value, tally): (Box<str>, Tally)| Slice {
        value: value.into(),
        clicks: tally.clicks,
        visitors: tally.visitors.count(),
    };
    values.into_iter().map(slice).collect()
}

/// A point for every interval of the range, those without clicks included.
fn series(
    buckets: &BTreeMap<i64, Tally>,
    range: Option<(DateTime<Utc>, DateTime<Utc>)>,
    query: &StatisticsQuery,
) -> Result<(Interval, Vec<Point>), QueryError> {
    let Some((from, to)) = range else {
        return Ok((query.interval.unwrap_or_default(), Vec::new()));
    };
    let (interval, starts) = starts_of_any(from, to, query.tz, query.interval)?;
    let mut tallies = vec![Tally::default(); starts.len()];
    for (bucket, tally) in buckets {
        let Some(at) = instant(*bucket) else { continue };
        let place = starts.partition_point(|start| *start <= at);
        if let Some(point) = place.checked_sub(1).and_then(|place| tallies.get_mut(place)) {
            point.add(tally.clicks, &tally.visitors);
        }
    }
    let point = |(start, tally): (DateTime<Utc>, Tally)| Point {
        start,
        clicks: tally.clicks,
        visitors: tally.visitors.count(),
    };
    Ok((interval, starts.into_iter().zip(tallies).map(point).collect()))
}

fn instant(bucket: i64) -> Option<DateTime<Utc>> {
    bucket.checked_mul(BUCKET_MICROS).and_then(DateTime::from_timestamp_micros)
}
