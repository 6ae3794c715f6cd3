//! Against a real Redis, a log, and the read model that gives the same answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use chrono::TimeDelta;
use hoplog_events::catalogue::Event;
use hoplog_events::click::ClicksRecorded;
use hoplog_events::envelope::{Metadata, NewEvent, RecordedEvent};
use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
use hoplog_events::log::{
    Append, AppendError, Appended, EventLog, ExpectedVersion, ReadError, ReadLimit, Rewrite,
    RewriteError, Subscription,
};
use hoplog_events::position::{Position, StreamId, Topic, Version};
use hoplog_projections::lease::Part;
use hoplog_projections::partition::Partitions;
use hoplog_projections::top_links::{Among, HalfLife, Period};
use hoplog_projections::{Database, ReadModels};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::clock::Clock;
use crate::redis_connection::redis_server::RedisServer;

const PATIENCE: Duration = Duration::from_mins(1);

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                      (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";

struct World {
    redis: RedisServer,
    shared: SharedRankings,
    level2: Arc<Level2>,
    log: Arc<dyn EventLog>,
    models: ReadModels,
    clock: Clock,
    tasks: JoinSet<()>,
    _dir: TempDir,
}

/// A click: which link, how many minutes ago, of a bot or not.
type Visit = (u8, i64, bool);

impl World {
    async fn new() -> Self {
        let (redis, dir) = (RedisServer::start(), tempfile::tempdir().unwrap());
        let level2 = Arc::new(Level2::new(redis.url().parse().unwrap(), Duration::from_secs(5)));
        let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await;
        let log: Arc<dyn EventLog> = Arc::new(log.unwrap());
        let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
        let events = Arc::clone(&log);
        let models = ReadModels::open(database, events, Part::Alone, Partitions::ONE).await;
        let models = models.unwrap();
        models.run();
        let shared = SharedRankings::new(Arc::clone(&level2), log.id());
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&level2);
        tasks.spawn(async move { kept.keep_connected().await });
        Self { redis, shared, level2, log, models, clock: Clock::system(), tasks, _dir: dir }
    }

    /// A node that takes part in the work whenever it is its turn.
    fn node(&mut self, turn: &Arc<AtomicBool>) {
        let follower =
            RankingsFollower::new(&self.shared, Arc::clone(&self.log), self.clock.clone());
        let turn = Arc::clone(turn);
        self.tasks.spawn(follower.run(move || turn.load(Ordering::Acquire)));
    }

    async fn clicks(&self, visits: &[Visit]) -> Position {
        let now = self.clock.now();
        let click = |(link, minutes, bot): &Visit| {
            let agent = if *bot { "curl/8" } else { CHROME };
            json!({ "domain": "default", "code": format!("c{link}"), "visitor": "00000000000000a1",
                    "at": now - TimeDelta::minutes(*minutes), "userAgent": agent })
        };
        let clicks: Vec<_> = visits.iter().map(click).collect();
        let event: ClicksRecorded = serde_json::from_value(json!({ "clicks": clicks })).unwrap();
        let (stream, command_id) = (StreamId::new(Topic::Clicks, "0"), CommandId(Uuid::new_v4()));
        let metadata =
            Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
        let event = Event::from(event);
        let event = NewEvent::write(&stream, &event, Uuid::now_v7(), now, now, &metadata).unwrap();
        let expected = ExpectedVersion::Any;
        let append = Append { stream, expected, command_id, events: vec![event] };
        self.log.append(append).await.unwrap().position
    }

    /// Waits until Redis is there, and as far as a position.
    async fn reaches(&self, position: Position) {
        let deadline = Instant::now() + PATIENCE;
        let ever = Ranking::ever();
        while self.shared.top(&ever, position.sequence, self.clock.now(), 1).await.is_none() {
            assert!(Instant::now() < deadline, "rankings do not get there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.models.wait_for(top_links::NAME, position, PATIENCE).await.unwrap();
    }

    /// Redis and the database give the same answers to every question.
    async fn agree(&self, position: Position) {
        self.reaches(position).await;
        let (now, everything, links) =
            (self.clock.now(), Among::default(), self.models.top_links());
        for ranking in [
            Ranking::ever(),
            Ranking::of(Period::Day, now.date_naive()),
            Ranking::trending(HalfLife::Hour, now),
            Ranking::trending(HalfLife::Day, now),
            Ranking::trending(HalfLife::Week, now),
        ] {
            let from_tables = links.top(&ranking, &everything, 100).await.unwrap();
            let shared = self.shared.top(&ranking, position.sequence, now, 100).await;
            assert_eq!(shared, Some(from_tables.clone()), "{ranking:?}");
            let absent = "default/nobody".parse().unwrap();
            for key in from_tables.iter().map(|ranked| &ranked.link).chain([&absent]) {
                let from_tables = links.around(&ranking, &everything, key, 2).await.unwrap();
                let asked = (key, 2);
                let shared = self.shared.around(&ranking, position.sequence, now, asked).await;
                assert_eq!(shared, Some(from_tables), "{ranking:?} {key}");
            }
        }
    }
}

fn visits() -> impl Strategy<Value = Vec<Vec<Visit>>> {
    let minutes = prop_oneof![0..200_i64, 0..20_000_i64];
    let visit = (0..12_u8, minutes, prop::bool::weighted(0.1));
    prop::collection::vec(prop::collection::vec(visit, 1..30), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Whatever is clicked, by two nodes that take turns, or both think that it is theirs, and
    /// emptied in between: Redis says what the database says.
    #[test]
    fn redis_and_the_database_rank_alike(
        batches in visits(),
        turns in prop::collection::vec((any::<bool>(), any::<bool>(), prop::bool::weighted(0.1)), 12),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let nodes = [true, true].map(|turn| Arc::new(AtomicBool::new(turn)));
            for turn in &nodes {
                world.node(turn);
            }
            let mut last = None;
            for (batch, (one, other, emptied)) in batches.iter().zip(turns) {
                nodes[0].store(one, Ordering::Release);
                nodes[1].store(other || !one, Ordering::Release);
                last = Some(world.clicks(batch).await);
                if emptied {
                    world.redis.flush();
                }
            }
            world.agree(last.unwrap()).await;
            world.models.stop().await;
        });
    }
}

/// One event with more changes than one script takes, and a follower that begins in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_event_is_added_in_parts() {
    let mut world = World::new().await;
    let many: Vec<Visit> = (0..250).map(|link| (link, i64::from(link) * 3, false)).collect();
    let turn = Arc::new(AtomicBool::new(true));
    world.node(&turn);
    world.clicks(&[(1, 0, false)]).await;
    let position = world.clicks(&many).await;
    world.reaches(position).await;
    let last = world.clicks(&[(2, 0, false), (2, 1, false)]).await;
    world.agree(last).await;
    world.models.stop().await;
}

/// What is behind, in parts, of another log, gone or over is not answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_far_as_asked_is_not_answered() {
    let mut world = World::new().await;
    let turn = Arc::new(AtomicBool::new(true));
    world.node(&turn);
    let position = world.clicks(&[(1, 0, false)]).await;
    world.reaches(position).await;
    let (now, ever) = (world.clock.now(), Ranking::ever());
    let next = Sequence(position.sequence.0 + 1);
    assert_eq!(world.shared.top(&ever, next, now, 1).await, None);
    let week = Ranking::of(Period::Week, now.date_naive());
    assert_eq!(world.shared.top(&week, position.sequence, now, 1).await, None, "not kept");
    let before = Ranking::of(Period::Day, now.date_naive() - TimeDelta::days(3));
    assert_eq!(world.shared.top(&before, position.sequence, now, 1).await, None, "over");
    let other = SharedRankings::new(Arc::clone(&world.level2), LogId(Uuid::new_v4()));
    assert_eq!(other.top(&ever, Sequence::START, now, 1).await, None);
    world.redis.flush();
    world.reaches(position).await;
    world.models.stop().await;
}

/// A Redis that was written for a log that was put back to an older copy since, or by something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_is_not_of_this_log_is_dropped_and_built_anew() {
    let mut world = World::new().await;
    let turn = Arc::new(AtomicBool::new(true));
    world.node(&turn);
    world.clicks(&[(1, 0, false), (2, 0, false)]).await;
    let position = world.clicks(&[(1, 0, false)]).await;
    world.agree(position).await;
    let ahead = position.sequence.0 + 7;
    for at in
        [format!("1 {} 0", Uuid::new_v4()), format!("{ahead} {} 0", Uuid::new_v4()), "x".into()]
    {
        let script = "for _, key in ipairs(redis.call('KEYS', '*:state')) do \
                      redis.call('HSET', key, 'at', ARGV[1]) end return 1";
        assert_eq!(world.redis.command(&["EVAL", script, "0", &at]), ":1");
        let last = world.clicks(&[(3, 0, false)]).await;
        let deadline = Instant::now() + PATIENCE;
        while !world
            .shared
            .rankings
            .checkpoint()
            .await
            .unwrap()
            .starts_with(&format!("{} ", last.sequence.0))
        {
            assert!(Instant::now() < deadline, "not built anew: {at}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.agree(last).await;
    }
    world.models.stop().await;
}

/// What the log no longer has can't be built: the tables, which have it, answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_log_that_lost_its_beginning_nothing_is_built() {
    let world = World::new().await;
    let gone = world.clicks(&[(1, 0, false)]).await;
    world.clicks(&[(1, 0, false)]).await;
    let trimmed = Arc::new(Trimmed { log: Arc::clone(&world.log), gone: gone.sequence });
    let asked = Arc::new(AtomicBool::new(true));
    let log: Arc<dyn EventLog> = Arc::<Trimmed>::clone(&trimmed);
    let follower = RankingsFollower::new(&world.shared, log, world.clock.clone());
    let deadline = Instant::now() + PATIENCE;
    while world.level2.ping().await.is_err() {
        assert!(Instant::now() < deadline, "no connection");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..3 {
        let turn = || asked.load(Ordering::Acquire);
        let failed = follower.follow(&turn).await.unwrap_err();
        assert!(failed.to_string().contains("no longer on the log"), "{failed}");
        assert_eq!(world.shared.rankings.checkpoint().await, Ok(String::new()));
    }
    world.models.stop().await;
}

/// A log that has lost what is up to an event.
#[derive(Debug)]
struct Trimmed {
    log: Arc<dyn EventLog>,
    gone: Sequence,
}

/// Tells so once, then gives the rest.
struct TrimmedSubscription(Option<ReadError>, Box<dyn Subscription>);

#[async_trait]
impl Subscription for TrimmedSubscription {
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        match self.0.take() {
            Some(error) => Err(error),
            None => self.1.next().await,
        }
    }
}

#[async_trait]
impl EventLog for Trimmed {
    fn id(&self) -> LogId {
        self.log.id()
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.log.append(append).await
    }

    fn can_rewrite(&self) -> bool {
        self.log.can_rewrite()
    }

    async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        self.log.rewrite(rewrites).await
    }

    async fn read(&self, of: &StreamId, after: Version) -> Result<Vec<RecordedEvent>, ReadError> {
        self.log.read(of, after).await
    }

    async fn last(&self, of: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        self.log.last(of).await
    }

    async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.log.read_all(topic, after, limit).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        let from = Sequence(after.0 + 1);
        let lost = (after < self.gone).then_some(ReadError::Trimmed { from, to: self.gone });
        let rest = self.log.subscribe(topic, after.max(self.gone), limit).await?;
        Ok(Box::new(TrimmedSubscription(lost, rest)))
    }

    async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        self.log.head(topic).await
    }
}

#[test]
fn a_checkpoint_reads_back_and_nothing_else_is_one() {
    let seen = Seen { sequence: Sequence(7), command_id: CommandId(Uuid::from_u128(9)) };
    let checkpoint = Checkpoint { seen, part: 3 };
    assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
    for text in ["", "7", "7 x 0", "7 00000000-0000-0000-0000-000000000009", "a b c d"] {
        assert_eq!(text.parse::<Checkpoint>(), Err(NoCheckpoint), "{text}");
    }
}
