//! Numbers about clicks, kept by quarter of an hour so that a day is exact in every time zone
//! (their offsets are whole quarters), and by dimension, with a sketch of the visitors.
//!
//! Rows whose link is empty count the clicks of all links together.

mod accumulate;
mod cells;
mod fold;
mod intervals;
mod queries;
mod totals;

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

/// The `link` of the rows that count all links together; no link is called that.
const ALL_LINKS: &str = "";

/// The length of a bucket in microseconds: 15 minutes.
const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;

/// The number of the bucket an instant is in: quarters of an hour since 1970.
fn bucket_of(at: chrono::DateTime<chrono::Utc>) -> i64 {
    at.timestamp_micros().div_euclid(BUCKET_MICROS)
}
