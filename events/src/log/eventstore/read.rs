//! Reading the streams, and telling an event of ours from others.

use std::sync::Arc;

use ::eventstore::{Error, ReadStreamOptions, ResolvedEvent, StreamPosition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::connection::{CallError, Connection};
use super::heads::Heads;
use super::names::Names;
use crate::envelope::{CommandId, RecordedEvent};
use crate::log::{ReadError, ReadLimit};
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

/// Reads one log. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) connection: Arc<Connection>,
    pub(super) names: Names,
    pub(super) log: LogId,
    pub(super) heads: Arc<Heads>,
}

/// What stands beside the body of every event.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marks {
    /// The command that caused it.
    pub(super) command: CommandId,
    /// The attempt that wrote it: the same command may be sent several times.
    pub(super) attempt: Uuid,
}

/// An event as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) event: RecordedEvent,
    pub(super) attempt: Uuid,
}

impl Reader {
    /// All events of a stream behind a version.
    pub(super) async fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let all = ReadLimit { events_max: usize::MAX, bytes_max: usize::MAX };
        self.read_page(stream, after, all).await
    }

    /// The first events of a stream after a version.
    pub(super) async fn read_page(
        &self,
        stream: &StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        // The first event's revision is 0, its version 1.
        let options = self.connection.read_stream_options();
        let options = options.position(StreamPosition::Position(after.0));
        let options = options.max_count(limit.events_max.max(1));
        let found = self.stream(stream, options, limit.bytes_max).await?;
        let mut events = found.into_iter().map(|found| found.event).collect();
        limit.cut(&mut events);
        Ok(events)
    }

    /// The last events of a stream, oldest first.
    pub(super) async fn tail(
        &self,
        stream: &StreamId,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let options = self.connection.read_stream_options();
        let options = options.position(StreamPosition::End).max_count(limit.events_max);
        let found = self.stream(stream, options, limit.bytes_max).await?;
        Ok(found.into_iter().rev().map(|found| found.event).collect())
    }

    pub(super) async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        let limit = ReadLimit { events_max: 1, ..ReadLimit::default() };
        Ok(self.tail(stream, limit).await?.pop())
    }

    /// The event that a stream got a version with.
    pub(super) async fn at(
        &self,
        stream: &StreamId,
        version: Version,
    ) -> Result<Option<Found>, ReadError> {
        let options = self.connection.read_stream_options();
        let revision = version.0.saturating_sub(1);
        let options = options.position(StreamPosition::Position(revision)).max_count(1);
        Ok(self.stream(stream, options, usize::MAX).await?.pop())
    }

    /// The events of a stream as the options say, until they are more than so many bytes.
    async fn stream(
        &self,
        stream: &StreamId,
        options: ReadStreamOptions,
        bytes_max: usize,
    ) -> Result<Vec<Found>, ReadError> {
        let name = self.names.of(stream);
        let call = self.connection.call()?;
        let mut answer = call.soon(async |client| client.read_stream(name, &options).await).await?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        loop {
            match call.soon(async |_| answer.next().await).await {
                Ok(Some(event)) => {
                    let found = self.found(stream.topic(), event)?;
                    bytes += found.event.body.len();
                    events.push(found);
                }
                Ok(None) => return Ok(events),
                Err(CallError::Refused(Error::ResourceNotFound)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            }
            if bytes >= bytes_max {
                return Ok(events);
            }
        }
    }

    /// An event of ours, as the servers gave it.
    pub(super) fn found(&self, topic: Topic, event: ResolvedEvent) -> Result<Found, CallError> {
        let Some(event) = event.event else {
            return Err(CallError::Odd("an event that is no longer there".to_owned()));
        };
        let place = event.position;
        let marks = serde_json::from_slice::<Marks>(&event.custom_metadata);
        let stream = self.names.stream(topic, &event.stream_id);
        // They differ where a transaction of the old protocol was written: not by this program.
        let (Ok(marks), Some(stream), true) = (marks, stream, place.commit == place.prepare) else {
            let name = event.stream_id;
            let text = format!("event {place} in stream {name} was not written by this program");
            return Err(CallError::Odd(text));
        };
        let position = Position { log: self.log, topic, sequence: Sequence(place.commit) };
        let event = RecordedEvent {
            position,
            stream,
            version: Version(event.revision + 1),
            command_id: marks.command,
            event_type: event.event_type.into(),
            body: event.data,
        };
        Ok(Found { event, attempt: marks.attempt })
    }
}
