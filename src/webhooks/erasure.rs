//! What is kept of messages is erased with what they tell of: messages that wait, and those that
//! were given up. They stay, and tell what the log tells now.
//!
//! Twice: by whoever erases, for what is kept at that moment; and by the worker of each webhook when
//! it comes past the event that says so, for what it kept of pages that it had read before.

use std::collections::{BTreeSet, HashMap};

use hoplog_events::catalogue::Event;
use hoplog_events::click::{ClickEvent, ErasedClickRecord};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::erasure::{erase_link, is_erasure};
use hoplog_events::link::{LinkEvent, LinkKey};
use hoplog_events::log::ReadError;
use hoplog_events::position::{Topic, Version};
use hoplog_events::webhook::WebhookId;
use hoplog_projections::DatabaseError;
use hoplog_projections::deliveries::{NewMessage, Rewritten};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Webhooks, message_id};

/// Why what is kept still has what is erased. Try again later.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The database is away.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log is away.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What was erased.
#[derive(Debug, Default)]
pub struct Erased {
    links: BTreeSet<LinkKey>,
    /// By their ids.
    clicks: HashMap<String, ErasedClickRecord>,
}

/// An event of an erased link, as messages tell it from now on.
#[derive(Debug)]
struct Told {
    event: Uuid,
    body: String,
}

impl Erased {
    /// What some events say.
    pub(super) fn of(events: &[RecordedEvent]) -> Self {
        let mut erased = Self::default();
        for event in events.iter().filter(|event| is_erasure(&event.event_type)) {
            match event.decode().map(|envelope| envelope.map(|envelope| envelope.event)) {
                Ok(Some(Event::Link(LinkEvent::Erased(_)))) => {
                    erased.links.extend(event.stream.key().parse::<LinkKey>());
                }
                Ok(Some(Event::Click(ClickEvent::Erased(clicks)))) => {
                    erased.add_clicks(clicks.clicks);
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "an erasure can't be read"),
            }
        }
        erased
    }

    /// What people wrote in a link.
    #[must_use]
    pub fn link(key: LinkKey) -> Self {
        Self { links: BTreeSet::from([key]), clicks: HashMap::new() }
    }

    /// Who made some clicks.
    #[must_use]
    pub fn clicks(clicks: impl IntoIterator<Item = ErasedClickRecord>) -> Self {
        let mut erased = Self::default();
        erased.add_clicks(clicks);
        erased
    }

    fn add_clicks(&mut self, clicks: impl IntoIterator<Item = ErasedClickRecord>) {
        let named = |click: ErasedClickRecord| (format!("{}-{}", click.event, click.place), click);
        self.clicks.extend(clicks.into_iter().map(named));
    }

    /// What a message with clicks tells from now on; `None`: it has none of those.
    fn without_visitors(&self, body: &str) -> Option<String> {
        let mut event: Value = serde_json::from_str(body).ok()?;
        let mut has_some = false;
        for click in event.get_mut("data")?.get_mut("clicks")?.as_array_mut()? {
            let Some(fields) = click.as_object_mut() else { continue };
            let id = fields.get("id").and_then(Value::as_str);
            let Some(erased) = id.and_then(|id| self.clicks.get(id)) else { continue };
            has_some = true;
            fields.insert("visitor".to_owned(), String::from(erased.visitor).into());
            fields.remove("address");
            match &erased.user_agent {
                Some(agent) => fields.insert("userAgent".to_owned(), (**agent).into()),
                None => fields.remove("userAgent"),
            };
        }
        has_some.then(|| event.to_string())
    }
}

impl Webhooks {
    /// Erases from what is kept of all webhooks.
    ///
    /// # Errors
    /// See [`KeptError`].
    pub async fn erase(&self, erased: &Erased) -> Result<(), KeptError> {
        let told = self.told(erased).await?;
        for webhook in self.deliveries.with_messages().await? {
            let mut rewritten = of_links(webhook, &told);
            rewritten.extend(self.of_clicks_kept(webhook, erased).await?);
            self.deliveries.rewrite(webhook, &rewritten).await?;
        }
        Ok(())
    }

    /// What messages of a webhook tell from now on: those that are kept, and those that are about
    /// to be.
    pub(super) async fn rewritten(
        &self,
        webhook: WebhookId,
        erased: &Erased,
        new: &[NewMessage],
    ) -> Result<Vec<Rewritten>, KeptError> {
        let mut rewritten = of_links(webhook, &self.told(erased).await?);
        rewritten.extend(self.of_clicks_kept(webhook, erased).await?);
        if !erased.clicks.is_empty() {
            rewritten.extend(new.iter().filter_map(|message| {
                let body = erased.without_visitors(&message.body)?;
                Some(Rewritten { message: message.id.clone(), body })
            }));
        }
        Ok(rewritten)
    }

    /// The events of erased links. The log may not be rewritten yet.
    async fn told(&self, erased: &Erased) -> Result<Vec<Told>, KeptError> {
        let mut told = Vec::new();
        for link in &erased.links {
            let events = self.log.read(&link.stream(), Version::NONE).await?;
            told.extend(events.into_iter().filter_map(as_told));
        }
        Ok(told)
    }

    async fn of_clicks_kept(
        &self,
        webhook: WebhookId,
        erased: &Erased,
    ) -> Result<Vec<Rewritten>, KeptError> {
        let mut rewritten = Vec::new();
        if erased.clicks.is_empty() {
            return Ok(rewritten);
        }
        let mut after = String::new();
        loop {
            let page = self.deliveries.kept(webhook, Topic::Clicks, &after).await?;
            let Some(last) = page.last() else { return Ok(rewritten) };
            after.clone_from(&last.message);
            rewritten.extend(page.into_iter().filter_map(|Rewritten { message, body }| {
                Some(Rewritten { message, body: erased.without_visitors(&body)? })
            }));
        }
    }
}

fn of_links(webhook: WebhookId, told: &[Told]) -> Vec<Rewritten> {
    let rewritten = told.iter().map(|Told { event, body }| Rewritten {
        message: message_id(webhook, *event),
        body: body.clone(),
    });
    rewritten.collect()
}

/// What can't be read is told to nobody.
fn as_told(mut event: RecordedEvent) -> Option<Told> {
    #[derive(Deserialize)]
    struct Id {
        id: Uuid,
    }
    if let Some(body) = erase_link(&event).ok()? {
        event.body = body;
    }
    let Id { id } = serde_json::from_slice(&event.body).ok()?;
    Some(Told { event: id, body: event.to_cloud_event() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_clicks_that_are_meant_change() {
        let record = |place: u32| -> ErasedClickRecord {
            serde_json::from_value(json!({
                "event": "0190163d-8694-739b-aea5-966c26f8ad91", "place": place,
                "domain": "default", "code": "a", "at": "2026-03-01T00:00:00Z",
                "visitor": "00000000000000ff", "userAgent": "nobody",
            }))
            .unwrap()
        };
        let click = |place: u32| {
            json!({
                "id": format!("0190163d-8694-739b-aea5-966c26f8ad91-{place}"), "code": "a",
                "visitor": "00000000000000a1", "userAgent": "Firefox", "address": "192.0.2.1",
                "referrer": "https://e.example/",
            })
        };
        let body = json!({ "id": "x", "data": { "clicks": [click(0), click(1), click(2)] } });
        let erased = Erased::clicks([record(1), record(7)]);
        let after = erased.without_visitors(&body.to_string()).unwrap();
        let after: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(after["data"]["clicks"][0], click(0));
        assert_eq!(after["data"]["clicks"][2], click(2));
        let changed = &after["data"]["clicks"][1];
        assert_eq!(
            (&changed["visitor"], &changed["userAgent"]),
            (&json!("00000000000000ff"), &json!("nobody"))
        );
        assert!(changed.get("address").is_none() && changed["referrer"] == "https://e.example/");
        assert_eq!(Erased::clicks([record(7)]).without_visitors(&body.to_string()), None);
        assert_eq!(erased.without_visitors("{}"), None);
    }
}
