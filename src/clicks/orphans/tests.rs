//! The recorder of orphan visits on a real log, and on one that is away.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use chrono::Days;
use hoplog_events::catalogue::Event;
use hoplog_events::click::VisitorHash;
use hoplog_events::log::ReadLimit;
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::orphan::{ORPHANS_MAX, Orphan, OrphanEvent, OrphansRecorded, Unrecorded};
use hoplog_events::position::{Sequence, Topic};
use hoplog_projections::clicks::referrer_host;
use hoplog_projections::sketch::{Sketch, surrogate};
use hoplog_projections::user_agents::UserAgents;
use metrics_exporter_prometheus::PrometheusBuilder;
use tempfile::TempDir;

use super::*;
use crate::clicks::country::Locator;
use crate::clicks::recorder::tests::faulty::{FaultyLog, Mode};
use crate::clicks::visitor::VisitorSalts;

const AGENT: &str = "Mozilla/5.0 (Linux; Android 13; Telltale) AppleWebKit/537.36 \
                     (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36";

/// What the application has for it.
#[derive(Debug, Default)]
struct AsErased(UserAgents);

impl Forgets for AsErased {
    fn visitor(&self, visitor: VisitorHash, event: Uuid, place: usize) -> VisitorHash {
        surrogate(visitor, event, place)
    }

    fn agent(&self, agent: &str) -> String {
        self.0.erased(agent)
    }

    fn host<'a>(&self, referrer: &'a str) -> Cow<'a, str> {
        referrer_host(referrer)
    }
}

struct World {
    _dir: TempDir,
    log: Arc<FaultyLog>,
    orphans: Orphans,
    enricher: Arc<Enricher>,
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
        let (now, events) = (Clock::system().now(), Arc::<FaultyLog>::clone(&log));
        let clock = Clock::fixed(now);
        let forgets = Arc::new(AsErased::default());
        let looked_up = Arc::clone(&enricher);
        let outlet = OrphanOutlet { log: events, node, enricher: looked_up, forgets, clock };
        Self { _dir: dir, log, orphans: Orphans::start(outlet, &settings), enricher, now }
    }

    /// Visits of codes that nobody has, each from an address of its own.
    fn visit(&self, codes: std::ops::Range<u32>) {
        for n in codes {
            let address = std::net::Ipv4Addr::from(0xc600_0000 + n).into();
            self.visit_from(address, &format!("c{n}"), false);
        }
    }

    fn visit_from(&self, address: IpAddr, code: &str, is_busy: bool) {
        let agent = (header::USER_AGENT, HeaderValue::from_static(AGENT));
        self.visit_with(address, code, is_busy, &HeaderMap::from_iter([agent]));
    }

    fn visit_with(&self, address: IpAddr, code: &str, is_busy: bool, headers: &HeaderMap) {
        let (kind, domain) = (OrphanKind::UnknownCode, Domain::service());
        let led = Led { kind, domain, address };
        let keep = |led, at| LostVisit::new(led, at, Some(code), (&Method::GET, headers));
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

/// Pitfall 13 in the field (privacy): what is left of a hash in both would say that a click and a visit in vain are one
/// person's, as it would be the same for hardly anybody else of the day.
#[tokio::test]
async fn who_came_in_vain_can_t_be_told_by_the_clicks_of_the_day() {
    let world = World::new(settings(1_000_000)).await;
    let of = |n: u32| IpAddr::from(std::net::Ipv4Addr::from(0xc600_0000 + n));
    world.visit(0..100);
    world.orphans.close().await;
    let [event] = &world.recorded().await[..] else { panic!("one batch") };
    let left_of = |visitor| Sketch::of([visitor]).to_bytes();
    let (mut clicks, mut orphans, mut same) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (n, visit) in (0..).zip(&event.visits) {
        let salts = world.enricher.salts();
        let click = salts.hash(world.now, world.now, Some(of(n)), AGENT).unwrap();
        same += u32::from(left_of(click) == left_of(visit.visitor));
        clicks.insert(left_of(click));
        orphans.insert(left_of(visit.visitor));
    }
    assert!(clicks.len() > 90 && orphans.len() > 90, "visitors differ");
    // By chance it is one of some 50,000.
    assert!(same < 3, "{same} of 100 are the same");
}

/// Whoever sends a text that is no URL may have meant it for nobody.
#[tokio::test]
async fn of_a_referrer_only_a_host_is_kept() {
    let world = World::new(settings(1_000)).await;
    let all = [
        ("https://ann@News.example:8443/a?b#c", Some("news.example")),
        ("android-app://com.example.app/", Some("com.example.app")),
        ("http://[2001:db8::1]:80/", Some("[2001:db8::1]")),
        ("token=s3cret for ann", None),
        ("ann@example.com my secret", None),
        ("https://my secret/", None),
        ("https://ann:secret", None),
        ("s3cret", None),
        ("https://", None),
    ];
    for (referrer, _) in all {
        let referrer = (header::REFERER, HeaderValue::from_static(referrer));
        world.visit_with([192, 0, 2, 7].into(), "c", false, &HeaderMap::from_iter([referrer]));
    }
    world.orphans.close().await;
    let [event] = &world.recorded().await[..] else { panic!("one batch") };
    let kept = event.visits.iter().map(|visit| visit.referrer.as_deref());
    assert_eq!(kept.collect::<Vec<_>>(), all.map(|(_, host)| host));
}

/// However long the texts are, and whatever alphabet they are in; of as many counts as there may be.
#[test]
fn the_largest_event_fits_into_every_log() {
    let long = |chars: usize| Some(Box::<str>::from("\u{1f517}".repeat(chars)));
    let domain: Domain = ["a".repeat(60).as_str(); 4].join(".").parse().unwrap();
    let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::microseconds(123_456);
    let visit = Orphan {
        kind: OrphanKind::UnknownCode,
        domain: domain.clone(),
        path: Some("a".repeat(65).into()),
        at,
        method: Some("M".repeat(16).into()),
        purpose: long(16),
        user_agent: long(128),
        referrer: Some("a".repeat(128).into()),
        language: long(16),
        country: long(128),
        region: long(128),
        city: long(128),
        visitor: VisitorHash(u64::MAX),
    };
    let (kind, visits) = (OrphanKind::UnknownCode, u64::MAX);
    let more = Unrecorded { kind, domain, since: at, visits };
    let bytes_of_one = serde_json::to_vec(&visit).unwrap().len();
    assert!(bytes_of_one < 3_000, "{bytes_of_one}: operations.md");
    let (visits, unrecorded) = (vec![visit; ORPHANS_MAX], vec![more; counts::COUNTS_MAX]);
    let event = OrphansRecorded { visits, unrecorded, kept_from: at };
    let bytes = serde_json::to_vec(&event).unwrap().len();
    assert!(bytes < 1_000_000, "{bytes}");
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

/// Nobody who stops a process waits for each batch; what is lost by that is told.
#[tokio::test]
async fn a_stop_does_not_wait_for_a_log_that_says_nothing() {
    let told = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&told);
    let world = World::new(settings(1_000_000)).await;
    world.log.set(Mode::Hanging);
    let visits = u32::try_from(WAITING_MAX).unwrap() + 200;
    world.visit(0..visits);
    // An attempt is under way: it, one more and one for each batch that waits would take 25 seconds.
    tokio::time::sleep(Duration::from_millis(10)).await;
    tokio::time::timeout(Duration::from_secs(15), world.orphans.close()).await.unwrap();
    assert_eq!(world.numbers().await, (0, 0));
    world.visit(0..1);
    let told = told.handle().render();
    let shed = format!("hoplog_orphans_shed_total {}", visits + 1);
    assert!(told.lines().any(|line| line == shed), "{told}");
}

/// Of what no log takes the number is left.
#[tokio::test]
async fn what_is_too_large_for_the_log_is_counted() {
    let told = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&told);
    let world = World::new(settings(1_000_000)).await;
    world.log.set(Mode::Narrow);
    world.visit(0..30);
    for _ in 0..7 {
        world.visit_from([192, 0, 2, 7].into(), "busy", true);
    }
    world.orphans.close().await;
    assert_eq!(world.numbers().await, (0, 37));
    let told = told.handle().render();
    let counted = "hoplog_orphans_unrecorded_total{limit=\"size\"} 30";
    assert!(told.lines().any(|line| line == counted), "{told}");
    assert!(!told.contains("hoplog_orphans_shed_total"), "{told}");
}
