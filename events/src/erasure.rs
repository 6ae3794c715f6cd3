//! What is left of an event when the personal data in it is erased.
//!
//! Pure: an event goes in, the body comes out that [`EventLog::rewrite`](crate::log::EventLog::rewrite)
//! puts in its place. The JSON is changed field by field and stays what it was everywhere else, so
//! an event of an old version stays one of that version. What says where the event belongs and
//! what is counted stays; erasing again changes nothing.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::catalogue::DecodeError;
use crate::click::VisitorHash;
use crate::envelope::RecordedEvent;

mod fields;

use fields::Fields;

pub use crate::link::ERASED_DESTINATION;

/// What stands in the place of what somebody said.
const ERASED_TEXT: &str = "erased";

/// A click of a batch, and what it gets in the place of who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedClick {
    /// Its place in the batch, from 0.
    pub place: usize,
    /// The visitor it is of now.
    pub visitor: VisitorHash,
    /// The agent it is by now; `None`: none.
    pub user_agent: Option<Box<str>>,
}

/// Whether an event of this type says that something was erased: who keeps copies of events looks
/// for those that are meant.
#[must_use]
pub fn is_erasure(event_type: &str) -> bool {
    ["hoplog.link.erased.", "hoplog.clicks.erased."].iter().any(|name| event_type.starts_with(name))
}

/// The body of an event of a link without what could name a person: the destination is
/// [`ERASED_DESTINATION`]; title, note, tags, external id, password, rules, split, preview, the URL after its end, and what was said of it are gone, and of the envelope the
/// hash of the command and the id of the request. `None`: there is nothing in it to erase.
///
/// # Errors
/// When it can't be read, or is of a type that this version does not know: then nobody knows what is
/// in it.
pub fn erase_link(event: &RecordedEvent) -> Result<Option<Bytes>, DecodeError> {
    known(event)?;
    let mut envelope: Fields<'_> = parse(event, &event.body)?;
    let mut data: Fields<'_> = parse(event, envelope.get("data").unwrap_or("{}").as_bytes())?;
    if data.has("url") {
        data.set("url", json(event, ERASED_DESTINATION)?);
    }
    // What somebody said, where there has to be something.
    for field in ["reason", "text"] {
        if data.has(field) {
            data.set(field, json(event, ERASED_TEXT)?);
        }
    }
    // A creation does without these; a change says that there is none now.
    let is_creation = event.event_type.starts_with("hoplog.link.created.");
    for (field, nothing) in [
        ("title", "null"),
        ("note", "null"),
        ("externalId", "null"),
        ("expiredUrl", "null"),
        ("passwordHash", "null"),
        ("entry", "null"),
        ("entries", "[]"),
        ("tags", "[]"),
        ("rules", "[]"),
        ("split", "[]"),
        ("preview", "null"),
    ] {
        if is_creation {
            data.remove(field);
        } else if data.has(field) {
            data.set(field, raw(event, nothing.to_owned())?);
        }
    }
    envelope.set("data", raw(event, data.to_string())?);
    envelope.remove("commandhash");
    envelope.remove("correlationid");
    Ok(changed(event, &envelope))
}

/// The body of a batch of clicks of which some are anonymous: they have the given visitors and
/// agents and no address; the envelope loses the id of the request. All that is counted stays.
/// `None`: they are so already, or it is no batch.
///
/// # Errors
/// When it can't be read, is of a type that this version does not know, or has no such click.
pub fn erase_clicks(
    event: &RecordedEvent,
    places: &[ErasedClick],
) -> Result<Option<Bytes>, DecodeError> {
    known(event)?;
    if places.is_empty() || !event.event_type.starts_with("hoplog.clicks.recorded.") {
        return Ok(None);
    }
    let mut envelope: Fields<'_> = parse(event, &event.body)?;
    let mut data: Fields<'_> = parse(event, envelope.get("data").unwrap_or("{}").as_bytes())?;
    let clicks: Vec<&RawValue> = parse(event, data.get("clicks").unwrap_or("[]").as_bytes())?;
    let mut clicks: Vec<String> = clicks.iter().map(|click| click.get().to_owned()).collect();
    for erased in places {
        let click = clicks.get_mut(erased.place);
        let click = click.ok_or_else(|| broken(event, &format!("no click {}", erased.place)))?;
        *click = without_visitor(event, click, erased)?;
    }
    data.set("clicks", raw(event, format!("[{}]", clicks.join(",")))?);
    envelope.set("data", raw(event, data.to_string())?);
    envelope.remove("correlationid");
    Ok(changed(event, &envelope))
}

fn without_visitor(
    event: &RecordedEvent,
    click: &str,
    erased: &ErasedClick,
) -> Result<String, DecodeError> {
    let mut click: Fields<'_> = parse(event, click.as_bytes())?;
    click.set("visitor", json(event, &String::from(erased.visitor))?);
    match &erased.user_agent {
        Some(agent) => click.set("userAgent", json(event, agent)?),
        None => click.remove("userAgent"),
    }
    click.remove("address");
    Ok(click.to_string())
}

/// What is in an event of an unknown type is not known either.
fn known(event: &RecordedEvent) -> Result<(), DecodeError> {
    let known = event.decode()?.map(drop);
    known.ok_or_else(|| broken(event, &"a type that this version does not know"))
}

/// The new body, if it says anything else than the old one.
fn changed(event: &RecordedEvent, envelope: &Fields<'_>) -> Option<Bytes> {
    // As it would be written without any change.
    let before: Option<Fields<'_>> = serde_json::from_slice(&event.body).ok();
    let is_same = before.is_some_and(|before| before.says_the_same(envelope));
    (!is_same).then(|| envelope.to_string().into())
}

fn parse<'a, T: serde::Deserialize<'a>>(
    event: &RecordedEvent,
    text: &'a [u8],
) -> Result<T, DecodeError> {
    serde_json::from_slice(text).map_err(|error| broken(event, &error))
}

fn json(event: &RecordedEvent, text: &str) -> Result<Box<RawValue>, DecodeError> {
    serde_json::value::to_raw_value(text).map_err(|error| broken(event, &error))
}

fn raw(event: &RecordedEvent, text: String) -> Result<Box<RawValue>, DecodeError> {
    RawValue::from_string(text).map_err(|error| broken(event, &error))
}

fn broken(event: &RecordedEvent, reason: &dyn std::fmt::Display) -> DecodeError {
    DecodeError { event_type: event.event_type.to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
