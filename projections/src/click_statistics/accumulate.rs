//! Adds up what an answer is made of: buckets, or single clicks where filters are given. Both
//! ways meet here, so both answers have the same shape and the same numbers.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;

use super::cells::Tally;
use super::instant;
use super::intervals::{Interval, starts_of_any};
use super::queries::{Point, Slice, Statistics, StatisticsQuery};
use crate::cursor::QueryError;
use crate::dimension::{Dimension, Values};
use crate::sketch::{Place, Sketch};

/// The most values a breakdown lists.
const SLICES_MAX: usize = 100;

/// How many visitors are put in order at once.
const PENDING_MAX: usize = 1_024;

/// Clicks that come one by one. To put each visitor into its place in a sketch of some thousand moves half of them each time.
#[derive(Debug, Default)]
struct Gathered {
    tally: Tally,
    /// They are counted, and not yet in the sketch.
    pending: Vec<Place>,
}

impl Gathered {
    fn count(&mut self, visitors: &[Place]) {
        self.tally.clicks += visitors.len() as u64;
        self.pending.extend_from_slice(visitors);
        if self.pending.len() >= PENDING_MAX {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if !self.pending.is_empty() {
            let visitors = Sketch::of_places(self.pending.clone());
            self.pending.clear();
            self.tally.visitors.merge(&visitors);
        }
    }
}

impl From<Gathered> for Tally {
    fn from(mut gathered: Gathered) -> Self {
        gathered.settle();
        gathered.tally
    }
}

/// Visitors by the values of something that is no dimension of clicks.
#[derive(Debug, Default)]
pub(crate) struct Breakdown(HashMap<String, Gathered>);

impl Breakdown {
    pub(crate) fn count(&mut self, value: &str, visitor: Place) {
        self.0.entry_ref(value).or_default().count(&[visitor]);
    }

    pub(crate) fn finish(self) -> Vec<Slice> {
        slices(self.0)
    }
}

/// Clicks and visitors by bucket and by value.
#[derive(Debug, Default)]
pub(crate) struct Accumulator {
    /// By quarter, or by the first of a point of the series.
    buckets: BTreeMap<i64, Gathered>,
    values: BTreeMap<Dimension, HashMap<String, Gathered>>,
    /// The quarters that are counted, where that is known before.
    quarters: Option<Range<i64>>,
    /// The first quarter of each point, where that is known before; in order.
    starts: Vec<i64>,
    /// How many rows were added.
    pub(super) rows: usize,
}

impl Accumulator {
    /// For these quarters, and points that begin with those.
    pub(super) fn within(quarters: Range<i64>, starts: Vec<i64>) -> Self {
        Self { quarters: Some(quarters), starts, ..Self::default() }
    }

    /// Adds what is counted of a span that begins with a quarter.
    pub(super) fn add(
        &mut self,
        bucket: i64,
        value: (Dimension, &str),
        clicks: u64,
        visitors: &Sketch,
    ) {
        self.gathered(bucket, value).tally.add(clicks, visitors);
    }

    /// Adds clicks with one value.
    pub(super) fn count_all(&mut self, bucket: i64, value: (Dimension, &str), places: &[Place]) {
        self.gathered(bucket, value).count(places);
    }

    fn gathered(&mut self, bucket: i64, value: (Dimension, &str)) -> &mut Gathered {
        match value {
            (Dimension::Total, _) => self.point(bucket),
            (dimension, value) => {
                self.values.entry(dimension).or_default().entry_ref(value).or_default()
            }
        }
    }

    /// What a quarter is counted in.
    fn point(&mut self, bucket: i64) -> &mut Gathered {
        let place = self.starts.partition_point(|start| *start <= bucket);
        let first = place.checked_sub(1).and_then(|place| self.starts.get(place));
        self.buckets.entry(first.copied().unwrap_or(bucket)).or_default()
    }

    /// Adds a click.
    pub(crate) fn count(&mut self, bucket: i64, values: &Values<'_>, visitor: Place) {
        self.count_some(bucket, values, visitor, |_| true);
    }

    /// The same, but in no dimension in which its value is not to be told of.
    pub(crate) fn count_some(
        &mut self,
        bucket: i64,
        values: &Values<'_>,
        visitor: Place,
        is_told: impl Fn(Dimension) -> bool,
    ) {
        for value in values.counted().filter(|(dimension, _)| is_told(*dimension)) {
            self.gathered(bucket, value).count(&[visitor]);
        }
    }

    /// The answer.
    pub(crate) fn finish(self, query: &StatisticsQuery) -> Result<Statistics, QueryError> {
        let counted = self.quarters.or_else(|| {
            let (first, _) = self.buckets.first_key_value()?;
            let (last, _) = self.buckets.last_key_value()?;
            Some(*first..last + 1)
        });
        let (first, end) = (query.first_bucket(), query.end_bucket());
        let from = first.or(counted.as_ref().map(|counted| counted.start)).and_then(instant);
        let to = end.or(counted.map(|counted| counted.end)).and_then(instant);
        let buckets: BTreeMap<i64, Tally> =
            self.buckets.into_iter().map(|(first, gathered)| (first, gathered.into())).collect();
        let (interval, series) = series(&buckets, from.zip(to), query)?;
        let mut total = Tally::default();
        for tally in buckets.values() {
            total.add(tally.clicks, &tally.visitors);
        }
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
fn slices(values: HashMap<String, Gathered>) -> Vec<Slice> {
    let mut values: Vec<(String, Tally)> =
        values.into_iter().map(|(value, gathered)| (value, gathered.into())).collect();
    values.sort_unstable_by(|(a, x), (b, y)| y.clicks.cmp(&x.clicks).then_with(|| a.cmp(b)));
    values.truncate(SLICES_MAX);
    let slice = |(value, tally): (String, Tally)| Slice {
        value,
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
