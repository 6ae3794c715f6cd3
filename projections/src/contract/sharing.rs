//! What processes promise that share the partitions of a projection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::turns::Node;
use super::world::{NAMES, PATIENCE, World, click, key};
use crate::lease::{LEASE, Member};
use crate::partition::Partitions;
use crate::runner::{State, Status};

/// How long it may take until the work is spread evenly.
const SPREAD: Duration = Duration::from_secs(30);

impl Node {
    async fn status(&self, name: &str) -> Status {
        let status = self.models.status(chrono::DateTime::UNIX_EPOCH).await;
        status.into_iter().find(|status| status.name == name).unwrap()
    }

    /// How many partitions each process holds, as this one sees it.
    async fn holders(&self, name: &str) -> BTreeMap<Option<Member>, usize> {
        let mut holders = BTreeMap::new();
        for partition in self.status(name).await.partitions {
            *holders.entry(partition.holder).or_default() += 1;
        }
        holders
    }

    /// Waits until each of so many processes holds so many partitions.
    async fn sees(&self, name: &str, spread: &[usize]) {
        let deadline = Instant::now() + SPREAD;
        loop {
            let holders = self.holders(name).await;
            let mut counts: Vec<usize> = holders.values().copied().collect();
            counts.sort_unstable();
            if counts == spread && !holders.contains_key(&None) {
                return;
            }
            assert!(Instant::now() < deadline, "{name}: {holders:?}, not {spread:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn count(partitions: u32) -> Partitions {
    Partitions::new(partitions).unwrap()
}

/// Clicks on many links.
fn visits(n: u64) -> Vec<Value> {
    let visit = |m: u64| {
        let visitor = json!({ "visitor": format!("{:016x}", n * 7 + m) });
        click(&format!("c{m}"), &format!("2026-0{}-01T00:00:00Z", 1 + n % 3), visitor)
    };
    (0..20).map(visit).collect()
}

async fn total(node: &Node) -> u64 {
    let keys: Vec<_> = (0..20).map(|m| key(&format!("c{m}"))).collect();
    let totals = node.models.click_statistics().totals(&keys).await.unwrap();
    totals.values().map(|totals| totals.total).sum()
}

async fn verified(node: &Node) {
    for name in NAMES {
        let report = node.models.verify(name).await.unwrap();
        assert!(report.is_equal(), "{name}: {report:?}");
    }
}

/// Members come, die, and go: what is done is always everybody's even share, and never twice.
pub(crate) async fn members_share_the_partitions_evenly(world: World) {
    world.models.stop_projecting().await;
    let mut written = 0;
    let mut first = Node::member_of(&world, count(4)).await;
    // The tables were made for one.
    first.sees("clicks", &[1]).await;
    world.clicks(visits(written)).await;
    for name in NAMES {
        first.models.rebuild(name).await.unwrap();
        first.sees(name, &[4]).await;
    }
    let second = Node::member_of(&world, count(4)).await;
    for node in [&first, &second] {
        node.sees("clicks", &[2, 2]).await;
        node.sees("click_statistics", &[2, 2]).await;
        assert!(matches!(node.status("clicks").await.state, State::Live | State::CatchingUp));
    }
    let third = Node::member_of(&world, count(4)).await;
    third.sees("clicks", &[1, 1, 2]).await;
    while written < 60 {
        written += 1;
        world.clicks(visits(written)).await;
        if written == 30 {
            first.kill();
        }
    }
    let killed = Instant::now();
    let head = world.log.head(hoplog_events::position::Topic::Clicks).await.unwrap();
    second.models.wait_for_all(head, PATIENCE).await.unwrap();
    println!("taken over {} ms after the last click", killed.elapsed().as_millis());
    assert!(killed.elapsed() < LEASE + Duration::from_secs(8), "{:?}", killed.elapsed());
    second.sees("clicks", &[2, 2]).await;
    assert_eq!(total(&second).await, (written + 1) * 20);
    third.models.stop_projecting().await;
    second.sees("clicks", &[4]).await;
    verified(&second).await;
}

/// Whoever is asked rebuilds, while others write the tables that are read; also for another number
/// of partitions.
pub(crate) async fn a_rebuild_changes_the_partitions_under_load(world: World) {
    world.models.stop_projecting().await;
    let nodes = [Node::member_of(&world, count(3)).await, Node::member_of(&world, count(2)).await];
    for (round, rebuilding) in [0_u64, 1, 0].into_iter().zip([0, 1, 0]) {
        let load = async {
            for n in 0..30 {
                world.clicks(visits(round * 100 + n)).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let rebuild = async {
            for name in NAMES {
                nodes[rebuilding].models.rebuild(name).await.unwrap();
            }
        };
        tokio::join!(load, rebuild);
        let head = world.log.head(hoplog_events::position::Topic::Clicks).await.unwrap();
        for node in &nodes {
            node.models.wait_for_all(head, PATIENCE).await.unwrap();
            let partitions = node.status("clicks").await.partitions.len();
            assert_eq!(partitions, if rebuilding == 0 { 3 } else { 2 });
        }
    }
    assert_eq!(total(&nodes[1]).await, 3 * 30 * 20);
    // Each in turn, while the other one holds some.
    for node in &nodes {
        verified(node).await;
        node.sees("clicks", &[1, 2]).await;
    }
}

/// A pause is everybody's, and of every partition.
pub(crate) async fn a_pause_stops_every_partition(world: World) {
    world.models.stop_projecting().await;
    let nodes = [Node::member_of(&world, count(4)).await, Node::member_of(&world, count(4)).await];
    nodes[0].models.rebuild("clicks").await.unwrap();
    for round in 0..3 {
        for node in &nodes {
            node.sees("clicks", &[2, 2]).await;
        }
        nodes[1].models.pause("clicks").await.unwrap();
        for node in &nodes {
            loop {
                let status = node.status("clicks").await;
                let is_free = status.partitions.iter().all(|it| it.holder.is_none());
                if status.state == State::Paused && is_free {
                    assert!(status.partitions.iter().all(|it| it.state == State::Paused));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let position = world.clicks(visits(round)).await;
        let moment = Duration::from_millis(200);
        assert!(nodes[0].models.wait_for("clicks", position, moment).await.is_err());
        nodes[0].models.resume("clicks").await.unwrap();
        for node in &nodes {
            let reached = node.models.wait_for("clicks", position, PATIENCE).await;
            assert!(reached.is_ok(), "round {round}: {:?}", node.status("clicks").await);
        }
    }
}

/// As a version left them that knew no partitions.
const BEFORE: [&str; 6] = [
    "drop table turns",
    "drop table members",
    "create table checkpoints_then (projection {text} not null, table_set bigint not null, \
     topic {text} not null, log_id {text} not null, sequence bigint not null, \
     primary key (projection, table_set, topic))",
    "insert into checkpoints_then select projection, table_set, topic, log_id, sequence \
     from checkpoints",
    "drop table checkpoints",
    "alter table checkpoints_then rename to checkpoints",
];

pub(crate) async fn tables_of_before_partitions_are_taken_over(world: World) {
    world.clicks(visits(0)).await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    let mut transaction = world.database.begin().await.unwrap();
    for sql in BEFORE {
        transaction.define(sql).await.unwrap();
    }
    transaction.commit().await.unwrap();
    // Kept: connections end with the threads of whoever opened them.
    let mut nodes = Vec::new();
    for written in 1..3 {
        let again = Node::member_of(&world, count(4)).await;
        let position = world.clicks(visits(written)).await;
        again.models.wait_for_all(position, PATIENCE).await.unwrap();
        let status = again.status("clicks").await;
        assert_eq!((status.position, status.partitions.len()), (position, 1), "nothing anew");
        assert_eq!(total(&again).await, (written + 1) * 20);
        verified(&again).await;
        again.models.stop_projecting().await;
        nodes.push(again);
    }
    // What a process of before writes is still right.
    let mut transaction = world.database.begin().await.unwrap();
    let sql = "insert into checkpoints (projection, table_set, topic, log_id, sequence) \
               select projection, 77, topic, log_id, sequence from checkpoints";
    transaction.execute(sql.to_owned(), &[]).await.unwrap();
    drop(transaction);
    let again = Node::member_of(&world, count(4)).await;
    again.models.rebuild("clicks").await.unwrap();
    again.sees("clicks", &[4]).await;
    verified(&again).await;
}
