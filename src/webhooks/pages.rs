//! The newest events of a topic, read from the log once for all webhooks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::erasure::is_erasure;
use hoplog_events::log::{EventLog, ReadError, ReadLimit};
use hoplog_events::position::{Sequence, Topic};
use tokio::sync::watch;

/// How much is read at once.
const PAGE: ReadLimit = ReadLimit { events_max: 500, bytes_max: 1024 * 1024 };

/// How many pages are kept. Whoever is further behind reads from the log.
const PAGES_MAX: usize = 8;

/// How long to wait before a log that can't be read is tried again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// Some events, one behind the other.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) events: Arc<[RecordedEvent]>,
    /// Where topic ACCOUNTS ended when they were there: whatever a webhook was changed to before they
    /// happened is no further.
    pub(super) accounts: Sequence,
}

/// The newest events of a topic.
#[derive(Debug)]
pub(super) struct Pages {
    log: Arc<dyn EventLog>,
    topic: Topic,
    /// Each with the sequence that it comes behind.
    recent: Mutex<VecDeque<(Sequence, Page)>>,
    news: watch::Sender<()>,
}

impl Pages {
    pub(super) fn new(log: Arc<dyn EventLog>, topic: Topic) -> Self {
        Self { log, topic, recent: Mutex::default(), news: watch::Sender::default() }
    }

    /// Is told when there is more.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// What comes behind a sequence; nothing at the head.
    pub(super) async fn after(&self, sequence: Sequence) -> Result<Page, ReadError> {
        if let Some(page) = self.recent(sequence) {
            return Ok(page);
        }
        let events = self.log.read_all(self.topic, sequence, PAGE).await?;
        self.page(events).await
    }

    async fn page(&self, events: Vec<RecordedEvent>) -> Result<Page, ReadError> {
        let accounts = if events.is_empty() {
            Sequence::START
        } else {
            self.log.head(Topic::Accounts).await?.sequence
        };
        Ok(Page { events: events.into(), accounts })
    }

    fn recent(&self, sequence: Sequence) -> Option<Page> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|(after, _)| *after == sequence).map(|(_, page)| page.clone())
    }

    /// Keeps up with the log, for as long as it is polled.
    pub(super) async fn follow(&self) {
        loop {
            if let Err(error) = self.follow_until_away().await {
                tracing::warn!(%error, topic = %self.topic, "events for webhooks can't be followed; trying again");
            }
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
            tokio::time::sleep(FOLLOW_PAUSE).await;
        }
    }

    async fn follow_until_away(&self) -> Result<(), ReadError> {
        let mut last = self.log.head(self.topic).await?.sequence;
        let mut events = self.log.subscribe(self.topic, last, PAGE).await?;
        loop {
            // Also of what came before anybody followed.
            self.news.send_replace(());
            let page = self.page(events.next().await?).await?;
            let after = last;
            last = page.events.last().map_or(last, |event| event.position.sequence);
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if page.events.iter().any(|event| is_erasure(&event.event_type)) {
                // What is kept is as it was before: it is read from the log again.
                recent.clear();
                continue;
            }
            recent.push_back((after, page));
            while recent.len() > PAGES_MAX {
                recent.pop_front();
            }
        }
    }
}
