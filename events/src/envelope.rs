//! How an event is written down: CloudEvents 1.0, structured mode, JSON.
//!
//! The bytes are made once, by the writer, and every backend keeps them as they are, and an export
//! carries them along. They change only where personal data is erased ([`crate::erasure`]). What the log adds (position, version) is not in them;
//! [`RecordedEvent::to_cloud_event`] adds it for readers.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::catalogue::{CLICKS_RECORDED, DecodeError, Event};
use crate::click::ClicksData;
use crate::position::{Position, StreamId, Version};

mod secrets;

pub(crate) use secrets::{may_lack_hash, may_lack_secret};

/// The identity of a command: the same command sent twice has the same id and is done once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

/// Who asked for what: the part of the envelope that the command brings along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Who did it: `key:<id>`, `system:<job>` or `visitor`.
    pub actor: Box<str>,
    /// The command that caused the event.
    pub command_id: CommandId,
    /// A hash of what the command asked for; tells a retry from another request that was given
    /// the same idempotency key.
    pub command_hash: Option<Box<str>>,
    /// The request the command came with (`X-Request-Id`).
    pub correlation_id: Option<Box<str>>,
}

/// An event before it is appended: its type and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The CloudEvents `id`; UUID v7.
    pub id: Uuid,
    /// The CloudEvents `type`, so that a backend or a reader can filter without parsing.
    pub event_type: Box<str>,
    /// The whole envelope as JSON.
    pub body: Bytes,
}

/// An event as it was appended, with the place the log gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Where it is in its topic.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The version the stream has with it: 1 for the first event.
    pub version: Version,
    /// The command that caused it.
    pub command_id: CommandId,
    /// The CloudEvents `type`.
    pub event_type: Box<str>,
    /// The whole envelope as JSON, as it was written.
    pub body: Bytes,
}

/// What an envelope says, with the event in its current version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The CloudEvents `id`.
    pub id: Uuid,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// When it was written down.
    pub recorded_time: DateTime<Utc>,
    /// Who asked for what.
    pub metadata: Metadata,
    /// What happened.
    pub event: Event,
}

/// The JSON of an envelope. The order of the fields is the order in which they are written.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    specversion: &'a str,
    id: Uuid,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: std::borrow::Cow<'a, str>,
    time: DateTime<Utc>,
    datacontenttype: &'a str,
    recordedtime: DateTime<Utc>,
    actor: std::borrow::Cow<'a, str>,
    commandid: CommandId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commandhash: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlationid: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    data: std::borrow::Cow<'a, RawValue>,
}

impl NewEvent {
    /// Writes an event down.
    ///
    /// # Errors
    /// When the data can't be written as JSON, which no event of the catalogue does.
    pub fn write(
        stream: &StreamId,
        event: &Event,
        id: Uuid,
        time: DateTime<Utc>,
        recorded_time: DateTime<Utc>,
        metadata: &Metadata,
    ) -> Result<Self, serde_json::Error> {
        let data = event.data()?;
        let head = Head { stream, event_type: event.type_name(), id, time, recorded_time };
        let body = Bytes::from(serde_json::to_vec(&head.wire(metadata, &data))?);
        Ok(Self { id, event_type: event.type_name().into(), body })
    }

    /// Writes down clicks whose data is written already.
    ///
    /// # Errors
    /// When the envelope can't be written as JSON, which none is.
    pub fn write_clicks(
        stream: &StreamId,
        clicks: &ClicksData,
        id: Uuid,
        recorded_time: DateTime<Utc>,
        metadata: &Metadata,
    ) -> Result<Self, serde_json::Error> {
        let event_type = CLICKS_RECORDED;
        let time = clicks.first_at().unwrap_or(recorded_time);
        let head = Head { stream, event_type, id, time, recorded_time };
        // The data is the last thing in an envelope.
        let mut body = Vec::with_capacity(ENVELOPE_BYTES + clicks.bytes());
        serde_json::to_writer(&mut body, &head.wire(metadata, RawValue::NULL))?;
        body.truncate(body.len() - "null}".len());
        clicks.write_to(&mut body);
        body.push(b'}');
        Ok(Self { id, event_type: event_type.into(), body: Bytes::from(body) })
    }
}

/// More than an envelope takes beside its data, as a rule.
const ENVELOPE_BYTES: usize = 1_024;

/// What an envelope says of an event before its data.
struct Head<'a> {
    stream: &'a StreamId,
    event_type: &'a str,
    id: Uuid,
    time: DateTime<Utc>,
    recorded_time: DateTime<Utc>,
}

impl<'a> Head<'a> {
    fn wire(&self, metadata: &'a Metadata, data: &'a RawValue) -> Wire<'a> {
        Wire {
            specversion: "1.0",
            id: self.id,
            source: "/hoplog",
            event_type: self.event_type,
            subject: self.stream.key().into(),
            time: self.time,
            datacontenttype: "application/json",
            recordedtime: self.recorded_time,
            actor: (&*metadata.actor).into(),
            commandid: metadata.command_id,
            commandhash: metadata.command_hash.as_deref().map(Into::into),
            correlationid: metadata.correlation_id.as_deref().map(Into::into),
            data: std::borrow::Cow::Borrowed(data),
        }
    }
}

impl RecordedEvent {
    /// Reads the envelope and lifts the event to its current version; `None`: the type is
    /// unknown here and is to be skipped.
    ///
    /// # Errors
    /// When the bytes are not an envelope or the data does not fit its type.
    pub fn decode(&self) -> Result<Option<Envelope>, DecodeError> {
        let wire: Wire<'_> = serde_json::from_slice(&self.body).map_err(|error| DecodeError {
            event_type: self.event_type.to_string(),
            reason: format!("envelope: {error}"),
        })?;
        let Some(event) = Event::decode(wire.event_type, wire.data.get())? else {
            return Ok(None);
        };
        let metadata = Metadata {
            actor: wire.actor.into(),
            command_id: wire.commandid,
            command_hash: wire.commandhash.map(Into::into),
            correlation_id: wire.correlationid.map(Into::into),
        };
        Ok(Some(Envelope {
            id: wire.id,
            time: wire.time,
            recorded_time: wire.recordedtime,
            metadata,
            event,
        }))
    }

    /// The event as a reader of the stream sees it: the envelope as it was written, followed by
    /// `sequence` (CloudEvents extension, 20 digits so that text order is log order),
    /// `position` (the opaque token to resume from) and `streamversion`. The secrets of webhooks and
    /// codes are for nobody who reads the stream: they are left out, and of a password it says whether there is
    /// one.
    #[must_use]
    pub fn to_cloud_event(&self) -> String {
        if self.has_secret() {
            return self.placed(&self.without_secret().unwrap_or_default());
        }
        self.placed(&String::from_utf8_lossy(&self.body))
    }

    /// The same with other data in it: a part of what there is.
    ///
    /// # Errors
    /// When the bytes are not an envelope.
    pub fn to_cloud_event_with(&self, data: &RawValue) -> Result<String, serde_json::Error> {
        let mut wire: Wire<'_> = serde_json::from_slice(&self.body)?;
        wire.data = std::borrow::Cow::Borrowed(data);
        Ok(self.placed(&serde_json::to_string(&wire)?))
    }

    /// An envelope that says where it is.
    fn placed(&self, body: &str) -> String {
        let open = body.trim_end().strip_suffix('}').unwrap_or("{\"specversion\":\"1.0\"");
        format!(
            "{open},\"sequence\":\"{:020}\",\"position\":\"{}\",\"streamversion\":\"{}\"}}",
            self.position.sequence.0, self.position, self.version
        )
    }
}

/// An instant as every JSON of ours writes it: RFC 3339, UTC, `Z`, as many decimals as it needs.
#[must_use]
pub fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
