//! Numbers about clicks, kept by quarter of an hour so that a day is exact in every time zone
//! (their offsets are whole quarters), and by dimension, with a sketch of the visitors. Where clicks are
//! many they are kept for longer spans as well, so that a question reads few rows however long it is about.
//!
//! Rows that are no link's count the clicks of all links together: one for each partition, so that
//! two who write never meet on a row. Whoever asks adds them up.

mod accumulate;
mod at_hand;
mod cells;
mod columns;
mod earlier;
mod ending;
mod fold;
mod intervals;
mod joining;
mod quarter;
mod queries;
mod range;
mod reading;
mod selection;
mod spans;
mod statements;
mod summed;
mod sums;
mod totals;
mod write;

use std::borrow::Cow;

use crate::partition::Partitions;

pub(crate) use accumulate::{Accumulator, Breakdown};
pub use fold::ClickStatisticsProjection;
pub use intervals::{Interval, POINTS_MAX, midnight};
pub use queries::{
    ClickStatistics, DimensionFilter, Point, Scope, Slice, Statistics, StatisticsQuery,
};
pub use selection::Selection;
pub use totals::ClickTotals;

/// The projection's name.
pub const NAME: &str = "click_statistics";

/// Which rows its code makes of the events.
pub const VERSION: i64 = 5;

/// The `link` of the rows that count all links of a partition together; no link is called that,
/// as no domain is empty.
fn all_links(partition: u32) -> Cow<'static, str> {
    if partition == 0 { Cow::Borrowed("") } else { Cow::Owned(format!("/{partition}")) }
}

/// What the rows of all links together may be called, of however many partitions there are.
fn names_of_all() -> impl Iterator<Item = Cow<'static, str>> {
    (0..Partitions::MAX).map(all_links)
}

/// The length of a bucket in microseconds: 15 minutes.
pub(crate) const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;

/// The beginning of a quarter of an hour; `None`: the calendar does not go that far.
fn instant(bucket: i64) -> Option<chrono::DateTime<chrono::Utc>> {
    bucket.checked_mul(BUCKET_MICROS).and_then(chrono::DateTime::from_timestamp_micros)
}

/// The number of the bucket an instant is in: quarters of an hour since 1970.
pub(crate) fn bucket_of(at: chrono::DateTime<chrono::Utc>) -> i64 {
    at.timestamp_micros().div_euclid(BUCKET_MICROS)
}
