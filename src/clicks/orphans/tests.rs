//! The recorder of orphan visits on a real log, and on one that is away.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method};
use chrono::Days;
use hoplog_events::catalogue::Event;
use hoplog_events::click::VisitorHash;
use hoplog_events::log::ReadLimit;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::orphan::{OrphanEvent, OrphansRecorded};
use hoplog_events::position::{Sequence, Topic};
use hoplog_projections::sketch::Sketch;
use hoplog_projections::user_agents::UserAgents;
use tempfile::TempDir;

use super::*;
use crate::app::recording::AsErased;
use crate::clicks::country::Locator;
use crate::clicks::recorder::tests::faulty::{FaultyLog, Mode};
use crate::clicks::visitor::VisitorSalts;

const AGENT: &str = "Mozilla/5.0 (Linux; Android 13; Telltale) AppleWebKit/537.36 \
                     (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36";

struct World {
    _dir: TempDir,
    log: Arc<FaultyLog>,
    orphans: Orphans,
    /// When everybody comes: in one minute.
    now: DateTime<Utc>,
}

impl World {
    async fn new(settings: OrphanSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let log = EmbeddedLog::open(&path, OpenOptions::default()).await.unwrap();
        let log = FaultyLog::new(log);
        let salts = VisitorSalts::open(&dir.path().join("salts.json")).unwrap();
        let enricher = Arc::new(Enricher::new(Locator::open(None).unwrap(), salts, true));
        let node = Arc::new(NodeId::open(&dir.path().join("node-id")).unwrap());
        let (clock, events) = (Clock::system(), Arc::<FaultyLog>::clone(&log));
        let now = clock.now();
        let forgets = Arc::new(AsErased::default());
        let outlet = OrphanOutlet { log: events, node, enricher, forgets, clock };
        Self { _dir: dir, log, orphans: Orphans::start(outlet, &settings), now }
    }

    /// Visits of codes that nobody has, each from an address of its own.
    fn visit(&self, codes: std::ops::Range<u32>) {
        for n in codes {
            let address = std::net::Ipv4Addr::from(0xc600_0000 + n).into();
            self.visit_from(address, &format!("c{n}"), false);
        }
    }

    fn visit_from(&self, address: IpAddr, code: &str, is_busy: bool) {
        let (kind, domain) = (OrphanKind::UnknownCode, Domain::service());
        let led = Led { kind, domain, at: self.now, address };
        let headers = HeaderMap::from_iter([(
            axum::http::header::USER_AGENT,
            HeaderValue::from_static(AGENT),
        )]);
        let keep = |led| LostVisit::new(led, Some(code), (&Method::GET, &headers));
        self.orphans.note(led, is_busy, keep);
    }

    async fn recorded(&self) -> Vec<OrphansRecorded> {
        let events = self.log.inner();
        let events = events.read_all(Topic::Clicks, Sequence::START, ReadLimit::default()).await;
        let event = |event: hoplog_events::envelope::RecordedEvent| {
            assert!(!String::from_utf8_lossy(&event.body).contains("Telltale"), "{event:?}");
            match event.decode().unwrap().unwrap().event {
                Event::Orphan(OrphanEvent::Recorded(recorded)) => recorded,
                other => panic!("{other:?}"),
            }
        };
        events.unwrap().into_iter().map(event).collect()
    }

    /// How many are recorded, and how many counted.
    async fn numbers(&self) -> (usize, u64) {
        let all = self.recorded().await;
        let counted = all.iter().flat_map(|event| &event.unrecorded).map(|more| more.visits);
        (all.iter().map(|event| event.visits.len()).sum(), counted.sum())
    }
}

fn settings(per_day: u32) -> OrphanSettings {
    OrphanSettings { are_recorded: true, per_day, kept: Days::new(90) }
}

/// Pitfall 13 in the field (privacy): who tried a code is nobody from the beginning, and still counts as one.
#[tokio::test]
async fn nobody_is_told_apart_and_everybody_counts() {
    let world = World::new(settings(1_000)).await;
    for n in 0..5 {
        world.visit_from([192, 0, 2, 7].into(), &format!("c{n}"), false);
    }
    world.orphans.close().await;
    let [event] = &world.recorded().await[..] else { panic!("one batch") };
    let paths: Vec<_> = event.visits.iter().map(|visit| visit.path.as_deref().unwrap()).collect();
    assert_eq!(paths, ["c0", "c1", "c2", "c3", "c4"]);
    let visitors: BTreeSet<u64> = event.visits.iter().map(|visit| visit.visitor.0).collect();
    assert_eq!(visitors.len(), 5, "no two are the same");
    let sketch = Sketch::of(visitors.iter().map(|visitor| VisitorHash(*visitor)));
    assert_eq!(sketch.count(), 1, "they count as one");
    let agent = event.visits[0].user_agent.as_deref().unwrap();
    let known = UserAgents::default();
    assert_eq!(known.recognise(agent), known.recognise(AGENT));
    assert_eq!(event.kept_from.time(), chrono::NaiveTime::MIN);
}

#[tokio::test]
async fn what_is_not_recorded_is_counted() {
    let world = World::new(settings(1_000)).await;
    for n in 0..100 {
        world.visit_from([192, 0, 2, 7].into(), &format!("c{n}"), false);
    }
    world.visit_from([192, 0, 2, 8].into(), "busy", true);
    world.orphans.close().await;
    assert_eq!(world.numbers().await, (20, 81));
}

#[tokio::test]
async fn turned_off_nothing_is_written() {
    let world = World::new(OrphanSettings { are_recorded: false, ..settings(1_000) }).await;
    world.visit(0..10);
    world.orphans.close().await;
    assert_eq!(world.numbers().await, (0, 0));
}

/// The log is away for longer than there is room: nobody waits, and what there is no room for is counted.
#[tokio::test]
async fn while_the_log_is_away_visits_wait_and_the_rest_is_counted() {
    let world = World::new(settings(1_000_000)).await;
    world.log.set(Mode::Away);
    let visits = u32::try_from(WAITING_MAX).unwrap() + 500;
    world.visit(0..visits);
    world.log.set(Mode::Well);
    world.orphans.close().await;
    let (recorded, counted) = world.numbers().await;
    assert_eq!(recorded as u64 + counted, u64::from(visits));
    // A batch may have been taken out of the queue meanwhile.
    assert!((WAITING_MAX..=WAITING_MAX + 250).contains(&recorded), "{recorded}");
    let all = world.recorded().await;
    assert!(all.iter().all(|event| event.visits.len() <= 250), "events fit into every log");
}

/// A batch whose answer was lost is not written twice.
#[tokio::test]
async fn a_batch_is_written_once_whatever_becomes_of_the_answer() {
    let world = World::new(settings(1_000)).await;
    world.log.set(Mode::LosesAnswers);
    world.visit(0..3);
    let written = async {
        while world.numbers().await.0 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written).await.unwrap();
    world.log.set(Mode::Well);
    world.visit(3..5);
    world.orphans.close().await;
    assert_eq!(world.numbers().await, (5, 0));
}

/// What can't be written ends with the stop, and does not hold it up.
#[tokio::test]
async fn a_stop_does_not_wait_for_a_log_that_is_away() {
    let world = World::new(settings(1_000)).await;
    world.log.set(Mode::Away);
    world.visit(0..3);
    tokio::time::timeout(Duration::from_secs(30), world.orphans.close()).await.unwrap();
    assert_eq!(world.numbers().await, (0, 0));
}
