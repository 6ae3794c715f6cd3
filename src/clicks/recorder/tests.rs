//! The recorder on a real log.

use std::collections::HashMap;

use chrono::DateTime;
use futures::future::join_all;
use hoplog_events::catalogue::Event;
use hoplog_events::click::ClickEvent;
use hoplog_events::link::LinkState;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{EventLog, ReadLimit};
use hoplog_events::position::{Sequence, Topic, Version};
use tempfile::TempDir;

use super::*;
use crate::clicks::country::Locator;
use crate::clicks::lane::Bounds;
use crate::clicks::node::NodeId;
use crate::clicks::visitor::VisitorSalts;
use crate::queries::resolve_link::Target;

mod faults;
pub(in crate::clicks) mod faulty;
mod node;
mod restarts;

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
    let node = Arc::new(NodeId::open(&dir.path().join("node-id")).unwrap());
    let outlet = Outlet { log: Arc::clone(&log), node, spool: None, bounds: Bounds::default() };
    let recorder = ClickRecorder::start(&outlet, &enricher, &Clock::system(), ack);
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
        extras: None,
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
        let mut recorded = HashMap::new();
        for (_, marker) in clicks_on(&*self.log).await {
            *recorded.entry(marker).or_default() += 1;
        }
        recorded
    }
}

/// The clicks on a log in its order: stream and marker.
async fn clicks_on(log: &dyn EventLog) -> Vec<(String, String)> {
    clicks_after(log, Sequence::START).await
}

async fn clicks_after(log: &dyn EventLog, after: Sequence) -> Vec<(String, String)> {
    let limit = ReadLimit { events_max: 100_000, bytes_max: usize::MAX };
    let events = log.read_all(Topic::Clicks, after, limit).await.unwrap();
    let mut clicks = Vec::new();
    for event in events {
        let Event::Click(ClickEvent::Recorded(batch)) = event.decode().unwrap().unwrap().event
        else {
            panic!("clicks only");
        };
        let markers = batch.clicks.into_iter().map(|click| click.utm.content.unwrap());
        clicks.extend(markers.map(|marker| (event.stream.key().to_owned(), marker.into_owned())));
    }
    clicks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_that_was_acknowledged_is_on_the_log_once() {
    let world = world(ClicksAck::Durable).await;
    let visitors = (0..64).map(|visitor| {
        let (recorder, log) = (Arc::clone(&world.recorder), Arc::clone(&world.log));
        tokio::spawn(async move {
            for n in 0..20 {
                let before = log.head(Topic::Clicks).await.unwrap().sequence;
                let marker = format!("{visitor}-{n}");
                recorder.record(visit(&marker)).await.unwrap();
                // The log has it by now: nobody can be told of a click that is not there.
                let since = clicks_after(log.as_ref(), before).await;
                assert!(since.iter().any(|(_, click)| *click == marker), "{marker}: {since:?}");
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

/// U27.
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
