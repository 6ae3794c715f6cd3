//! What those have in common who read streams of events.

use std::sync::Arc;

use hoplog_events::asyncapi::Description;
use hoplog_events::log::EventLog;

use crate::config::PageCache;
use crate::http::events::{Feeds, Readers};

/// The streams that this node gives.
#[derive(Debug)]
pub struct Streams {
    /// What is new, for those who follow.
    pub feeds: Feeds,
    /// Who reads.
    pub readers: Readers,
    /// How the log is read by others.
    pub described: Description,
    /// Who may keep pages of events that never change.
    pub page_cache: PageCache,
}

impl Streams {
    pub(super) fn new(
        log: &Arc<dyn EventLog>,
        described: Description,
        page_cache: PageCache,
    ) -> Self {
        Self { feeds: Feeds::new(log), readers: Readers::default(), described, page_cache }
    }
}
