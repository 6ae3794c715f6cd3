//! From clicks to an event that is small enough for every log.

use hoplog_events::catalogue::Event;
use hoplog_events::click::{Click, ClickEvent, ClicksRecorded};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::{APPEND_BYTES_MAX, Append, AppendError, ExpectedVersion};
use hoplog_events::position::{StreamId, Version};
use uuid::Uuid;

use crate::clock::Clock;

/// Clicks in one event at most.
pub(super) const EVENT_CLICKS_MAX: usize = 2_000;

/// Bytes of clicks in one event at most; leaves room for the envelope.
const EVENT_BYTES_MAX: usize = APPEND_BYTES_MAX - 10_000;

/// Bytes that a click takes besides its texts, at most.
const CLICK_BYTES_FIXED: usize = 400;

/// Cuts clicks into events that are small enough for every log.
pub(super) fn split(clicks: Vec<Click>) -> Vec<Vec<Click>> {
    if clicks.len() <= EVENT_CLICKS_MAX
        && clicks.iter().map(bytes_max).sum::<usize>() <= EVENT_BYTES_MAX
    {
        return vec![clicks];
    }
    let mut events: Vec<Vec<Click>> = Vec::new();
    let mut bytes = EVENT_BYTES_MAX;
    for click in clicks {
        bytes += bytes_max(&click);
        match events.last_mut() {
            Some(event) if bytes <= EVENT_BYTES_MAX && event.len() < EVENT_CLICKS_MAX => {
                event.push(click);
            }
            _ => {
                bytes = bytes_max(&click);
                events.push(vec![click]);
            }
        }
    }
    events
}

/// The most that a click can take as JSON: a byte of text is at most `\u00XX`.
fn bytes_max(click: &Click) -> usize {
    let texts = [
        &click.method,
        &click.purpose,
        &click.user_agent,
        &click.referrer,
        &click.language,
        &click.country,
        &click.region,
        &click.city,
        &click.address,
        &click.import_id,
        &click.utm.source,
        &click.utm.medium,
        &click.utm.campaign,
        &click.utm.term,
        &click.utm.content,
    ];
    // Counted in whole passes, which the compiler makes wide.
    let bytes = |text: &Option<Box<str>>| {
        let text = text.as_deref().unwrap_or_default().as_bytes();
        let controls = text.iter().filter(|byte| **byte < 0x20 || **byte == 0x7f).count();
        let quotes = text.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        text.len() + 5 * controls + quotes + 2
    };
    CLICK_BYTES_FIXED + texts.into_iter().map(bytes).sum::<usize>()
}

/// One append of one event, at a version.
pub(super) fn clicks_event(
    stream: &StreamId,
    version: Version,
    clicks: Vec<Click>,
    clock: &Clock,
    actor: &str,
) -> Result<Append, AppendError> {
    let command_id = CommandId(Uuid::now_v7());
    let metadata =
        Metadata { actor: actor.into(), command_id, command_hash: None, correlation_id: None };
    let now = clock.now();
    let time = clicks.first().map_or(now, |click| click.at);
    let event = Event::Click(ClickEvent::Recorded(ClicksRecorded { clicks }));
    let event = NewEvent::write(stream, &event, Uuid::now_v7(), time, now, &metadata)
        .map_err(|error| AppendError::Unavailable(error.to_string()))?;
    let (stream, expected) = (stream.clone(), ExpectedVersion::Exact(version));
    Ok(Append { stream, expected, command_id, events: vec![event] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_events::position::Topic;
    use proptest::prelude::*;

    fn click(agent: &str) -> Click {
        let mut click: Click = serde_json::from_str(
            r#"{"domain":"default","code":"a","at":"2026-01-01T00:00:00.123456Z","visitor":"0123456789abcdef"}"#,
        )
        .unwrap();
        click.user_agent = Some(agent.into());
        click.referrer = Some(agent.into());
        click
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// Whatever visitors send, an event fits into every log.
        #[test]
        fn events_of_any_clicks_are_small_enough(agent in "\\PC{0,512}", odd in "[\\x00-\\x1f\"\\\\]{0,512}", count in 1..6_000_usize) {
            let clicks: Vec<_> = (0..count).map(|n| click(if n % 2 == 0 { &agent } else { &odd })).collect();
            let events = split(clicks.clone());
            prop_assert_eq!(events.concat(), clicks);
            for clicks in events {
                prop_assert!(!clicks.is_empty() && clicks.len() <= EVENT_CLICKS_MAX);
                let stream = StreamId::new(Topic::Clicks, "0");
                let append = clicks_event(&stream, Version::NONE, clicks, &Clock::system(), "visitor").unwrap();
                prop_assert!(append.events[0].body.len() <= APPEND_BYTES_MAX);
            }
        }
    }
}
