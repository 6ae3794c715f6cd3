//! Reading up to where a topic ended when the reading began.

use std::sync::Arc;
use std::time::Duration;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{EventLog, ReadError, ReadLimit};
use hoplog_events::position::{Position, Sequence, StreamId, Topic, Version};

/// How often a replica that does not have the end yet is asked again, and the pause before that.
const REPLICA_ATTEMPTS: u32 = 100;
const REPLICA_PAUSE: Duration = Duration::from_millis(10);

/// The events of a topic behind a place, up to its head. Where all that is wanted is in one
/// stream, only that is read; places are the topic's all the same.
pub(super) struct Scan {
    log: Arc<dyn EventLog>,
    topic: Topic,
    stream: Option<(StreamId, Version)>,
    after: Sequence,
    head: Sequence,
}

impl Scan {
    /// Looks where the topic ends: what comes later is left for the next reading.
    pub(super) async fn begin(
        log: &Arc<dyn EventLog>,
        after: Position,
        stream: Option<&StreamId>,
    ) -> Result<Self, ReadError> {
        let Position { topic, sequence, .. } = after;
        // A replica may say less than a reader has seen.
        let head = log.head(topic).await?.sequence.max(sequence);
        let stream = stream.map(|stream| (stream.clone(), Version::NONE));
        Ok(Self { log: Arc::clone(log), topic, stream, after: sequence, head })
    }

    /// The place behind which the next events are.
    pub(super) fn place(&self) -> Position {
        self.position(self.after)
    }

    /// The place that is reached when all is read.
    pub(super) fn end(&self) -> Position {
        self.position(self.head)
    }

    fn position(&self, sequence: Sequence) -> Position {
        Position { log: self.log.id(), topic: self.topic, sequence }
    }

    /// The next events; none at the end.
    pub(super) async fn next(&mut self, limit: ReadLimit) -> Result<Vec<RecordedEvent>, ReadError> {
        if self.after >= self.head {
            return Ok(Vec::new());
        }
        let mut events = match self.stream.clone() {
            None => self.next_of_topic(limit).await?,
            Some((stream, version)) => self.next_of_stream(&stream, version, limit).await?,
        };
        events.retain(|event| event.position.sequence <= self.head);
        self.after = events.last().map_or(self.head, |event| event.position.sequence);
        Ok(events)
    }

    async fn next_of_topic(&self, limit: ReadLimit) -> Result<Vec<RecordedEvent>, ReadError> {
        for _ in 0..REPLICA_ATTEMPTS {
            let events = self.log.read_all(self.topic, self.after, limit).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            tokio::time::sleep(REPLICA_PAUSE).await;
        }
        // An end that is none would be a gap for whoever goes on behind it.
        Err(ReadError::Unavailable("what is on the log can't be read yet".to_owned()))
    }

    async fn next_of_stream(
        &mut self,
        stream: &StreamId,
        mut version: Version,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            let mut events = self.log.read_page(stream, version, limit).await?;
            let Some(last) = events.last() else { return Ok(events) };
            version = last.version;
            self.stream = Some((stream.clone(), version));
            events.retain(|event| event.position.sequence > self.after);
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}
