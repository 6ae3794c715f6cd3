//! Which events a webhook is told of, and what exactly: nothing of what belongs to others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::erasure::is_erasure;
use hoplog_events::link::{LinkEvent, LinkKey, OwnerId, Tag, Tags};
use hoplog_events::log::{EventLog, ReadError};
use hoplog_events::position::{Topic, Version};
use hoplog_projections::DatabaseError;
use hoplog_projections::deliveries::NewMessage;
use hoplog_projections::link_directory::{LINKS_PER_STATEMENT_MAX, LinkDirectory};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::message_id;
use crate::domain::link::{Link, evolve};
use crate::domain::webhook::Webhook;
use crate::execute::{ExecuteError, load_link};

mod clicks;

/// All clicks are of one lane: those of one link come in many batches.
const CLICKS_LANE: &str = "clicks";

/// How many clicks go in one message; more only if one batch has more.
const CLICKS_MAX: usize = 500;

/// How large they may be together, in bytes; larger only if one batch is.
const CLICKS_BYTES_MAX: usize = 256 * 1024;

/// Why it is not known yet what a webhook is to be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelectionError {
    /// Try again later.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Try again later.
    #[error(transparent)]
    Link(#[from] ExecuteError),
    /// Try again later.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event can't be read; an operator has to look at it.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// An event can't be read; an operator has to look at it.
    #[error("an event is no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What a filter looks at.
#[derive(Debug, Clone)]
struct Facts {
    owner: OwnerId,
    tags: Tags,
}

impl Facts {
    fn has(&self, tag: Option<&Tag>) -> bool {
        tag.is_none_or(|tag| self.tags.iter().any(|own| own == tag))
    }
}

/// Chooses what webhooks are told.
#[derive(Debug)]
pub(super) struct Selection {
    log: Arc<dyn EventLog>,
    directory: LinkDirectory,
}

/// What a webhook is told, as far as it is known.
struct Told<'w, 'e> {
    webhook: &'w Webhook,
    now: DateTime<Utc>,
    messages: Vec<NewMessage>,
    gathered: Gathered<'e>,
}

/// Clicks that go together: those of one batch, or of several where they come faster than they can
/// be sent.
#[derive(Default)]
struct Gathered<'e> {
    clicks: Vec<String>,
    bytes: usize,
    /// The last event that clicks are of.
    last: Option<&'e RecordedEvent>,
}

impl<'e> Told<'_, 'e> {
    fn push(
        &mut self,
        event: &RecordedEvent,
        lane: String,
        body: String,
    ) -> Result<(), SelectionError> {
        let Id { id } = serde_json::from_slice(&event.body)?;
        let (id, event_type) = (message_id(self.webhook.id, id), event.event_type.to_string());
        let (sequence, since) = (event.position.sequence, self.now);
        self.messages.push(NewMessage { sequence, id, event_type, lane, body, since });
        Ok(())
    }

    fn gather(
        &mut self,
        event: &'e RecordedEvent,
        clicks: Vec<String>,
    ) -> Result<(), SelectionError> {
        let bytes: usize = clicks.iter().map(String::len).sum();
        let (many, large) =
            (self.gathered.clicks.len() + clicks.len(), self.gathered.bytes + bytes);
        if many > CLICKS_MAX || large > CLICKS_BYTES_MAX {
            self.flush()?;
        }
        if !clicks.is_empty() {
            self.gathered.last = Some(event);
            self.gathered.bytes += bytes;
            self.gathered.clicks.extend(clicks);
        }
        Ok(())
    }

    /// The message is that of the last event, with the clicks of all.
    fn flush(&mut self) -> Result<(), SelectionError> {
        let Gathered { clicks, last, .. } = std::mem::take(&mut self.gathered);
        let Some(last) = last else { return Ok(()) };
        let data = RawValue::from_string(format!("{{\"clicks\":[{}]}}", clicks.join(",")))?;
        self.push(last, CLICKS_LANE.to_owned(), last.to_cloud_event_with(&data)?)
    }
}

/// What the wire has of an envelope that is needed here.
#[derive(Deserialize)]
struct Id {
    id: Uuid,
}

impl Selection {
    pub(super) fn new(log: Arc<dyn EventLog>, directory: LinkDirectory) -> Self {
        Self { log, directory }
    }

    /// What a webhook is told of these events, which are of one topic.
    pub(super) async fn messages(
        &self,
        webhook: &Webhook,
        events: &[RecordedEvent],
        now: DateTime<Utc>,
    ) -> Result<Vec<NewMessage>, SelectionError> {
        let mut told = Told { webhook, now, messages: Vec::new(), gathered: Gathered::default() };
        for event in events {
            if !webhook.settings.want(&event.event_type) {
                continue;
            }
            match self.tell(&mut told, event).await {
                // Waiting would help nobody, and hold up what comes behind it.
                Err(SelectionError::Unreadable(reason)) => skip(event, &reason),
                Err(SelectionError::Json(reason)) => skip(event, &reason),
                other => other?,
            }
        }
        told.flush()?;
        Ok(told.messages)
    }

    async fn tell<'e>(
        &self,
        told: &mut Told<'_, 'e>,
        event: &'e RecordedEvent,
    ) -> Result<(), SelectionError> {
        match event.position.topic {
            Topic::Links if self.is_told(told.webhook, event).await? => {
                told.push(event, event.stream.key().to_owned(), event.to_cloud_event())
            }
            Topic::Clicks if is_erasure(&event.event_type) => {
                told.flush()?;
                let Some(data) = self.of_erased(told.webhook, event).await? else { return Ok(()) };
                told.push(event, CLICKS_LANE.to_owned(), event.to_cloud_event_with(&data)?)
            }
            Topic::Clicks => {
                let clicks = self.of_clicks(told.webhook, event).await?;
                told.gather(event, clicks)
            }
            Topic::Links | Topic::Accounts => Ok(()),
        }
    }

    /// Whether a webhook is told of an event of a link: it is whole or not at all.
    async fn is_told(
        &self,
        webhook: &Webhook,
        event: &RecordedEvent,
    ) -> Result<bool, SelectionError> {
        let Ok(key) = event.stream.key().parse::<LinkKey>() else { return Ok(false) };
        if webhook.settings.link.as_ref().is_some_and(|link| *link != key) {
            return Ok(false);
        }
        // What tags it had is erased as well: whoever asks for a tag is told of all.
        let tag = webhook.settings.tag.as_ref().filter(|_| !is_erasure(&event.event_type));
        Ok(match (&webhook.owner, tag) {
            (None, None) => true,
            (Some(owner), None) if event.version > Version(1) => {
                // Whose a link is never changes.
                let facts = self.facts(BTreeSet::from([key])).await?;
                facts.into_values().any(|facts| facts.owner == *owner)
            }
            (owner, tag) => {
                let is_owners =
                    |facts: &Facts| owner.as_ref().is_none_or(|owner| *owner == facts.owner);
                let around = self.around(&key, event).await?;
                around.iter().any(|facts| is_owners(facts) && facts.has(tag))
            }
        })
    }

    /// What a link was before an event and behind it: who wants to know of a tag is also told that
    /// it was taken away.
    async fn around(
        &self,
        key: &LinkKey,
        event: &RecordedEvent,
    ) -> Result<Vec<Facts>, SelectionError> {
        let facts = |link: &Link| Facts { owner: link.owner.clone(), tags: link.tags.clone() };
        if event.version == Version(1) {
            let created = event.decode()?.map(|envelope| envelope.event);
            let Some(Event::Link(LinkEvent::Created(link))) = created else { return Ok(vec![]) };
            return Ok(vec![Facts { owner: link.owner, tags: link.tags }]);
        }
        let (mut link, mut around) = (None, Vec::new());
        for recorded in self.log.read(&event.stream, Version::NONE).await? {
            if recorded.version > event.version {
                break;
            }
            if recorded.version == event.version {
                around.extend(link.as_ref().map(facts));
            }
            if let Some(envelope) = recorded.decode()?
                && let Event::Link(happened) = &envelope.event
            {
                link = evolve(link, key, happened, envelope.time);
            }
        }
        around.extend(link.as_ref().map(facts));
        Ok(around)
    }

    /// What is known of some links: from the read model, and from the log where that is behind.
    async fn facts(
        &self,
        keys: BTreeSet<LinkKey>,
    ) -> Result<HashMap<LinkKey, Facts>, SelectionError> {
        let mut facts = HashMap::with_capacity(keys.len());
        let keys: Vec<LinkKey> = keys.into_iter().collect();
        for some in keys.chunks(LINKS_PER_STATEMENT_MAX) {
            for (row, _) in self.directory.get_as_of(some).await? {
                facts.insert(row.key, Facts { owner: row.owner, tags: row.tags });
            }
        }
        for key in keys {
            if facts.contains_key(&key) {
                continue;
            }
            match load_link(self.log.as_ref(), &key).await {
                Ok(Some(link)) => {
                    facts.insert(key, Facts { owner: link.owner, tags: link.tags });
                }
                Ok(None) => {}
                // Waiting would help nobody, and hold up what is of other links.
                Err(ExecuteError::Unreadable(error)) => {
                    tracing::error!(%error, link = %key, "webhooks are told nothing of a link");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(facts)
    }
}

/// An event that can't be read is told to nobody.
fn skip(event: &RecordedEvent, error: &dyn std::fmt::Display) {
    let position = event.position;
    tracing::error!(%error, %position, "an event can't be read: no webhook is told of it");
    metrics::counter!("hoplog_webhook_gaps_total").increment(1);
}
