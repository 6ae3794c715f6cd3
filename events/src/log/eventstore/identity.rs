//! The log's id: the first event of a stream of its own.

use ::eventstore::{Client, Error, EventData, ExpectedRevision};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::EventStoreOpenError;
use super::connection::{CallError, Connection};
use super::names::Names;
use crate::position::LogId;

/// The type of that event.
const LOG_MADE: &str = "hoplog.log.made.v1";

/// What it says.
#[derive(Serialize, Deserialize)]
struct LogMade {
    log: LogId,
}

impl From<CallError> for EventStoreOpenError {
    fn from(error: CallError) -> Self {
        Self::Connect(error.to_string())
    }
}

/// The id of the log that is there, or that of a new one. Of nodes that start together, one makes it.
pub(super) async fn open(
    connection: &Connection,
    names: &Names,
) -> Result<LogId, EventStoreOpenError> {
    if let Some(log) = read(connection, names).await? {
        return Ok(log);
    }
    let log = LogId(Uuid::now_v7());
    let made = EventData::json(LOG_MADE, &LogMade { log });
    let made = made.map_err(|error| EventStoreOpenError::Connect(error.to_string()))?;
    let options = connection.append_options().expected_revision(ExpectedRevision::NoStream);
    let append = async |client: &Client| client.append_to_stream(names.log(), &options, made).await;
    match connection.call()?.soon(append).await {
        Ok(_) | Err(CallError::Refused(Error::WrongExpectedVersion { .. })) => {}
        Err(error) => return Err(error.into()),
    }
    let nothing = || EventStoreOpenError::Connect("the log's id can't be read".to_owned());
    read(connection, names).await?.ok_or_else(nothing)
}

async fn read(
    connection: &Connection,
    names: &Names,
) -> Result<Option<LogId>, EventStoreOpenError> {
    let options = connection.read_stream_options().max_count(1);
    let first =
        async |client: &Client| client.read_stream(names.log(), &options).await?.next().await;
    let first = match connection.call()?.soon(first).await {
        Ok(first) => first.and_then(|first| first.event),
        Err(CallError::Refused(Error::ResourceNotFound)) => None,
        Err(error) => return Err(error.into()),
    };
    let Some(first) = first else { return Ok(None) };
    let foreign = |_| EventStoreOpenError::Foreign(names.log());
    let LogMade { log } = serde_json::from_slice(&first.data).map_err(foreign)?;
    Ok(Some(log))
}
