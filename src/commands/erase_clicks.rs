//! Erase who made some clicks.
//!
//! The batches are rewritten first, then an event says of which clicks: whoever learns of it finds
//! the log as it is to be. Asking again for clicks that are anonymous already changes nothing.

use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use hoplog_events::catalogue::Event;
use hoplog_events::click::{ClicksErased, ErasedClickRecord};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent, RecordedEvent};
use hoplog_events::erasure::{ErasedClick, erase_clicks};
use hoplog_events::log::{Append, ExpectedVersion, ReadError, ReadLimit, Rewrite};
use hoplog_events::position::{Position, Sequence, StreamId, Topic, Version};
use uuid::Uuid;

use super::erasure::{Attempts, Rewrites, rewrite_of};
use super::{Commands, EraseError};

/// One event.
pub(super) const ONE: ReadLimit = ReadLimit { events_max: 1, bytes_max: 1 };

/// How many events are read at the same time.
const READS_MAX: usize = 16;

/// Clicks in one event: with the longest names it still fits into every log.
pub const EVENT_CLICKS_MAX: usize = 500;

/// A click whose visitor is to be erased: where it is, and what stands in his place.
#[derive(Debug, Clone)]
pub struct AnonymousClick {
    /// Where the event is that holds it.
    pub sequence: Sequence,
    /// What is told of it.
    pub record: ErasedClickRecord,
}

/// Who asked for an erasure, and when it is told. Not in which request: all clicks of a visitor could be
/// put together again by it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Written with the event.
    pub actor: Box<str>,
    /// When.
    pub now: DateTime<Utc>,
}

impl Commands {
    /// Makes clicks anonymous on the log; they are in the order of the log. Gives how many events
    /// were rewritten.
    ///
    /// # Errors
    /// See [`EraseError`].
    pub async fn rewrite_clicks(&self, clicks: &[AnonymousClick]) -> Result<usize, EraseError> {
        let (mut rewrites, mut attempts) = (Rewrites::default(), Attempts::default());
        while let Err(error) = self.rewrite_all(clicks, &mut rewrites).await {
            attempts.again(error, &mut rewrites).await?;
        }
        Ok(rewrites.done)
    }

    /// What is anonymous already stays as it is, so that who is told that others have rewritten an
    /// event meanwhile may do all of it once more.
    async fn rewrite_all(
        &self,
        clicks: &[AnonymousClick],
        rewrites: &mut Rewrites,
    ) -> Result<(), EraseError> {
        let log = self.log.as_ref();
        let events = clicks.chunk_by(|one, next| one.sequence == next.sequence);
        let reads: Vec<_> = events.map(|of_event| self.rewritten(of_event)).collect();
        let mut read = stream::iter(reads).buffered(READS_MAX);
        while let Some(rewrite) = read.try_next().await? {
            if let Some(rewrite) = rewrite {
                rewrites.push(log, rewrite).await?;
            }
        }
        rewrites.flush(log).await
    }

    /// What becomes of the event of some clicks; `None`: it is as it is to be, or gone.
    async fn rewritten(&self, clicks: &[AnonymousClick]) -> Result<Option<Rewrite>, EraseError> {
        let Some(first) = clicks.first() else { return Ok(None) };
        let Some(event) = self.click_event(first.sequence).await? else { return Ok(None) };
        // A log that was put back has other events where the read models found these.
        let id = event.decode()?.map(|envelope| envelope.id);
        if id.is_some_and(|id| id != first.record.event) {
            return Err(EraseError::Moved);
        }
        let anonymous: Vec<ErasedClick> = clicks.iter().map(erased).collect();
        let body = erase_clicks(&event, &anonymous)?;
        Ok(body.map(|body| rewrite_of(event, body)))
    }

    /// The event at a place; `None`: it got too old to be kept.
    async fn click_event(&self, at: Sequence) -> Result<Option<RecordedEvent>, EraseError> {
        let before = Sequence(at.0.saturating_sub(1));
        let found = match self.log.read_all(Topic::Clicks, before, ONE).await {
            Err(ReadError::Trimmed { .. }) => return Ok(None),
            found => found?.into_iter().next(),
        };
        match found {
            Some(event) if event.position.sequence == at => Ok(Some(event)),
            _ => Err(EraseError::Unavailable("a click's event can't be read yet".to_owned())),
        }
    }

    /// Says on the log which clicks are anonymous now, [`EVENT_CLICKS_MAX`] at most; once under an
    /// id, however often it is asked for. Gives where that stands.
    ///
    /// # Errors
    /// See [`EraseError`].
    pub async fn tell_erased(
        &self,
        asked: &Asked,
        id: Uuid,
        clicks: &[AnonymousClick],
    ) -> Result<Position, EraseError> {
        let records = clicks.iter().map(|click| click.record.clone()).collect();
        let append = event(asked, id, ClicksErased { clicks: records })?;
        Ok(self.log.append(append).await?.position)
    }
}

fn erased(click: &AnonymousClick) -> ErasedClick {
    let record = &click.record;
    let place = record.place as usize;
    ErasedClick { place, visitor: record.visitor, user_agent: record.user_agent.clone() }
}

/// A stream of its own for each: nothing comes behind it.
fn event(asked: &Asked, id: Uuid, erased: ClicksErased) -> Result<Append, EraseError> {
    let stream = StreamId::new(Topic::Clicks, format!("erasures/{id}"));
    let command_id = CommandId(id);
    let metadata = Metadata {
        actor: asked.actor.clone(),
        command_id,
        command_hash: None,
        correlation_id: None,
    };
    let event: Event = erased.into();
    let event = NewEvent::write(&stream, &event, Uuid::now_v7(), asked.now, asked.now, &metadata)
        .map_err(|error| EraseError::Unavailable(error.to_string()))?;
    // Nobody else appends there. So where there is something it is this one, also when the log has
    // forgotten the command.
    let expected = ExpectedVersion::Exact(Version::NONE);
    Ok(Append { stream, expected, command_id, events: vec![event] })
}

#[cfg(test)]
mod tests;
