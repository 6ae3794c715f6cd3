//! Reading by sequence, without consumers: nothing is kept on the servers for a reader, and a
//! reader that was away, or a server that was restarted, changes nothing.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use super::api::{Api, ApiError, NO_MESSAGE};
use super::page::Page;
use super::subject::Subjects;
use super::{COMMAND_ID, EVENT_TYPE, VERSION};
use crate::envelope::{CommandId, RecordedEvent};
use crate::log::{ReadError, ReadLimit};
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

/// What one request for a stream's events may bring.
const STREAM_PAGE: ReadLimit = ReadLimit { events_max: 1_000, bytes_max: 4 * 1024 * 1024 };

/// How many events are read for nothing rather than looked for.
const EVENTS_SKIPPED_MAX: u64 = 64;

/// How often a replica that is behind is asked again, and the pause before that.
pub(super) const REPLICA_ATTEMPTS: u32 = 50;
pub(super) const REPLICA_PAUSE: Duration = Duration::from_millis(10);

/// The status where there is no message.
pub(super) const NOT_FOUND: u16 = 404;

/// Reads one log. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) api: Api,
    pub(super) subjects: Subjects,
    pub(super) log: LogId,
    /// Answers may come from replicas that are a moment behind.
    pub(super) replicated: bool,
    /// See [`JetStreamOptions::stale`](super::JetStreamOptions::stale).
    pub(super) stale: Duration,
}

#[derive(Deserialize)]
pub(super) struct Found {
    pub(super) message: FoundMessage,
}

#[derive(Deserialize)]
pub(super) struct FoundMessage {
    pub(super) seq: u64,
}

impl Reader {
    /// The events of one stream behind a place and a version, as complete as its leader has them.
    pub(super) async fn read(
        &self,
        stream: &StreamId,
        from: Sequence,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = self.kept(stream, from).await?;
        events.retain(|event| event.version > after);
        self.complete(stream, after, None, &mut events).await?;
        Ok(events)
    }

    /// What is still where it was appended.
    async fn kept(
        &self,
        stream: &StreamId,
        from: Sequence,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let (topic, subject) = (stream.topic(), self.subjects.of(stream));
        let complete = self.last_sequence_of(topic, &subject).await?;
        let mut events: Vec<RecordedEvent> = Vec::new();
        for _ in 0..REPLICA_ATTEMPTS {
            loop {
                let after = events.last().map_or(from, |event| event.position.sequence);
                let page = self.page(topic, after, &subject, STREAM_PAGE).await?;
                events.extend(page.events);
                if page.pending == 0 {
                    break;
                }
            }
            let read = events.last().map_or(from, |event| event.position.sequence);
            if complete.is_none_or(|complete| read >= complete) {
                return Ok(events);
            }
            sleep(REPLICA_PAUSE).await;
        }
        Err(ReadError::Unavailable("a replica is too far behind".to_owned()))
    }

    /// The first events of one stream after a version, which is behind the place and not far; as many as
    /// its leader has. A replica that is behind gives a page that looks like the last one.
    pub(super) async fn read_page(
        &self,
        stream: &StreamId,
        from: Sequence,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let (topic, subject) = (stream.topic(), self.subjects.of(stream));
        let complete = self.last_sequence_of(topic, &subject).await?;
        let (mut seen, mut attempts) = (from, 0);
        loop {
            let Page { mut events, pending } =
                self.page(topic, seen, &subject, STREAM_PAGE).await?;
            let read = events.last().map_or(seen, |event| event.position.sequence);
            if pending == 0 && complete.is_some_and(|complete| read < complete) {
                attempts += 1;
                if attempts >= REPLICA_ATTEMPTS {
                    return Err(away("a replica is too far behind"));
                }
                sleep(REPLICA_PAUSE).await;
                continue;
            }
            seen = read;
            events.retain(|event| event.version > after);
            if !events.is_empty() || pending == 0 {
                let to = (pending > 0).then_some(seen);
                self.complete(stream, after, to, &mut events).await?;
                limit.cut(&mut events);
                return Ok(events);
            }
        }
    }

    /// A place that a version of a stream is behind, and not far: a click recorder's stream has
    /// millions of events, of which only the last are asked for. Found by halving.
    pub(super) async fn before_version(
        &self,
        stream: &StreamId,
        version: Version,
    ) -> Result<Sequence, ReadError> {
        let (topic, subject) = (stream.topic(), self.subjects.of(stream));
        let mut low = Sequence::START;
        if version.0 <= EVENTS_SKIPPED_MAX {
            return Ok(low);
        }
        let Some(last) = self.last(stream).await? else { return Ok(low) };
        let mut high = last.position.sequence;
        while high.0 - low.0 > 1 {
            let middle = Sequence(low.0.midpoint(high.0));
            let limit = ReadLimit { events_max: 1, ..STREAM_PAGE };
            let next = self.page(topic, middle, &subject, limit).await?.events.pop();
            match next {
                Some(next) if next.version < version => {
                    low = next.position.sequence;
                    if version.0 - next.version.0 <= EVENTS_SKIPPED_MAX {
                        return Ok(low);
                    }
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }

    pub(super) async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        let kept = self.last_kept(stream).await?;
        self.last_behind(stream, kept).await
    }

    /// The last event that is still where it was appended.
    pub(super) async fn last_kept(
        &self,
        stream: &StreamId,
    ) -> Result<Option<RecordedEvent>, ReadError> {
        let (topic, subject) = (stream.topic(), self.subjects.of(stream));
        if self.replicated {
            let Some(last) = self.last_sequence_of(topic, &subject).await? else { return Ok(None) };
            return self.kept(stream, Sequence(last.0 - 1)).await.map(|mut events| events.pop());
        }
        let name = self.subjects.stream_name(topic);
        let request = format!("$JS.API.DIRECT.GET.{name}.{subject}");
        let answer = self.api.request(request, HeaderMap::new(), Bytes::new()).await?;
        match status(&answer) {
            None => self.event(topic, &answer).map(Some),
            Some(NOT_FOUND) => Ok(None),
            Some(status) => Err(away(&format!("status {status}"))),
        }
    }

    /// An event by its place.
    pub(super) async fn at(
        &self,
        topic: Topic,
        sequence: Sequence,
    ) -> Result<RecordedEvent, ReadError> {
        let limit = ReadLimit { events_max: 1, ..STREAM_PAGE };
        let before = Sequence(sequence.0.saturating_sub(1));
        for _ in 0..REPLICA_ATTEMPTS {
            let page = self.page(topic, before, &self.subjects.all(topic), limit).await?;
            let next = page.events.into_iter().next();
            if next.as_ref().is_none_or(|next| next.position.sequence != sequence)
                && let Some(found) = self.rewritten_at(topic, sequence).await?
            {
                return Ok(found.event);
            }
            if let Some(event) = next {
                return Ok(event);
            }
            sleep(REPLICA_PAUSE).await;
        }
        Err(away("an event that is on the log can't be read"))
    }

    /// What the leader knows of a subject, where others may be behind it.
    async fn last_sequence_of(
        &self,
        topic: Topic,
        subject: &str,
    ) -> Result<Option<Sequence>, ReadError> {
        if !self.replicated {
            return Ok(None);
        }
        self.leaders_last(topic, subject).await
    }

    /// What the leader knows of a subject.
    pub(super) async fn leaders_last(
        &self,
        topic: Topic,
        subject: &str,
    ) -> Result<Option<Sequence>, ReadError> {
        let name = format!("STREAM.MSG.GET.{}", self.subjects.stream_name(topic));
        match self.api.ask::<Found>(&name, &json!({ "last_by_subj": subject })).await {
            Ok(found) => Ok(Some(Sequence(found.message.seq))),
            Err(ApiError::Refused { code: NO_MESSAGE, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn event(
        &self,
        topic: Topic,
        message: &Message,
    ) -> Result<RecordedEvent, ReadError> {
        let headers = message.headers.as_ref();
        let text = |name: &str| headers.and_then(|headers| headers.get(name));
        let read = || {
            Some(RecordedEvent {
                position: Position {
                    log: self.log,
                    topic,
                    sequence: Sequence(number(headers, "Nats-Sequence")?),
                },
                stream: self.subjects.stream(topic, text("Nats-Subject")?.as_str())?,
                version: Version(number(headers, VERSION)?),
                command_id: CommandId(Uuid::parse_str(text(COMMAND_ID)?.as_str()).ok()?),
                event_type: text(EVENT_TYPE)?.as_str().into(),
                body: message.payload.clone(),
            })
        };
        read().ok_or_else(|| {
            let place = number(headers, "Nats-Sequence").unwrap_or_default();
            away(&format!("message {place} of {topic} was not written by this program"))
        })
    }
}

pub(super) fn status(message: &Message) -> Option<u16> {
    message.status.map(|status| status.as_u16())
}

pub(super) fn number(headers: Option<&HeaderMap>, name: &str) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}

pub(super) fn away(reason: &str) -> ReadError {
    ReadError::Unavailable(reason.to_owned())
}

impl From<ApiError> for ReadError {
    fn from(error: ApiError) -> Self {
        ReadError::Unavailable(error.to_string())
    }
}
