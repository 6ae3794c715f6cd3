//! The clicks that are measured with.

use chrono::{DateTime, TimeDelta};
use hoplog_events::click::ClicksRecorded;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic};
use serde_json::json;
use uuid::Uuid;

/// Clicks on the log.
pub(crate) const CLICKS: usize = 40_000;

/// Clicks in one event, as a busy server writes them.
const EVENT_CLICKS: usize = 200;

/// What clicks differ in: links, hours, agents, referrers and countries.
const VARIETY: [usize; 5] = [1_000, 48, 60, 40, 30];

/// Writes all of them.
pub(crate) async fn write(log: &dyn EventLog) {
    for first in (0..CLICKS).step_by(EVENT_CLICKS) {
        log.append(recorded(first)).await.expect("the log can be written");
    }
}

/// One event of clicks that differ as those of a day do.
fn recorded(first: usize) -> Append {
    let clicks: Vec<_> = (first..first + EVENT_CLICKS).map(click).collect();
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

fn click(n: usize) -> serde_json::Value {
    // Fibonacci hashing: spreads the numbers, the same at every run.
    let spread = n.wrapping_mul(11_400_714_819_323_198_485) >> 20;
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
