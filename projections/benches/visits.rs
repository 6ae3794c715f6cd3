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
        let clicks = (first..first + EVENT_CLICKS).map(click).collect();
        log.append(recorded(clicks)).await.expect("the log can be written");
    }
}

/// Writes so many as they come in during a day: in the order of time, to links that are the less
/// visited the higher their number (Zipf's law).
#[allow(dead_code, reason = "not every benchmark has a day")]
pub(crate) async fn write_a_day(log: &dyn EventLog, clicks: usize) {
    let weights: Vec<f64> = (1..=VARIETY[0]).map(|rank| 1.0 / f64::from(rank as u32)).collect();
    let total: f64 = weights.iter().sum();
    let mut bound = 0.0;
    let bounds: Vec<f64> = weights
        .iter()
        .map(|weight| {
            bound += weight / total;
            bound
        })
        .collect();
    for first in (0..clicks).step_by(EVENT_CLICKS) {
        let many = (first..clicks.min(first + EVENT_CLICKS)).map(|n| {
            let mut click = click(n);
            let chance = (spread(n) % 1_000_000) as f64 / 1_000_000.0;
            let link = bounds.partition_point(|bound| *bound < chance);
            let micros = 86_400_000_000 / clicks as i64 * n as i64;
            click["code"] = format!("c{link}").into();
            click["at"] =
                (DateTime::UNIX_EPOCH + TimeDelta::microseconds(micros)).to_rfc3339().into();
            click
        });
        log.append(recorded(many.collect())).await.expect("the log can be written");
    }
}

/// One event of clicks that differ as those of a day do.
fn recorded(clicks: Vec<serde_json::Value>) -> Append {
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

/// Fibonacci hashing: spreads the numbers, the same at every run.
fn spread(n: usize) -> usize {
    n.wrapping_mul(11_400_714_819_323_198_485) >> 20
}

fn click(n: usize) -> serde_json::Value {
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
