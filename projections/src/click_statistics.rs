//! Numbers about clicks, kept by quarter of an hour so that a day is exact in every time zone
//! (their offsets are whole quarters), and by dimension, with a sketch of the visitors.
//!
//! Rows that are no link's count the clicks of all links together: one for each partition, so that
//! two who write never meet on a row. Whoever asks adds them up.

mod accumulate;
mod cells;
mod fold;
mod intervals;
mod queries;
mod totals;

use std::borrow::Cow;

use crate::checkpoint::of_set;

pub use fold::ClickStatisticsProjection;
pub use intervals::{Interval, POINTS_MAX, midnight};
pub use queries::{
    ClickStatistics, DimensionFilter, Point, Scope, Slice, Statistics, StatisticsQuery,
};
pub use totals::ClickTotals;

/// The projection's name.
pub const NAME: &str = "click_statistics";

/// Which rows its code makes of the events.
pub const VERSION: i64 = 2;

/// The `link` of the rows that count all links of a partition together; no link is called that,
/// as no domain is empty.
fn all_links(partition: u32) -> Cow<'static, str> {
    if partition == 0 { Cow::Borrowed("") } else { Cow::Owned(format!("/{partition}")) }
}

/// The same for every partition of the set that a statement reads.
fn all_links_of_set() -> String {
    let of_set = of_set(NAME, "buckets");
    format!(
        "select case when c.partition = 0 then '' else '/' || c.partition end \
         from checkpoints c where {of_set}"
    )
}

/// The length of a bucket in microseconds: 15 minutes.
const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;

/// The number of the bucket an instant is in: quarters of an hour since 1970.
fn bucket_of(at: chrono::DateTime<chrono::Utc>) -> i64 {
    at.timestamp_micros().div_euclid(BUCKET_MICROS)
}
