//! Appending: one message per event, the version check by the servers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use uuid::Uuid;

use super::api::{
    ApiError, BATCH_DUPLICATE, DUPLICATE_BUSY, WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_BUSY,
};
use super::read::Reader;
use super::subject::fingerprint;
use super::{COMMAND_ID, EVENT_TYPE, VERSION};
use crate::envelope::{CommandId, NewEvent, RecordedEvent};
use crate::log::{APPEND_BYTES_MAX, Append, AppendError, Appended, ExpectedVersion, ReadError};
use crate::position::{Position, Sequence, StreamId, Version};

/// How often an append is tried again because another one is in its way.
const ATTEMPTS_MAX: u32 = 64;

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Streams whose end is remembered, so that who appends to one again need not ask.
const ENDS_MAX: usize = 4_096;

/// Batches on their way at the same time; the servers refuse more than 50 per stream.
const BATCHES_MAX: usize = 32;

/// Where a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct End {
    version: Version,
    sequence: Sequence,
}

impl End {
    fn is(self, expected: ExpectedVersion) -> bool {
        match expected {
            ExpectedVersion::Any => true,
            ExpectedVersion::Exact(version) => self.version == version,
        }
    }
}

/// Appends to one log.
#[derive(Debug)]
pub(super) struct Writer {
    reader: Reader,
    ends: Mutex<HashMap<StreamId, End>>,
    batches: Semaphore,
}

/// What became of one attempt.
enum Attempt {
    Done(Appended),
    /// The stream is not where it was believed to be.
    Stale,
    /// The command is on the log already.
    Known,
    /// Another write of the same is on its way.
    Busy,
}

#[derive(Deserialize)]
struct Acknowledgement {
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

impl Writer {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, ends: Mutex::default(), batches: Semaphore::new(BATCHES_MAX) }
    }

    pub(super) async fn append(&self, append: &Append) -> Result<Appended, AppendError> {
        let bytes: usize = append.events.iter().map(|event| event.body.len()).sum();
        if append.events.is_empty() || bytes > APPEND_BYTES_MAX {
            return Err(AppendError::Size);
        }
        let mut assumed = self.assumed_end(append);
        let mut searched = false;
        for attempt in 0..ATTEMPTS_MAX {
            let end = match assumed.take() {
                Some(end) => end,
                None => self.look(&append.stream).await?,
            };
            if !end.is(append.expected) {
                let before =
                    if searched { None } else { self.find(append, Sequence::START).await? };
                return before.ok_or(AppendError::Conflict { actual: end.version });
            }
            let after = match self.attempt(append, end).await? {
                Attempt::Done(appended) => return Ok(appended),
                Attempt::Busy => {
                    pause(attempt).await;
                    assumed = Some(end);
                    continue;
                }
                Attempt::Known => Sequence::START,
                Attempt::Stale => end.sequence,
            };
            self.forget(&append.stream);
            if let Some(appended) = self.find(append, after).await? {
                return Ok(appended);
            }
            searched = true;
        }
        Err(AppendError::Unavailable("too many append to the same stream".to_owned()))
    }

    /// Where the stream ends, if that is known or the servers are to say whether it is so.
    fn assumed_end(&self, append: &Append) -> Option<End> {
        let known = {
            let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.get(&append.stream).copied()
        };
        let claimed = (append.expected == ExpectedVersion::Exact(Version::NONE)).then(End::default);
        known.filter(|end| end.is(append.expected)).or(claimed)
    }

    async fn look(&self, stream: &StreamId) -> Result<End, AppendError> {
        let last = self.reader.last(stream).await?;
        Ok(last.map_or_else(End::default, |last| End {
            version: last.version,
            sequence: last.position.sequence,
        }))
    }

    /// What this command has appended to its stream after a place, if it has.
    async fn find(
        &self,
        append: &Append,
        after: Sequence,
    ) -> Result<Option<Appended>, AppendError> {
        let events = self.reader.read(&append.stream, after).await?;
        let found = events.iter().rfind(|event| event.command_id == append.command_id);
        Ok(found.map(before))
    }

    async fn attempt(&self, append: &Append, end: End) -> Result<Attempt, AppendError> {
        match self.publish(append, end).await {
            Ok(Acknowledgement { seq, duplicate: false }) => {
                let version = Version(end.version.0 + append.events.len() as u64);
                let sequence = Sequence(seq);
                self.remember(&append.stream, End { version, sequence });
                let position =
                    Position { log: self.reader.log, topic: append.stream.topic(), sequence };
                Ok(Attempt::Done(Appended { position, version, duplicate: false }))
            }
            Ok(Acknowledgement { seq, duplicate: true }) => {
                let event = self.reader.at(append.stream.topic(), Sequence(seq)).await?;
                Ok(Attempt::Done(before(&event)))
            }
            Err(ApiError::Refused { code: WRONG_LAST_SEQUENCE, .. }) => Ok(Attempt::Stale),
            Err(ApiError::Refused { code: BATCH_DUPLICATE, .. }) => Ok(Attempt::Known),
            Err(ApiError::Refused { code: WRONG_LAST_SEQUENCE_BUSY | DUPLICATE_BUSY, .. }) => {
                Ok(Attempt::Busy)
            }
            Err(error) => Err(AppendError::Unavailable(error.to_string())),
        }
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
            api.connected()?;
            let sent =
                api.client.publish_with_headers(subject.clone(), headers, event.body.clone());
            sent.await.map_err(|error| ApiError::Away(error.to_string()))?;
        }
        Err(ApiError::Away("nothing to append".to_owned()))
    }

    fn remember(&self, stream: &StreamId, end: End) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= ENDS_MAX {
            ends.clear();
        }
        ends.insert(stream.clone(), end);
    }

    fn forget(&self, stream: &StreamId) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
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

/// The answer that the event's command was given when it was new.
fn before(event: &RecordedEvent) -> Appended {
    Appended { position: event.position, version: event.version, duplicate: true }
}

/// Those who met step back for different times.
async fn pause(attempt: u32) {
    let longest = PAUSE_MAX.min(Duration::from_micros(200 << attempt.min(8)));
    let (random, _) = Uuid::new_v4().as_u64_pair();
    sleep(longest * u32::try_from(random % 256).unwrap_or_default() / 256).await;
}

impl From<ReadError> for AppendError {
    fn from(error: ReadError) -> Self {
        AppendError::Unavailable(error.to_string())
    }
}
