//! What partitions promise: several write the tables of one projection, and they are those of one.

use std::sync::Arc;

use hoplog_events::link::{LinkDisabled, LinkEnabled, LinkTagged};
use hoplog_events::log::ReadLimit;
use hoplog_events::position::{Sequence, Topic};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::world::{World, click, key};
use crate::builds::{BuildPurpose, Claim};
use crate::checkpoint::Checkpoint;
use crate::click_statistics::{ClickStatistics, Scope, StatisticsQuery};
use crate::clicks::BotFilter;
use crate::commit::Listener;
use crate::database::Purpose;
use crate::lease::Part;
use crate::link_directory::LinkDirectory;
use crate::parking::{Aside, Unhandled};
use crate::partition::{Partitions, Share};
use crate::projection::Projection;
use crate::read_models::every_projection;
use crate::runner::{Applier, Progress, WorkerError};
use crate::table_set::{ActiveSets, TableSet, Tables, active_set};

/// How many logs are made up.
const CASES: u32 = 12;

/// Links that something happens to.
const LINKS: u64 = 12;

/// Something that is written to the log: to a link, or some clicks.
#[derive(Debug, Clone)]
enum Happening {
    Link(u64, u8),
    Clicks(Vec<(u64, u64, bool)>),
}

fn happening() -> impl Strategy<Value = Happening> {
    let clicks = prop::collection::vec((0..LINKS, 0..200_u64, any::<bool>()), 1..12);
    prop_oneof![
        (0..LINKS, 0..4_u8).prop_map(|(link, what)| Happening::Link(link, what)),
        clicks.prop_map(Happening::Clicks),
    ]
}

impl World {
    async fn happens(&self, what: &Happening) {
        match what {
            Happening::Link(link, what) => {
                let code = format!("c{link}");
                // Whatever happens to a link first is its creation.
                let stream = key(&code).stream();
                let is_new = self.log.last(&stream).await.unwrap().is_none();
                match what {
                    _ if is_new => {
                        let tags = json!({ "tags": [format!("t{link}"), "all"] });
                        self.link(&code, "2026-01-01T00:00:00Z", tags).await
                    }
                    1 => self.change(&code, LinkDisabled {}).await,
                    2 => self.change(&code, LinkEnabled {}).await,
                    _ => {
                        let tags = vec!["other".parse().unwrap()].try_into().unwrap();
                        self.change(&code, LinkTagged { tags }).await
                    }
                };
            }
            Happening::Clicks(clicks) => {
                let one = |(link, n, bot): &(u64, u64, bool)| {
                    let at = format!("2026-0{}-01T0{}:00:00Z", 1 + n % 3, n % 7);
                    let agent = if *bot { "curl/8" } else { super::world::CHROME };
                    let visitor = format!("{:016x}", n * 0x1234_5678_9abc);
                    let fields = json!({ "visitor": visitor, "userAgent": agent, "country": "DE" });
                    click(&format!("c{link}"), &at, fields)
                };
                self.clicks(clicks.iter().map(one).collect()).await;
            }
        }
    }

    /// What applies events by itself, as no process does.
    pub(super) fn appliers(&self) -> Vec<Applier> {
        let applier = |projection: Arc<dyn Projection>| Applier {
            sets: ActiveSets::new([TableSet { projection: projection.name(), number: 0 }]),
            projection,
            database: self.database.clone(),
            log: Arc::clone(&self.log),
            part: Part::Alone,
            partitions: Partitions::ONE,
            room: Arc::new(Semaphore::new(1)),
            listener: Listener::default(),
            last_stretch: Arc::default(),
            reads: Arc::default(),
        };
        every_projection().into_iter().map(applier).collect()
    }

    /// How many rows of links are in one set and not in the other.
    pub(super) async fn differing(&self, applier: &Applier, sets: [TableSet; 2]) -> u64 {
        self.differing_where(applier, sets, "substr(link, 1, 1) not in ('', '/')").await
    }

    /// The same of rows that meet a condition.
    pub(super) async fn differing_where(
        &self,
        applier: &Applier,
        sets: [TableSet; 2],
        condition: &str,
    ) -> u64 {
        let mut differing = 0;
        for table in applier.projection.tables() {
            let rows = sets
                .map(|set| format!("select * from {} where {condition}", set.table(table.name)));
            for [here, there] in [[0, 1], [1, 0]] {
                let (here, there) = (&rows[here], &rows[there]);
                let sql = format!("select count(*) from ({here} except {there}) as x");
                let count = self.database.fetch(Purpose::Projection, sql, &[], |row| row.count(0));
                differing += count.await.unwrap()[0];
            }
        }
        differing
    }

    fn tables(&self, sets: &[TableSet]) -> Tables {
        let sets = ActiveSets::new(sets.iter().copied());
        Tables { database: self.database.clone(), sets }
    }

    /// What is answered about all links, from the rows that count them together.
    async fn of_all_links(&self, set: TableSet) -> crate::click_statistics::Statistics {
        let long_answers = Arc::new(Semaphore::new(1));
        let statistics = ClickStatistics::new(self.tables(&[set]), long_answers);
        let query = StatisticsQuery {
            scope: Scope::All,
            from: None,
            to: None,
            tz: chrono_tz::Tz::UTC,
            interval: None,
            bots: BotFilter::Include,
            filters: Vec::new(),
        };
        statistics.statistics(&query).await.unwrap()
    }
}

/// Statistics of all events there are, in so many partitions.
pub(super) async fn statistics_in(world: &World, partitions: u32) -> ClickStatistics {
    let is_theirs = |applier: &Applier| applier.projection.name() == crate::click_statistics::NAME;
    let applier = world.appliers().into_iter().find(is_theirs).unwrap();
    let partitions = Partitions::new(partitions).unwrap();
    let set = to_the_end(&applier, create(&applier, partitions).await).await.set;
    let links = active_set(&world.database, "link_directory").await.unwrap().0;
    ClickStatistics::new(world.tables(&[set, links]), Arc::new(Semaphore::new(1)))
}

/// The next events behind a checkpoint into the rows of its share.
pub(super) async fn step(applier: &Applier, from: Checkpoint, events_max: usize) -> Checkpoint {
    let limit = ReadLimit { events_max, bytes_max: usize::MAX };
    let events = applier.log.read_all(from.topic, from.sequence, limit).await.unwrap();
    if events.is_empty() {
        return from;
    }
    let aside = Aside::load(&applier.database, &from, Unhandled::Refuse).await.unwrap();
    applier.apply(from, &events.into(), &aside).await.unwrap().0
}

async fn to_the_end(applier: &Applier, mut from: Checkpoint) -> Checkpoint {
    loop {
        let next = step(applier, from, usize::MAX).await;
        if next == from {
            return from;
        }
        from = next;
    }
}

/// A new set that nobody builds.
pub(super) async fn create(applier: &Applier, partitions: Partitions) -> Checkpoint {
    let claim = Claim::new(applier.projection.name());
    let set = applier.create(partitions, claim, BuildPurpose::Rebuild).await.unwrap();
    applier.abandon(None, claim).await.unwrap();
    set
}

/// The checkpoints of the partitions of a new set.
async fn split(applier: &Applier, partitions: Partitions) -> Vec<Checkpoint> {
    let all = create(applier, partitions).await;
    let one = |number| Share::One(partitions.get(number).unwrap());
    (0..partitions.count()).map(|number| Checkpoint { share: one(number), ..all }).collect()
}

async fn partitions_and_one_give_the_same(
    world: &World,
    happenings: &[Happening],
    partitions: Partitions,
    steps: &[(u32, usize)],
) {
    for what in happenings {
        world.happens(what).await;
    }
    for applier in world.appliers() {
        let whole = create(&applier, Partitions::ONE).await;
        let whole = to_the_end(&applier, whole).await;
        let at_once = to_the_end(&applier, create(&applier, partitions).await).await;
        let mut split = split(&applier, partitions).await;
        for (number, events_max) in steps {
            let place = (number % partitions.count()) as usize;
            split[place] = step(&applier, split[place], *events_max).await;
        }
        let parts = split[0].set;
        for checkpoint in split {
            let last = to_the_end(&applier, checkpoint).await;
            assert_eq!(last.sequence, whole.sequence);
        }
        for set in [at_once.set, parts] {
            assert_eq!(world.differing(&applier, [whole.set, set]).await, 0, "{set:?}");
        }
        if applier.projection.name() == crate::click_statistics::NAME {
            let expected = world.of_all_links(whole.set).await;
            assert_eq!(world.of_all_links(parts).await, expected);
            assert_eq!(world.of_all_links(at_once.set).await, expected);
        }
        for set in [whole.set, at_once.set, parts] {
            applier.drop_set(set).await.unwrap();
        }
    }
}

/// Whatever happens, into however many partitions it is split, and however far each is meanwhile.
pub(crate) async fn partitions_give_the_tables_of_one(world: World) {
    world.models.stop_projecting().await;
    let strategy = (
        prop::collection::vec(happening(), 1..25),
        1..=8_u32,
        prop::collection::vec((0..8_u32, 1..6_usize), 0..30),
    );
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let run = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&strategy, |(happenings, count, steps)| {
            let partitions = Partitions::new(count).unwrap();
            Handle::current().block_on(partitions_and_one_give_the_same(
                &world,
                &happenings,
                partitions,
                &steps,
            ));
            Ok(())
        })
    });
    run.unwrap();
}

/// A code whose link is in a partition of two.
fn code_in(number: u32) -> String {
    let partition = Partitions::new(2).unwrap().get(number).unwrap();
    let mut codes = (0..).map(|n| format!("c{n}"));
    codes.find(|code| partition.holds(&key(code).to_string())).unwrap()
}

/// Two workers on one partition: one of them changes nothing. Others are not held up by that, and
/// what is read says how far the rows of its own partition are.
pub(crate) async fn a_partition_is_written_by_one_at_a_time(world: World) {
    world.models.stop_projecting().await;
    let codes = [0, 1].map(code_in);
    for code in &codes {
        world.link(code, "2026-01-01T00:00:00Z", json!({})).await;
    }
    let [directory, _, statistics, _] = &world.appliers()[..] else { panic!("four") };
    let head = world.log.head(Topic::Links).await.unwrap().sequence;
    let links = split(directory, Partitions::new(2).unwrap()).await;
    step(directory, links[0], 10).await;
    let tables = world.tables(&[links[0].set]);
    let progress = tokio::sync::watch::channel(Progress::default()).1;
    let directory = LinkDirectory::new(tables, progress);
    let rows = directory.get_as_of(&codes.each_ref().map(|code| key(code))).await.unwrap();
    let [(row, as_of)] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row.key, *as_of), (&key(&codes[0]), head), "the other is not there yet");

    for n in 0..20 {
        let visitor = json!({ "visitor": format!("{n:016x}") });
        let visit = |code: &String| click(code, "2026-03-01T00:00:00Z", visitor.clone());
        world.clicks(codes.iter().map(visit).collect()).await;
    }
    let clicks = split(statistics, Partitions::new(2).unwrap()).await;
    let limit = ReadLimit { events_max: 5, bytes_max: usize::MAX };
    let events = world.log.read_all(Topic::Clicks, Sequence::START, limit).await.unwrap();
    let batch = events.clone().into();
    let aside = Aside::load(&world.database, &clicks[0], Unhandled::Refuse).await.unwrap();
    let apply = |checkpoint| statistics.apply(checkpoint, &batch, &aside);
    let (one, other, same) = tokio::join!(apply(clicks[0]), apply(clicks[1]), apply(clicks[0]));
    assert_eq!(other.unwrap().1, 5);
    let lost = [one, same].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(matches!(lost[..], [WorkerError::CheckpointLost(_)]), "{lost:?}");
    // Only one of the two goes on.
    let there =
        Checkpoint::load(&world.database, Purpose::Projection, clicks[0].set, Topic::Clicks);
    let there = there.await.unwrap();
    to_the_end(statistics, there[1]).await;
    let totals = ClickStatistics::new(world.tables(&[clicks[0].set]), Arc::new(Semaphore::new(1)));
    let totals = totals.totals_as_of(&codes.each_ref().map(|code| key(code))).await.unwrap();
    let of = |code: &String| (totals[&key(code)].0.total, totals[&key(code)].1);
    let end = world.log.head(Topic::Clicks).await.unwrap().sequence;
    assert_eq!(of(&codes[0]), (5, events[4].position.sequence));
    assert_eq!(of(&codes[1]), (20, end));
    assert_eq!(world.of_all_links(clicks[0].set).await.total_clicks, 25);
}
