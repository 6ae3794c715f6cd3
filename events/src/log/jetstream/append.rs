//! Appending: one message per event, the version check by the servers.

use async_nats::HeaderMap;
use async_nats::client::PublishErrorKind;
use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::api::{
    ApiError, BATCH_DUPLICATE, BATCH_INCOMPLETE, BATCHES_BUSY, DUPLICATE_BUSY, MESSAGE_TOO_LARGE,
    WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_BUSY,
};
use super::read::Reader;
use super::subject::fingerprint;
use super::{COMMAND_ID, EVENT_TYPE, VERSION};
use crate::envelope::{CommandId, NewEvent, RecordedEvent};
use crate::log::versioned::{Attempt, End, Servers, before};
use crate::log::{Append, AppendError, Appended, ReadError};
use crate::position::{Position, Sequence, StreamId, Topic, Version};

/// Batches on their way at the same time; the servers refuse more than 50 per stream.
const BATCHES_MAX: usize = 32;

/// Sends what is to be appended.
#[derive(Debug)]
pub(super) struct Publisher {
    reader: Reader,
    batches: Semaphore,
}

#[derive(Deserialize)]
struct Acknowledgement {
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

#[async_trait]
impl Servers for Publisher {
    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        self.reader.last(stream).await
    }

    /// The servers check against the last message that they still have of a stream. The versions
    /// go on behind the last event, which may have been rewritten.
    async fn end(&self, stream: &StreamId) -> Result<End, ReadError> {
        let kept = self.reader.last_kept(stream).await?;
        let sequence = kept.as_ref().map_or(Sequence::START, |kept| kept.position.sequence);
        let last = self.reader.last_behind(stream, kept).await?;
        Ok(End { version: last.map_or(Version::NONE, |last| last.version), sequence })
    }

    /// The last event of a link stays where it was appended; that of a stream of clicks may not.
    fn know_who_was_there(&self, topic: Topic) -> bool {
        topic != Topic::Clicks
    }

    async fn behind(&self, stream: &StreamId, end: End) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read(stream, end.sequence, end.version).await
    }

    async fn attempt(&self, append: &Append, end: End) -> Result<Attempt, AppendError> {
        match self.publish(append, end).await {
            Ok(Acknowledgement { seq, duplicate: false }) => {
                let version = Version(end.version.0 + append.events.len() as u64);
                let (log, topic) = (self.reader.log, append.stream.topic());
                let position = Position { log, topic, sequence: Sequence(seq) };
                Ok(Attempt::Done(Appended { position, version, duplicate: false }))
            }
            Ok(Acknowledgement { seq, duplicate: true }) => {
                let event = self.reader.at(append.stream.topic(), Sequence(seq)).await?;
                Ok(Attempt::Done(before(&event)))
            }
            Err(ApiError::Refused { code: WRONG_LAST_SEQUENCE, .. }) => Ok(Attempt::Stale),
            Err(ApiError::Refused { code: BATCH_DUPLICATE, .. }) => Ok(Attempt::Known),
            // Nothing of it was kept: it may be tried again as it is.
            Err(ApiError::Refused {
                code: WRONG_LAST_SEQUENCE_BUSY | DUPLICATE_BUSY | BATCHES_BUSY | BATCH_INCOMPLETE,
                ..
            }) => Ok(Attempt::Busy),
            Err(ApiError::TooLarge | ApiError::Refused { code: MESSAGE_TOO_LARGE, .. }) => {
                Err(AppendError::Size)
            }
            Err(error) => Err(AppendError::Unavailable(error.to_string())),
        }
    }
}

impl Publisher {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, batches: Semaphore::new(BATCHES_MAX) }
    }

    /// One event is one message; several are a batch that the servers keep as a whole or not.
    async fn publish(&self, append: &Append, end: End) -> Result<Acknowledgement, ApiError> {
        let Reader { api, subjects, .. } = &self.reader;
        let subject = subjects.of(&append.stream);
        let count = append.events.len();
        if let [event] = &append.events[..] {
            let headers = headers(append, event, 0, end);
            return api.send(subject, headers, event.body.clone()).await;
        }
        // Closed never: the semaphore lives as long as the log.
        let _place = self.batches.acquire().await;
        let batch = Uuid::new_v4().simple().to_string();
        for (place, event) in append.events.iter().enumerate() {
            let mut headers = headers(append, event, place as u64, end);
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", (place + 1).to_string());
            if place + 1 == count {
                headers.insert("Nats-Batch-Commit", "1");
                return api.send(subject, headers, event.body.clone()).await;
            }
            api.connected().await?;
            let sent =
                api.client.publish_with_headers(subject.clone(), headers, event.body.clone());
            sent.await.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => ApiError::TooLarge,
                _ => ApiError::Away(error.to_string()),
            })?;
        }
        Err(ApiError::Away("nothing to append".to_owned()))
    }
}

fn headers(append: &Append, event: &NewEvent, place: u64, end: End) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let CommandId(command) = append.command_id;
    // The servers know ids per topic, commands are known per stream.
    let stream = fingerprint(append.stream.key());
    headers.insert("Nats-Msg-Id", format!("{}-{stream:x}-{place}", command.simple()));
    if place == 0 {
        headers.insert("Nats-Expected-Last-Subject-Sequence", end.sequence.to_string());
    }
    headers.insert(VERSION, (end.version.0 + place + 1).to_string());
    headers.insert(COMMAND_ID, command.simple().to_string());
    headers.insert(EVENT_TYPE, &*event.event_type);
    headers.insert("Content-Type", "application/cloudevents+json");
    headers
}
