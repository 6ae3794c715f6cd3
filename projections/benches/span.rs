//! The clicks of some hours: in the order of time, to links that are the less visited the higher their
//! number (Zipf's law).

use chrono::{DateTime, TimeDelta};
use hoplog_events::log::EventLog;

use crate::made::{EVENT_CLICKS, VARIETY, click, recorded, spread};

/// In microseconds.
const HOUR: usize = 3_600_000_000;

/// Writes so many, evenly over so many hours.
pub(crate) async fn write(log: &dyn EventLog, clicks: usize, hours: usize) {
    // Whole numbers: the share of the link of each rank, in millionths of the first one's.
    let mut bound = 0;
    let bounds: Vec<usize> = (1..=VARIETY[0])
        .map(|rank| {
            bound += 1_000_000 / rank;
            bound
        })
        .collect();
    for first in (0..clicks).step_by(EVENT_CLICKS) {
        let many = (first..clicks.min(first + EVENT_CLICKS)).map(|n| {
            let link = bounds.partition_point(|end| *end <= spread(n) % bound);
            let since_midnight = i64::try_from(hours * HOUR / clicks * n).unwrap_or_default();
            let at = DateTime::UNIX_EPOCH + TimeDelta::microseconds(since_midnight);
            let mut click = click(n);
            click["code"] = format!("c{link}").into();
            click["at"] = at.to_rfc3339().into();
            click
        });
        let many: Vec<_> = many.collect();
        log.append(recorded(&many)).await.expect("the log can be written");
    }
}
