use super::*;
use hoplog_events::envelope::{CommandId, NewEvent};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{Append, ExpectedVersion};
use hoplog_events::position::StreamId;
use tokio::time::timeout;
use uuid::Uuid;

use crate::http::events::filter::Filter;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    log: Arc<dyn EventLog>,
    feeds: Feeds,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(&dir.path().join("log"), OpenOptions::default()).await.unwrap();
    let log: Arc<dyn EventLog> = Arc::new(log);
    World { feeds: Feeds::new(&log), log, _dir: dir }
}

impl World {
    /// Appends events, each so many bytes long.
    async fn append(&self, n: usize, bytes: usize) {
        let new = || NewEvent {
            id: Uuid::new_v4(),
            event_type: "hoplog.clicks.recorded.v1".into(),
            body: format!("{{\"fill\":\"{}\"}}", "x".repeat(bytes)).into(),
        };
        for _ in 0..n {
            let append = Append {
                stream: StreamId::new(Topic::Clicks, "node/0"),
                expected: ExpectedVersion::Any,
                command_id: CommandId(Uuid::new_v4()),
                events: vec![new()],
            };
            self.log.append(append).await.unwrap();
        }
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feeds.0[1]
    }
}

/// The ids that a follower is given up to a place.
async fn follow(follower: &mut Follower, mut after: u64, to: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while after < to {
        let batch = timeout(PATIENCE, follower.next(Sequence(after))).await.unwrap().unwrap();
        let text = batch.wanted(Sequence(after), &Filter::default());
        let text = std::str::from_utf8(&text).unwrap();
        for id in text.lines().filter_map(|line| line.strip_prefix("id: ")) {
            seen.push(id.parse::<hoplog_events::position::Position>().unwrap().sequence.0);
        }
        after = batch.last().0;
    }
    seen
}

/// From the beginning, through what left the window, into what is new.
#[tokio::test]
async fn everybody_gets_everything_once_wherever_it_begins() {
    let world = world().await;
    world.append(30, 10).await;
    let mut early = world.feeds.follow(Topic::Clicks);
    let mut others: Vec<Follower> = (0..20).map(|_| world.feeds.follow(Topic::Clicks)).collect();
    assert_eq!(follow(&mut early, 0, 30).await, (1..=30).collect::<Vec<_>>());
    let writing = world.append(200, 50_000);
    let reading = follow(&mut early, 30, 230);
    let ((), seen) = tokio::join!(writing, reading);
    assert_eq!(seen, (31..=230).collect::<Vec<_>>());
    for (other, after) in others.iter_mut().zip((0..230).step_by(12)) {
        let expected: Vec<u64> = (after + 1..=230).collect();
        assert_eq!(follow(other, after, 230).await, expected, "after {after}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_loses_nothing() {
    let world = world().await;
    let mut follower = world.feeds.follow(Topic::Clicks);
    let mut after = 0;
    for n in 1..=20_u64 {
        // Given up at once, or in the middle of something.
        let _ = timeout(Duration::ZERO, follower.next(Sequence(after))).await;
        world.append(1, 10).await;
        assert_eq!(follow(&mut follower, after, n).await, [n]);
        after = n;
    }
}

/// Without followers nothing is read or held, and the next one begins anew.
#[tokio::test]
async fn a_feed_is_there_while_somebody_follows() {
    let world = world().await;
    for round in 0..5_u64 {
        let mut follower = world.feeds.follow(Topic::Clicks);
        world.append(3, 10).await;
        let (from, to) = (round * 3, round * 3 + 3);
        let expected: Vec<u64> = (from + 1..=to).collect();
        assert_eq!(follow(&mut follower, from, to).await, expected);
        assert!(world.feed().state().runs);
        drop(follower);
        let left = async {
            while world.feed().state().runs {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, left).await.unwrap();
        assert!(world.feed().state().window.is_none());
    }
}

/// As when the log can't be read. Who comes again finds it working.
#[tokio::test]
async fn a_feed_that_ends_is_told_to_those_who_follow() {
    let world = world().await;
    let mut follower = world.feeds.follow(Topic::Clicks);
    world.append(1, 10).await;
    assert_eq!(follow(&mut follower, 0, 1).await, [1]);
    world.feeds.close().await;
    assert!(timeout(PATIENCE, follower.next(Sequence(1))).await.unwrap().is_none());
    let mut again = world.feeds.follow(Topic::Clicks);
    assert_eq!(follow(&mut again, 0, 1).await, [1]);
}
