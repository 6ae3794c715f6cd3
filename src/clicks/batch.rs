//! From clicks to an append.

use hoplog_events::click::ClicksData;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::{Append, AppendError, ExpectedVersion};
use hoplog_events::position::{StreamId, Version};
use uuid::Uuid;

use crate::clock::Clock;

/// One append of one event, at a version.
pub(super) fn clicks_event(
    stream: &StreamId,
    version: Version,
    clicks: &ClicksData,
    clock: &Clock,
    actor: &str,
) -> Result<Append, AppendError> {
    let command_id = CommandId(Uuid::now_v7());
    let metadata =
        Metadata { actor: actor.into(), command_id, command_hash: None, correlation_id: None };
    let event = NewEvent::write_clicks(stream, clicks, Uuid::now_v7(), clock.now(), &metadata)
        .map_err(|error| AppendError::Unavailable(error.to_string()))?;
    let (stream, expected) = (stream.clone(), ExpectedVersion::Exact(version));
    Ok(Append { stream, expected, command_id, events: vec![event] })
}
