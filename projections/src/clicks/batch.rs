//! The clicks of a recorded event, one by one: those on the links of a share.

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::click::ClickEvent;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::Sequence;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::recorded::{RecordedClick, Text, write_link};
use crate::partition::Share;

/// The version whose data is read in place; older ones are lifted first.
const CURRENT: &str = "hoplog.clicks.recorded.v1";

/// What the types of clicks begin with: others of the topic have none, and are not looked into.
const CLICKS: &str = "hoplog.clicks.";

/// The link of a click, all else passed over.
#[derive(Deserialize)]
struct ClickedLink<'a> {
    #[serde(borrow)]
    domain: Text<'a>,
    #[serde(borrow)]
    code: Text<'a>,
}

#[derive(Deserialize)]
struct Body<Click> {
    id: Uuid,
    recordedtime: DateTime<Utc>,
    data: Data<Click>,
}

#[derive(Deserialize)]
struct Data<Click> {
    clicks: Vec<Click>,
}

/// Where a click stands in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClickPlace {
    /// The event that holds it.
    pub(crate) event_id: Uuid,
    /// When the event was written down.
    pub(crate) recorded_at: DateTime<Utc>,
    /// The place of the event in its topic.
    pub(crate) sequence: Sequence,
    /// The place of the click in the event.
    pub(crate) index: usize,
}

/// Calls `each` with every click of an event on a link of a share, and with that link
/// (`domain/code`); an event of an unknown type holds none.
pub(crate) fn each_click(
    event: &RecordedEvent,
    share: Share,
    mut each: impl FnMut(ClickPlace, &str, &RecordedClick<'_>),
) -> Result<(), DecodeError> {
    if !event.event_type.starts_with(CLICKS) {
        return Ok(());
    }
    if &*event.event_type != CURRENT {
        return each_lifted_click(event, share, each);
    }
    if !share.is_everything() {
        return each_held_click(event, share, each);
    }
    let mut link = String::new();
    let body: Body<RecordedClick<'_>> =
        serde_json::from_slice(&event.body).map_err(broken(event))?;
    for (index, click) in body.data.clicks.iter().enumerate() {
        click.write_link(&mut link);
        each(place(event, body.id, body.recordedtime, index), &link, click);
    }
    Ok(())
}

/// Of the clicks of other partitions only the link is read.
fn each_held_click(
    event: &RecordedEvent,
    share: Share,
    mut each: impl FnMut(ClickPlace, &str, &RecordedClick<'_>),
) -> Result<(), DecodeError> {
    let mut link = String::new();
    let body: Body<&RawValue> = serde_json::from_slice(&event.body).map_err(broken(event))?;
    for (index, click) in body.data.clicks.iter().enumerate() {
        let text = click.get();
        let clicked: ClickedLink<'_> = serde_json::from_str(text).map_err(broken(event))?;
        write_link(&clicked.domain, &clicked.code, &mut link);
        if share.holds(&link) {
            let click: RecordedClick<'_> = serde_json::from_str(text).map_err(broken(event))?;
            each(place(event, body.id, body.recordedtime, index), &link, &click);
        }
    }
    Ok(())
}

fn each_lifted_click(
    event: &RecordedEvent,
    share: Share,
    mut each: impl FnMut(ClickPlace, &str, &RecordedClick<'_>),
) -> Result<(), DecodeError> {
    let Some(envelope) = event.decode()? else { return Ok(()) };
    if let Event::Click(ClickEvent::Recorded(recorded)) = &envelope.event {
        let mut link = String::new();
        for (index, click) in recorded.clicks.iter().enumerate() {
            let click = RecordedClick::from(click);
            click.write_link(&mut link);
            if share.holds(&link) {
                let place = place(event, envelope.id, envelope.recorded_time, index);
                each(place, &link, &click);
            }
        }
    }
    Ok(())
}

/// An error in the data of an event.
fn broken(event: &RecordedEvent) -> impl Fn(serde_json::Error) -> DecodeError {
    |error| DecodeError { event_type: event.event_type.to_string(), reason: error.to_string() }
}

fn place(
    event: &RecordedEvent,
    event_id: Uuid,
    recorded_at: DateTime<Utc>,
    index: usize,
) -> ClickPlace {
    ClickPlace { event_id, recorded_at, sequence: event.position.sequence, index }
}
