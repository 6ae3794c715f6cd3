//! Of batches of clicks a webhook is told its part: each click with its id, as its place is gone.

use std::collections::BTreeSet;

use hoplog_events::catalogue::Event;
use hoplog_events::click::ClickEvent;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::{Domain, LinkKey, ShortCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Selection, SelectionError};
use crate::domain::webhook::Webhook;

/// What the type of a batch begins with: the topic has others, of which webhooks are told nothing.
const RECORDED: &str = "hoplog.clicks.recorded.";

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    data: Clicks<'a>,
}

#[derive(Deserialize)]
struct Clicks<'a> {
    #[serde(borrow)]
    clicks: Vec<&'a RawValue>,
}

/// The link of a click.
type Clicked<'a> = (&'a Domain, &'a ShortCode);

impl Selection {
    /// Those clicks of a batch that a webhook is told of, each with its id.
    pub(super) async fn of_clicks(
        &self,
        webhook: &Webhook,
        event: &RecordedEvent,
    ) -> Result<Vec<String>, SelectionError> {
        if !event.event_type.starts_with(RECORDED) {
            return Ok(Vec::new());
        }
        let Some(envelope) = event.decode()? else { return Ok(Vec::new()) };
        let Event::Click(ClickEvent::Recorded(recorded)) = &envelope.event else {
            return Ok(Vec::new());
        };
        let links = recorded.clicks.iter().map(|click| (&*click.domain, &*click.code));
        let admitted = self.admitted(webhook, links).await?;
        with_ids(event, &admitted, |place| format!("{}-{place}", envelope.id))
    }

    /// The same of clicks whose visitors were erased: the id is that of the click, as it was told
    /// when it happened. `None`: there is nothing to tell.
    pub(super) async fn of_erased(
        &self,
        webhook: &Webhook,
        event: &RecordedEvent,
    ) -> Result<Option<Box<RawValue>>, SelectionError> {
        let Some(envelope) = event.decode()? else { return Ok(None) };
        let Event::Click(ClickEvent::Erased(erased)) = &envelope.event else { return Ok(None) };
        let links = erased.clicks.iter().map(|click| (&click.domain, &click.code));
        let admitted = self.admitted(webhook, links).await?;
        if admitted.is_empty() {
            return Ok(None);
        }
        let id = |place: usize| {
            let click = erased.clicks.get(place);
            click.map_or_else(String::new, |click| format!("{}-{}", click.event, click.place))
        };
        let clicks = with_ids(event, &admitted, id)?.join(",");
        Ok(Some(RawValue::from_string(format!("{{\"clicks\":[{clicks}]}}"))?))
    }

    /// The places of the clicks that a webhook is told of.
    async fn admitted(
        &self,
        webhook: &Webhook,
        links: impl Iterator<Item = Clicked<'_>> + Send,
    ) -> Result<BTreeSet<usize>, SelectionError> {
        let settings = &webhook.settings;
        let is_of_link = |(domain, code): Clicked<'_>| {
            settings.link.as_ref().is_none_or(|link| link.code == *code && link.domain == *domain)
        };
        let clicks = links.enumerate().filter(|(_, link)| is_of_link(*link));
        if webhook.owner.is_none() && settings.tag.is_none() {
            return Ok(clicks.map(|(place, _)| place).collect());
        }
        let key =
            |(domain, code): Clicked<'_>| LinkKey { domain: domain.clone(), code: code.clone() };
        let clicks: Vec<(usize, LinkKey)> =
            clicks.map(|(place, link)| (place, key(link))).collect();
        let facts = self.facts(clicks.iter().map(|(_, key)| key.clone()).collect()).await?;
        let is_told = |key: &LinkKey| {
            facts.get(key).is_some_and(|facts| {
                let owners = webhook.owner.as_ref().is_none_or(|owner| *owner == facts.owner);
                owners && facts.has(settings.tag.as_ref())
            })
        };
        Ok(clicks.iter().filter(|(_, key)| is_told(key)).map(|(place, _)| *place).collect())
    }
}

/// The clicks at these places as they are written, each with its id.
fn with_ids(
    event: &RecordedEvent,
    places: &BTreeSet<usize>,
    id: impl Fn(usize) -> String,
) -> Result<Vec<String>, SelectionError> {
    let batch: Batch<'_> = serde_json::from_slice(&event.body)?;
    let clicks = batch.data.clicks.iter().enumerate();
    let clicks = clicks.filter(|(place, _)| places.contains(place));
    let with_id = |(place, click): (usize, &&RawValue)| {
        let fields = click.get().trim_start().strip_prefix('{').unwrap_or("}");
        format!("{{\"id\":\"{}\",{fields}", id(place))
    };
    Ok(clicks.map(with_id).collect())
}
