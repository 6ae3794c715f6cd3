//! Following a topic: every call reads on from its own place, and waits in the same read when there
//! is nothing yet. Nothing is under way between two calls.

use std::time::Duration;

use ::eventstore::Position as Place;
use async_trait::async_trait;
use futures::FutureExt;
use tokio::time::timeout;

use super::connection::CallError;
use super::read::Reader;
use super::scan::{Page, Scan, Step, place};
use crate::envelope::RecordedEvent;
use crate::log::{ReadError, ReadLimit, Subscription};
use crate::position::{Sequence, Topic};

/// How long nothing may be heard before it is asked again: a word may get lost with a connection.
const IDLE: Duration = Duration::from_secs(10);

/// A reader that follows a topic.
#[derive(Debug)]
pub(super) struct TopicSubscription {
    pub(super) reader: Reader,
    pub(super) topic: Topic,
    /// The last event that was given.
    pub(super) after: Sequence,
    /// Up to here, nothing of the topic is behind that event.
    pub(super) scanned: Place,
    pub(super) limit: ReadLimit,
}

#[async_trait]
impl Subscription for TopicSubscription {
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            let events = self.read().await?;
            if let Some(last) = events.last() {
                // Moved only when events are returned: a call that is dropped loses nothing.
                self.after = last.position.sequence;
                self.scanned = place(self.after);
                return Ok(events);
            }
        }
    }
}

impl TopicSubscription {
    /// What there is, or what comes within a while.
    async fn read(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut page = Page::new(self.limit);
        let mut scan = self.reader.scan(self.topic, self.scanned).await?;
        let mut live = false;
        while !page.is_full() {
            let step =
                if live { waited(&mut scan, &page).await } else { scan.next().await.map(Some) };
            match step {
                Ok(Some(Step::Event(event))) => page.push(event),
                Ok(Some(Step::Passed)) if page.events.is_empty() => self.scanned = scan.scanned,
                Ok(Some(Step::Passed)) => {}
                Ok(Some(Step::CaughtUp)) => {
                    live = true;
                    if page.events.is_empty() {
                        self.reader.check(self.topic, self.after).await?;
                    }
                }
                Ok(None) => break,
                Err(error) => return Err(self.told(error).await),
            }
        }
        Ok(page.events)
    }

    /// A log that was put back may not have the place, and refuse it in words that say nothing.
    async fn told(&self, error: CallError) -> ReadError {
        if matches!(error, CallError::Refused(_))
            && let Err(rewound) = self.reader.check(self.topic, self.after).await
        {
            return rewound;
        }
        error.into()
    }
}

/// The next step, if there are no events to return in the meantime.
async fn waited(scan: &mut Scan<'_>, page: &Page) -> Result<Option<Step>, CallError> {
    if !page.events.is_empty() {
        // An error is told to the next call.
        return Ok(scan.wait().now_or_never().and_then(Result::ok));
    }
    match timeout(IDLE, scan.wait()).await {
        Ok(step) => step.map(Some),
        Err(_) => Ok(None),
    }
}
