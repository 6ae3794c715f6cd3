//! The recorder on a real log.

use std::collections::HashMap;

use chrono::DateTime;
use futures::future::join_all;
use hoplog_events::catalogue::Event;
use hoplog_events::click::{Click, ClickEvent};
use hoplog_events::link::LinkState;
use hoplog_events::log::ReadLimit;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::position::{Sequence, Topic, Version};
use proptest::prelude::*;
use tempfile::TempDir;

use super::flush::{EVENT_CLICKS_MAX, clicks_event, split};
use super::*;
use crate::clicks::country::Locator;
use crate::clicks::visitor::VisitorSalts;
use crate::queries::resolve_link::Target;

struct World {
    _dir: TempDir,
    log: Arc<dyn EventLog>,
    recorder: Arc<ClickRecorder>,
}

async fn world(ack: ClicksAck) -> World {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await.unwrap();
    let log: Arc<dyn EventLog> = Arc::new(log);
    let salts = VisitorSalts::open(&dir.path().join("salts.json")).unwrap();
    let enricher = Arc::new(Enricher::new(Locator::open(None).unwrap(), salts, false));
    let recorder = ClickRecorder::start(&log, &enricher, &Clock::system(), ack);
    World { _dir: dir, log, recorder: Arc::new(recorder) }
}

fn visit(marker: &str) -> Visit {
    let target = Target {
        key: "default/launch".parse().unwrap(),
        owner: "ann".parse().unwrap(),
        url: "https://example.com/".parse().unwrap(),
        location: "https://example.com/".into(),
        redirect: hoplog_events::link::RedirectStatus::Found,
        state: LinkState::Active,
        expires_at: None,
        created_at: DateTime::UNIX_EPOCH,
        version: Version(1),
    };
    let query = format!("utm_content={marker}");
    let request = (&axum::http::Method::GET, Some(&*query), &axum::http::HeaderMap::new());
    Visit::new(
        Arc::new(target),
        Clock::system().now(),
        Some("203.0.113.9".parse().unwrap()),
        request,
    )
}

impl World {
    /// How often each marker is on the log.
    async fn recorded(&self) -> HashMap<String, u32> {
        let limit = ReadLimit { events_max: 100_000, bytes_max: usize::MAX };
        let events = self.log.read_all(Topic::Clicks, Sequence::START, limit).await.unwrap();
        let mut recorded = HashMap::new();
        for event in events {
            let Event::Click(ClickEvent::Recorded(batch)) = event.decode().unwrap().unwrap().event
            else {
                panic!("clicks only");
            };
            for click in batch.clicks {
                *recorded.entry(click.utm.content.unwrap().into_string()).or_default() += 1;
            }
        }
        recorded
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_that_was_acknowledged_is_on_the_log_once() {
    let world = world(ClicksAck::Durable).await;
    let visitors = (0..64).map(|visitor| {
        let (recorder, log) = (Arc::clone(&world.recorder), Arc::clone(&world.log));
        tokio::spawn(async move {
            for n in 0..20 {
                recorder.record(visit(&format!("{visitor}-{n}"))).await.unwrap();
                // The log has it by now: nobody can be told of a click that is not there.
                assert!(log.head(Topic::Clicks).await.unwrap().sequence > Sequence::START);
            }
        })
    });
    for visitor in join_all(visitors).await {
        visitor.unwrap();
    }
    let recorded = world.recorded().await;
    assert_eq!(recorded.len(), 64 * 20);
    assert!(recorded.values().all(|times| *times == 1));
}

/// Trap 11 (U23): what is queued is written before the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_closing_flushes_what_is_queued() {
    let world = world(ClicksAck::Queued).await;
    for n in 0..5_000 {
        world.recorder.record(visit(&n.to_string())).await.unwrap();
    }
    world.recorder.close().await;
    assert_eq!(world.recorded().await.len(), 5_000);
    assert_eq!(world.recorder.record(visit("late")).await, Err(RecordError::Unavailable));
}

#[tokio::test]
async fn the_address_is_dropped_and_the_country_kept() {
    let world = world(ClicksAck::Durable).await;
    let mut visit = visit("x");
    visit.address = Some("193.0.6.139".parse().unwrap());
    world.recorder.record(visit).await.unwrap();
    let limit = ReadLimit::default();
    let event = world.log.read_all(Topic::Clicks, Sequence::START, limit).await.unwrap().remove(0);
    let body = String::from_utf8(event.body.to_vec()).unwrap();
    assert!(body.contains("\"country\":\"NL\"") && !body.contains("193.0.6.139"), "{body}");
}

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
            let stream = hoplog_events::position::StreamId::new(Topic::Clicks, "0");
            let append = clicks_event(&stream, clicks, &Clock::system(), "visitor").unwrap();
            prop_assert!(append.events[0].body.len() <= hoplog_events::log::APPEND_BYTES_MAX);
        }
    }
}
