//! The data of an event of clicks, written click by click.

use chrono::{DateTime, Utc};

use super::Click;
use crate::log::APPEND_BYTES_MAX;

/// Clicks in one event at most.
const CLICKS_MAX: usize = 2_000;

/// Bytes of clicks in one event at most; leaves room for the envelope.
const BYTES_MAX: usize = APPEND_BYTES_MAX - 10_000;

/// How the data of [`ClicksRecorded`](super::ClicksRecorded) begins and ends.
const BEGIN: &[u8] = br#"{"clicks":["#;
const END: &[u8] = b"]}";

/// The data of a [`ClicksRecorded`](super::ClicksRecorded) as it is written down. Clicks are written
/// as they come and need not be kept; emptied, it holds the next ones in the same memory. It is
/// never larger than an event may be.
#[derive(Debug)]
pub struct ClicksData {
    json: Vec<u8>,
    clicks: u32,
    first_at: Option<DateTime<Utc>>,
}

impl Default for ClicksData {
    fn default() -> Self {
        Self { json: BEGIN.to_vec(), clicks: 0, first_at: None }
    }
}

impl ClicksData {
    /// Writes a click behind the others; `false`: there is no room for it. There is for the first.
    ///
    /// # Errors
    /// When the click can't be written as JSON, which none is.
    pub fn push(&mut self, click: &Click<'_>) -> Result<bool, serde_json::Error> {
        if self.clicks as usize == CLICKS_MAX {
            return Ok(false);
        }
        let before = self.json.len();
        if !self.is_empty() {
            self.json.push(b',');
        }
        let written = serde_json::to_writer(&mut self.json, click);
        if written.is_err() || (self.json.len() > BYTES_MAX && !self.is_empty()) {
            self.json.truncate(before);
            return written.map(|()| false);
        }
        self.clicks += 1;
        self.first_at.get_or_insert(click.at);
        Ok(true)
    }

    /// How many clicks there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.clicks
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clicks == 0
    }

    /// When the first of them happened.
    #[must_use]
    pub fn first_at(&self) -> Option<DateTime<Utc>> {
        self.first_at
    }

    /// Empties it for the next event.
    pub fn clear(&mut self) {
        self.json.truncate(BEGIN.len());
        (self.clicks, self.first_at) = (0, None);
    }

    /// How many bytes the JSON has.
    pub(crate) fn bytes(&self) -> usize {
        self.json.len() + END.len()
    }

    /// Writes the JSON behind what is there.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.json);
        out.extend_from_slice(END);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::catalogue::Event;
    use crate::click::{ClickEvent, ClicksRecorded};
    use crate::envelope::{CommandId, Metadata, NewEvent};
    use crate::position::{StreamId, Topic};

    fn click(agent: &str) -> Click<'static> {
        let mut click: Click<'_> = serde_json::from_str(
            r#"{"domain":"default","code":"a","at":"2026-01-01T00:00:00.123456Z","visitor":"0123456789abcdef"}"#,
        )
        .unwrap();
        click.user_agent = Some(agent.to_owned().into());
        click.referrer = Some(agent.to_owned().into());
        click
    }

    fn metadata() -> Metadata {
        let (actor, command_id) = ("visitor".into(), CommandId(Uuid::from_u128(7)));
        Metadata { actor, command_id, command_hash: None, correlation_id: Some("r".into()) }
    }

    /// The same event, written by way of the catalogue.
    fn written(clicks: Vec<Click<'static>>) -> NewEvent {
        let (stream, time) = (StreamId::new(Topic::Clicks, "0"), clicks[0].at);
        let event = Event::Click(ClickEvent::Recorded(ClicksRecorded { clicks }));
        let now = DateTime::UNIX_EPOCH;
        NewEvent::write(&stream, &event, Uuid::from_u128(1), time, now, &metadata()).unwrap()
    }

    fn written_click_by_click(data: &ClicksData) -> NewEvent {
        let (stream, now) = (StreamId::new(Topic::Clicks, "0"), DateTime::UNIX_EPOCH);
        NewEvent::write_clicks(&stream, data, Uuid::from_u128(1), now, &metadata()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// Whatever visitors send: no click is lost, events fit into every log, and are to the byte
        /// what the catalogue writes.
        #[test]
        fn events_of_any_clicks_are_whole_and_small_enough(
            agent in "\\PC{0,512}", odd in "[\\x00-\\x1f\"\\\\]{0,512}", count in 1..6_000_usize,
        ) {
            let clicks: Vec<_> = (0..count).map(|n| click(if n % 2 == 0 { &agent } else { &odd })).collect();
            let (mut data, mut left) = (ClicksData::default(), &clicks[..]);
            while !left.is_empty() {
                data.clear();
                let fit = left.iter().take_while(|click| data.push(click).unwrap()).count();
                prop_assert!(fit > 0 && data.len() as usize == fit && fit <= CLICKS_MAX);
                let (now, later) = left.split_at(fit);
                let event = written_click_by_click(&data);
                prop_assert!(event.body.len() <= APPEND_BYTES_MAX);
                prop_assert_eq!(event, written(now.to_vec()));
                left = later;
            }
        }
    }
}
