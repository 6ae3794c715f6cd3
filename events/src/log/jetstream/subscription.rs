//! Following a topic by reading after one's own place. A message on the topic's subjects only
//! says that there is more: nothing can be missed or repeated, whatever becomes of it.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::read::Reader;
use crate::envelope::RecordedEvent;
use crate::log::{ReadError, ReadLimit, Seen, Subscription};
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
    reader: Reader,
    topic: Topic,
    after: Sequence,
    limit: ReadLimit,
    /// The event at `after`; `None`: there is none, or it was too old to be kept.
    seen: Option<Seen>,
    /// The connection on which it was last looked for: servers that were put back to an older
    /// copy were restarted.
    confirmed_on: u64,
}

#[async_trait]
impl Subscription for TopicSubscription {
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            // `after` moves only when something is returned: a call that is dropped loses nothing.
            let events = match self.look_or_wait().await {
                Err(ReadError::Trimmed { from, to }) => {
                    (self.after, self.seen) = (to, None);
                    return Err(ReadError::Trimmed { from, to });
                }
                events => events?,
            };
            if let Some(last) = events.last() {
                self.confirm().await?;
                (self.after, self.seen) = (last.position.sequence, Some(last.into()));
                return Ok(events);
            }
        }
    }
}

impl TopicSubscription {
    /// Begins behind a place that is on the log.
    pub(super) async fn begin(
        reader: Reader,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Self, ReadError> {
        let confirmed_on = reader.api.connects();
        let seen = reader.seen(topic, after).await?;
        Ok(Self { reader, topic, after, limit, seen, confirmed_on })
    }

    /// What was read came over this connection, or one before: it follows what was seen if that
    /// is still where it was.
    async fn confirm(&mut self) -> Result<(), ReadError> {
        let connection = self.reader.api.connects();
        if self.confirmed_on == connection {
            return Ok(());
        }
        if let Some(seen) = self.seen {
            let found = self.reader.seen(self.topic, seen.sequence).await?;
            if found.is_some_and(|found| found != seen) {
                let head = self.reader.head(self.topic).await?.sequence;
                return Err(ReadError::Rewound { head, after: seen.sequence });
            }
        }
        self.confirmed_on = connection;
        Ok(())
    }

    async fn look_or_wait(&self) -> Result<Vec<RecordedEvent>, ReadError> {
        let events = self.look().await?;
        if events.is_empty() { self.wait().await } else { Ok(events) }
    }

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
