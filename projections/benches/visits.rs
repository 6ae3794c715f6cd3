//! Clicks all over the place: links and hours in no order.

use hoplog_events::log::EventLog;

use crate::made::{EVENT_CLICKS, click, recorded};

/// Clicks on the log.
pub(crate) const CLICKS: usize = 40_000;

/// Writes all of them.
pub(crate) async fn write(log: &dyn EventLog) {
    for first in (0..CLICKS).step_by(EVENT_CLICKS) {
        let clicks: Vec<_> = (first..first + EVENT_CLICKS).map(click).collect();
        log.append(recorded(&clicks)).await.expect("the log can be written");
    }
}
