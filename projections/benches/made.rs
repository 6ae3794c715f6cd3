//! Clicks that are made up, the same at every run.

use chrono::{DateTime, TimeDelta};
use hoplog_events::click::ClicksRecorded;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::{Append, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic};
use serde_json::{Value, json};
use uuid::Uuid;

/// Clicks in one event, as a busy server writes them.
pub(crate) const EVENT_CLICKS: usize = 200;

/// What clicks differ in: links, hours, agents, referrers and countries.
pub(crate) const VARIETY: [usize; 5] = [1_000, 48, 60, 40, 30];

/// One event of clicks that differ as those of a day do.
pub(crate) fn recorded(clicks: &[Value]) -> Append {
    let clicks: ClicksRecorded =
        serde_json::from_value(json!({ "clicks": clicks })).expect("clicks");
    let (stream, time) = (StreamId::new(Topic::Clicks, "0"), DateTime::UNIX_EPOCH);
    let command_id = CommandId(Uuid::now_v7());
    let metadata =
        Metadata { actor: "bench".into(), command_id, command_hash: None, correlation_id: None };
    let event = NewEvent::write(&stream, &clicks.into(), Uuid::now_v7(), time, time, &metadata);
    let events = vec![event.expect("an event")];
    Append { stream, expected: ExpectedVersion::Any, command_id, events }
}

/// Fibonacci hashing: spreads the numbers.
pub(crate) fn spread(n: usize) -> usize {
    n.wrapping_mul(11_400_714_819_323_198_485) >> 20
}

pub(crate) fn click(n: usize) -> Value {
    let spread = spread(n);
    let [link, hour, agent, referrer, country] = VARIETY.map(|kinds| (spread / 7 + n) % kinds);
    let hours = TimeDelta::hours(i64::try_from(hour).unwrap_or_default());
    let country = [b'A' + u8::try_from(country % 26).unwrap_or_default(), b'E'];
    json!({
        "domain": "default", "code": format!("c{link}"), "visitor": format!("{spread:016x}"),
        "at": (DateTime::UNIX_EPOCH + hours).to_rfc3339(),
        "userAgent": format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                              (KHTML, like Gecko) Chrome/{agent}.0.0.0 Safari/537.36"),
        "referrer": format!("https://site{referrer}.example/page"),
        "country": String::from_utf8_lossy(&country), "language": "en-gb",
    })
}
