//! What nodes believe of the shared cache, and what they do without it.

use super::*;

/// A miss in the process is answered by the shared cache, also where nobody has asked before and
/// the read model is not to be had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_fills_the_shared_cache_for_every_node() {
    let mut world = World::new().await;
    world.command(0, 1, &Step::Create(1)).await;
    world.command(0, 1, &Step::Edit(2)).await;
    world.settle().await;
    let other = &world.nodes[1];
    other.models.stop().await;
    other.resolver.cache.clear();
    let expected = Target::from(world.links[&key(1)].link.clone());
    let seen = async || other.resolver.source.recent().newest(&key(1)) == expected.version;
    eventually("the node sees the change", seen).await;
    assert_eq!(other.ask_shared(&key(1)).await.as_deref(), Some(&expected));
}

/// What a node can't judge it does not believe: a new process has not read the log yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_log_was_read_nothing_shared_is_believed() {
    let mut world = World::new().await;
    world.command(0, 1, &Step::Create(1)).await;
    world.settle().await;
    let node = &world.nodes[0];
    let (log, directory) = (Arc::clone(&world.log), node.models.link_directory());
    let deaf = LinkResolver::new(log, directory, Some(node.shared.links().clone()));
    assert!(node.shared.links().get(&key(1)).await.unwrap().is_some());
    assert_eq!(deaf.cache.get_many(&[key(1)], 0).await, [None]);
    let expected = Target::from(world.links[&key(1)].link.clone());
    let path = LinkPath { domain: "default", code: "link1" };
    let found = deaf.resolve(path, NOW).await.unwrap().unwrap();
    assert_eq!(*found.target, expected);
}

/// Trap 15 (U36): without Redis every answer is the same, and only the first ones wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_frozen_or_gone_answers_come_from_elsewhere() {
    let mut world = World::new().await;
    for n in 0..4 {
        world.command(0, n, &Step::Create(n.into())).await;
    }
    world.settle().await;
    world.redis.freeze();
    for round in 0..50 {
        world.command(round % 2, 1, &Step::Edit(u16::try_from(round).unwrap())).await;
        for n in 0..4 {
            world.nodes[0].resolver.cache.clear();
            world.check(0, n).await;
            world.check(1, n).await;
        }
    }
    let level2 = world.nodes[0].shared.level2();
    assert_eq!(level2.ping().await, Err(Level2Error::Away), "nobody waits");
    world.redis.thaw();
    world.redis.kill();
    world.command(0, 2, &Step::Disable).await;
    world.check(1, 2).await;
    world.redis.start_again();
    world.nodes[0].connected().await;
    world.nodes[1].connected().await;
    world.settle_and_check().await;
}

/// While neither read model nor log can be asked, what was at hand is served and said to be stale; of what
/// was not, nobody says that it does not exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_at_hand_is_served_as_stale_while_nobody_can_be_asked() {
    let mut world = World::new().await;
    world.command(0, 1, &Step::Create(1)).await;
    world.settle().await;
    let resolver = Arc::clone(&world.nodes[0].resolver);
    let resolve = |code| resolver.resolve(LinkPath { domain: "default", code }, NOW);
    let fresh = resolve("link1").await.unwrap().unwrap();
    assert!(!fresh.is_stale);
    world.redis.kill();
    let is_away = async || world.nodes[0].shared.level2().ping().await == Err(Level2Error::Away);
    eventually("Redis is away", is_away).await;
    // The read model is not believed, and the log is closed.
    resolver.source.followed.distrust();
    world.embedded.as_ref().unwrap().close().await;
    resolver.cache.doubt_everything();
    let stale = resolve("link1").await.unwrap().unwrap();
    assert_eq!(stale, Resolved { is_stale: true, ..fresh });
    assert!(matches!(resolve("link2").await, Err(ResolveError::Unavailable(_))));
    assert_eq!(resolver.cache.counts().stale, 1);
}

/// What is hot is at hand before anybody asks: from Redis, else from a read model that is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_warmed_from_whoever_is_believed() {
    let mut world = World::new().await;
    for n in 0..4 {
        world.command(0, n, &Step::Create(n.into())).await;
    }
    world.command(0, 0, &Step::Disable).await;
    world.settle().await;
    let (resolver, clock) = (&world.nodes[1].resolver, Clock::fixed(NOW));
    let links: Vec<LinkKey> = (0..5).map(key).collect();
    let pace = crate::cache::Pace { loads_per_second: 100_000 };
    let all_seen = async || {
        resolver.cache.clear();
        world.redis.flush();
        let warmed = resolver.warm(&links, pace, &clock).await;
        // That there is no such link is an answer, too.
        (warmed.found, warmed.loaded, warmed.missing) == (0, 5, 0)
    };
    eventually("the read model is believed", all_seen).await;
    for n in 0..4 {
        let expected = Arc::new(Target::from(world.links[&key(n)].link.clone()));
        let path = LinkPath { domain: "default", code: &format!("link{n}") };
        assert_eq!(resolver.cache.get(&path, 0), AtHand::Value(expected), "{n}");
    }
    // The read model may be behind: the log is asked.
    resolver.source.followed.distrust();
    resolver.cache.clear();
    let warmed = resolver.warm(&links, pace, &clock).await;
    assert_eq!((warmed.found, warmed.loaded, warmed.missing), (0, 5, 0));
}

/// Trap 9: what Redis misses is caught up, and a crowd of new links takes no place from changes: of them
/// nothing older can stand there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_kept_for_a_redis_that_is_away_and_creations_are_not() {
    let mut world = World::new().await;
    for n in 0..2 {
        world.command(0, n, &Step::Create(n.into())).await;
    }
    world.settle().await;
    world.redis.freeze();
    for node in &world.nodes {
        let is_away = async || node.shared.level2().ping().await == Err(Level2Error::Away);
        eventually("Redis is away", is_away).await;
    }
    world.command(0, 2, &Step::Create(7)).await;
    for n in 0..2 {
        world.command(0, n, &Step::Disable).await;
        for node in &world.nodes {
            let missed = async || node.shared.level2().missed() == usize::from(n) + 1;
            eventually("it is missed", missed).await;
        }
    }
    world.redis.thaw();
    for node in &world.nodes {
        node.connected().await;
        assert_eq!(node.shared.level2().missed(), 0);
    }
    let shared = world.nodes[0].shared.links();
    for n in 0..2 {
        let found = shared.get(&key(n)).await.unwrap().unwrap().value.unwrap();
        assert_eq!(*found, Target::from(world.links[&key(n)].link.clone()));
    }
    assert_eq!(shared.get(&key(2)).await, Ok(None));
}
