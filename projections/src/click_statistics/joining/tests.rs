use chrono::{DateTime, TimeDelta};
use hoplog_events::click::ClicksRecorded;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent, RecordedEvent};
use hoplog_events::position::{LogId, Position, Sequence, StreamId, Topic, Version};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::clicks::decoded::Decoded;
use crate::contract::{CHROME, at, click};
use crate::partition::{Partitions, Share};
use crate::user_agents::UserAgents;

/// Of two links in three quarters, by people of whom some come again, and by a bot.
fn clicks() -> impl Strategy<Value = Vec<Value>> {
    let click = (0..2_u8, 0..3_i64, 1..30_u8, 0..12_u8).prop_map(|(link, quarter, visitor, site)| {
        let instant = at("2026-03-01T11:35:00Z") + TimeDelta::minutes(15 * quarter);
        let fields = json!({
            "visitor": format!("{visitor:016x}"), "referrer": format!("https://site{site}.example/"),
            "userAgent": if visitor == 1 { "curl/8" } else { CHROME },
        });
        click(&format!("c{link}"), &instant.to_rfc3339(), fields)
    });
    prop::collection::vec(click, 1..140)
}

fn event(clicks: &[Value]) -> RecordedEvent {
    let event: ClicksRecorded = serde_json::from_value(json!({ "clicks": clicks })).unwrap();
    let (stream, time) = (StreamId::new(Topic::Clicks, "0"), DateTime::UNIX_EPOCH);
    let command_id = CommandId(Uuid::nil());
    let metadata =
        Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
    let event = NewEvent::write(&stream, &event.into(), Uuid::nil(), time, time, &metadata);
    let NewEvent { event_type, body, .. } = event.unwrap();
    let (log, topic, sequence) = (LogId(Uuid::nil()), Topic::Clicks, Sequence(1));
    let position = Position { log, topic, sequence };
    RecordedEvent { position, stream, version: Version(1), command_id, event_type, body }
}

fn counted(clicks: &[Value], partitions: Partitions) -> Counted {
    let agents = UserAgents::default();
    let decoded = Decoded::of(&[event(clicks)], Share::All(partitions), &agents);
    Counted::of(&decoded.unwrap(), partitions)
}

proptest! {
    /// Few clicks that stay few or become many, many and many, and what only one of them has.
    #[test]
    fn batches_add_up_to_what_all_their_clicks_do(
        clicks in clicks(), cuts in prop::array::uniform2(0..140_usize), partitions in 1..3_u32,
    ) {
        let partitions = Partitions::new(partitions).unwrap();
        let [one, other] = cuts.map(|cut| cut.min(clicks.len()));
        let (first, last) = (one.min(other), one.max(other));
        let parts = [&clicks[..first], &clicks[first..last], &clicks[last..]];
        let [earlier, then, later] = parts.map(|clicks| counted(clicks, partitions));
        let joined = earlier.join(then).unwrap().join(later).unwrap();
        prop_assert_eq!(format!("{joined:?}"), format!("{:?}", counted(&clicks, partitions)));
    }
}
