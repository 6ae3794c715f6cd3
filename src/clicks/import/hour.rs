//! What is on the stream of one imported hour, as far as it has been read.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use hoplog_events::catalogue::Event;
use hoplog_events::click::{Click, ClickEvent};
use hoplog_events::log::EventLog;
use hoplog_events::position::{StreamId, Version};

use super::ImportError;

/// An hour with more lines than this is not remembered: about 100 MB.
const LINES_REMEMBERED_MAX: usize = 1_000_000;

/// The lines of one source and one hour.
#[derive(Debug)]
pub(super) struct Hour {
    stream: StreamId,
    version: Version,
    lines: HashSet<Cow<'static, str>>,
}

impl Hour {
    fn new(stream: StreamId) -> Self {
        Self { stream, version: Version::NONE, lines: HashSet::new() }
    }

    /// The version up to which the stream has been read.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Reads what has come since. Returns how many events that was.
    ///
    /// # Errors
    /// When the log can't be read, or an event not be understood.
    pub(super) async fn catch_up(&mut self, log: &dyn EventLog) -> Result<usize, ImportError> {
        let events = log.read(&self.stream, self.version).await?;
        let read = events.len();
        for recorded in events {
            let event = recorded.decode()?.map(|decoded| decoded.event);
            if let Some(Event::Click(ClickEvent::Recorded(batch))) = event {
                self.lines.extend(batch.clicks.into_iter().filter_map(|click| click.import_id));
            }
            self.version = recorded.version;
        }
        Ok(read)
    }

    /// The clicks whose lines are not on the stream, each line once.
    pub(super) fn lines_to_add<'a>(&self, clicks: &'a [Click<'a>]) -> Vec<&'a Click<'a>> {
        let mut seen = HashSet::new();
        let mut new = Vec::new();
        for click in clicks {
            let line = click.import_id.as_deref();
            if line.is_none_or(|line| !self.lines.contains(line) && seen.insert(line)) {
                new.push(click);
            }
        }
        new
    }
}

/// The hour of the last batch.
#[derive(Debug, Default)]
pub(super) struct Latest(Mutex<Option<Hour>>);

impl Latest {
    /// The hour of a stream: as it was put, or with everything still to read.
    pub(super) fn take(&self, stream: &StreamId) -> Hour {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = latest.take_if(|hour| hour.stream == *stream);
        found.unwrap_or_else(|| Hour::new(stream.clone()))
    }

    /// Remembers an hour in the place of the one before.
    pub(super) fn put(&self, hour: Hour) {
        let hour = (hour.lines.len() <= LINES_REMEMBERED_MAX).then_some(hour);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = hour;
    }
}
