//! Following a topic by reading after one's own place. A message on the topic's subjects only
//! says that there is more: nothing can be missed or repeated, whatever becomes of it.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::read::Reader;
use crate::envelope::RecordedEvent;
use crate::log::{ReadError, ReadLimit, Subscription};
use crate::position::{Sequence, Topic};

/// How often to look although nothing was heard: a word may get lost with a connection.
const IDLE: Duration = Duration::from_millis(500);

/// How long to look for what was heard of: it is told before it is stored, and a replica may be
/// a moment behind.
const STORED_WITHIN: Duration = Duration::from_millis(200);

/// The pauses between those looks double from the first to the last of these.
const LOOK_PAUSES: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

/// A reader that follows a topic.
#[derive(Debug)]
pub(super) struct TopicSubscription {
    pub(super) reader: Reader,
    pub(super) topic: Topic,
    pub(super) after: Sequence,
    pub(super) limit: ReadLimit,
}

#[async_trait]
impl Subscription for TopicSubscription {
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            // `after` moves only when events are returned: a call that is dropped loses nothing.
            let mut events = self.look().await?;
            if events.is_empty() {
                events = self.wait().await?;
            }
            if let Some(last) = events.last() {
                self.after = last.position.sequence;
                return Ok(events);
            }
        }
    }
}

impl TopicSubscription {
    async fn look(&self) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read_all(self.topic, self.after, self.limit).await
    }

    /// Waits until something may be there, and looks for it.
    async fn wait(&self) -> Result<Vec<RecordedEvent>, ReadError> {
        let subject = self.reader.subjects.all(self.topic);
        let away = |error: &dyn std::fmt::Display| ReadError::Unavailable(error.to_string());
        let client = &self.reader.api.client;
        let mut news = client.subscribe(subject).await.map_err(|error| away(&error))?;
        // One word is enough, and keeps the others from being sent here.
        news.unsubscribe_after(1).await.map_err(|error| away(&error))?;
        // What came before this connection began to listen.
        let events = self.look().await?;
        if !events.is_empty() || timeout(IDLE, news.next()).await.is_err() {
            return Ok(events);
        }
        let heard = Instant::now();
        let (mut pause, longest) = LOOK_PAUSES;
        loop {
            let events = self.look().await?;
            if !events.is_empty() || heard.elapsed() > STORED_WITHIN {
                return Ok(events);
            }
            sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }
}
