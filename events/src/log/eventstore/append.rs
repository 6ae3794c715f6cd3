//! Appending: the version check by the servers, commands by what their streams say.
//!
//! A command that a stream has seen is found in two ways. Its last [`COMMANDS_MAX`] commands, or
//! those of its last 16 MiB, are known before anything is sent. All others are found when the
//! version that the command expects is no longer the stream's. What is left: a command older than
//! that, sent again with *today's* version. Links are never in this case, as a command on a link
//! reads all of it first; of clicks, a batch would have to be repeated after as many later ones.

use ::eventstore::{Client, Error, EventData, ExpectedRevision};
use async_trait::async_trait;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::commands::{COMMANDS_MAX, Commands};
use super::connection::CallError;
use super::read::{Marks, Reader};
use crate::envelope::{CommandId, NewEvent, RecordedEvent};
use crate::log::versioned::{Attempt, End, Servers, before};
use crate::log::{Append, AppendError, Appended, ReadError, ReadLimit};
use crate::position::{StreamId, Version};

/// How far back commands are looked for on a stream that is not known yet.
const LOOKED_BACK: ReadLimit = ReadLimit { events_max: COMMANDS_MAX, bytes_max: 16 * 1024 * 1024 };

/// Sends what is to be appended.
#[derive(Debug)]
pub(super) struct Sender {
    reader: Reader,
    commands: Commands,
}

#[async_trait]
impl Servers for Sender {
    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        self.reader.last(stream).await
    }

    async fn behind(&self, stream: &StreamId, end: End) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read(stream, end.version).await
    }

    async fn attempt(&self, append: &Append, end: End) -> Result<Attempt, AppendError> {
        let stream = &append.stream;
        self.recall(stream, end.version).await?;
        if let Some(answer) = self.commands.answer(stream, append.command_id) {
            return Ok(Attempt::Done(answer));
        }
        let attempt = Uuid::new_v4();
        match self.send(append, end.version, attempt).await {
            Ok(()) => {}
            Err(CallError::Refused(Error::WrongExpectedVersion { .. })) => {
                return Ok(Attempt::Stale);
            }
            Err(error) => return Err(error.into()),
        }
        // The answer is the same for who wrote the events and for who came second with the same ids.
        let version = Version(end.version.0 + append.events.len() as u64);
        let found = self.reader.at(stream, version).await?;
        let ours = |found: &super::read::Found| found.event.command_id == append.command_id;
        let Some(found) = found.filter(ours) else {
            return Err(AppendError::Unavailable("what was appended can't be read".to_owned()));
        };
        self.commands.advance(stream, end.version, &found.event);
        let duplicate = found.attempt != attempt;
        Ok(Attempt::Done(Appended { duplicate, ..before(&found.event) }))
    }
}

impl Sender {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, commands: Commands::default() }
    }

    /// Makes sure that the commands of a stream are known up to a version.
    async fn recall(&self, stream: &StreamId, version: Version) -> Result<(), ReadError> {
        let events = match self.commands.known_to(stream) {
            Some(known) if known >= version => return Ok(()),
            Some(known) => self.reader.read(stream, known).await?,
            None if version == Version::NONE => return Ok(()),
            None => self.reader.tail(stream, LOOKED_BACK).await?,
        };
        self.commands.add(stream, &events);
        Ok(())
    }

    async fn send(
        &self,
        append: &Append,
        version: Version,
        attempt: Uuid,
    ) -> Result<(), CallError> {
        let expected = match version {
            Version::NONE => ExpectedRevision::NoStream,
            Version(version) => ExpectedRevision::Exact(version - 1),
        };
        let connection = &self.reader.connection;
        let options = connection.append_options().expected_revision(expected);
        let name = self.reader.names.of(&append.stream);
        let marks = Marks { command: append.command_id, attempt };
        let events: Result<Vec<EventData>, serde_json::Error> = append
            .events
            .iter()
            .enumerate()
            .map(|(place, event)| {
                let id = event_id(append.command_id, &name, place);
                data(event).id(id).metadata_as_json(&marks)
            })
            .collect();
        let events = events.map_err(|error| CallError::Odd(error.to_string()))?;
        let send = async |client: &Client| client.append_to_stream(&*name, &options, events).await;
        connection.call()?.soon(send).await.map(|_| ())
    }
}

/// The servers keep the bytes as they are, and show those of JSON.
fn data(event: &NewEvent) -> EventData {
    if let Ok(json) = serde_json::from_slice::<&RawValue>(&event.body)
        && json.get().len() == event.body.len()
        && let Ok(data) = EventData::json(&event.event_type, &json)
    {
        return data;
    }
    EventData::binary(&event.event_type, event.body.clone())
}

/// The same command has the same event ids on the same stream, however often it is sent.
fn event_id(CommandId(command): CommandId, stream: &str, place: usize) -> Uuid {
    Uuid::new_v5(&command, format!("{stream}/{place}").as_bytes())
}
