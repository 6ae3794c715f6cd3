//! A cluster, and a primary that a Sentinel watches.

use super::*;
use crate::cache::Locks;
use crate::redis_connection::redis_servers::Servers;

async fn connect(url: &str) -> (Space, JoinHandle<()>) {
    let level2 = Arc::new(Level2::new(url.parse().unwrap(), Duration::from_secs(5)));
    let kept = Arc::clone(&level2);
    let keeper = tokio::spawn(async move { kept.keep_connected().await });
    let space = Space::new(level2, "test1:", Duration::from_mins(5));
    connected(&space).await;
    (space, keeper)
}

async fn connected(space: &Space) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while space.level2.ping().await.is_err() {
        assert!(Instant::now() < deadline, "the connection does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Trap 10 (C10): calls with many keys work where the keys lie in many slots, answers come in the
/// order of the keys, and a refusal is no miss. The name of one node is enough to find all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_of_a_cluster_are_written_read_and_counted() {
    let servers = Servers::cluster();
    let ports = servers.ports();
    let (space, keeper) = connect(&format!("redis-cluster://127.0.0.1:{}", ports[1])).await;
    let keys: Vec<String> = (0..250).map(|n| format!("k{n}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let write = |key: &String| Write::value(key.clone(), 7, key.as_bytes());
    let writes: Vec<Write> = keys.iter().map(write).collect();
    assert_eq!(space.set_if_newer(&writes).await, Ok(250));
    assert_eq!(space.set_if_newer(&writes).await, Ok(0), "nothing newer");
    for (key, entry) in keys.iter().zip(space.get_many(&names).await.unwrap()) {
        assert_eq!(entry.unwrap().value.as_deref(), Some(key.as_bytes()));
    }
    for port in &ports {
        let count = Servers::command(*port, &["DBSIZE"]);
        assert!(count != ":0", "every node holds some: {count}");
    }
    let additions: Vec<(&str, i64)> = names.iter().map(|name| (*name, 2)).collect();
    let numbers = Space::new(Arc::clone(space.level2()), "numbers:", Duration::from_mins(1));
    assert_eq!(numbers.add_many(&additions).await, Ok(vec![2; 250]));
    let locks = Locks::new(Arc::clone(space.level2()), "lock:");
    let lease = locks.take("a", Duration::from_mins(1)).await.unwrap().unwrap();
    assert!(locks.take("a", Duration::from_mins(1)).await.unwrap().is_none());
    lease.give_back().await.unwrap();
    keeper.abort();
}

/// A slot that moves to another node is followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed() {
    let servers = Servers::cluster();
    let ports = servers.ports();
    let (space, keeper) = connect(&format!("redis-cluster://127.0.0.1:{}", ports[0])).await;
    let key = "test1:moves";
    let slot = Servers::command(ports[0], &["CLUSTER", "KEYSLOT", key]);
    let slot = slot.trim_start_matches(':');
    let to = Servers::command(ports[2], &["CLUSTER", "MYID"]);
    let of = Servers::command(ports[0], &["CLUSTER", "MYID"]);
    let target = if slot.parse::<u32>().unwrap() >= 10_922 { &of } else { &to };
    for port in &ports {
        assert_eq!(Servers::command(*port, &["CLUSTER", "SETSLOT", slot, "NODE", target]), "+OK");
    }
    assert_eq!(space.set_if_newer(&[Write::value("moves".into(), 1, b"x")]).await, Ok(1));
    assert!(space.get("moves").await.unwrap().is_some());
    keeper.abort();
}

/// The primary is found through the Sentinel, also the next one, and nothing is read from a replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_the_new_primary_is_used() {
    let mut servers = Servers::sentinel();
    let ports = servers.ports();
    let (space, keeper) = connect(&format!("redis-sentinel://127.0.0.1:{}/main", ports[2])).await;
    assert_eq!(space.set_if_newer(&[Write::value("a".into(), 1, b"one")]).await, Ok(1));
    assert!(Servers::command(ports[0], &["INFO", "replication"]).contains("role:master"));
    servers.kill(ports[0]);
    let deadline = Instant::now() + Duration::from_mins(1);
    let write = Write::value("b".into(), 1, b"two");
    while space.set_in_any_case(std::slice::from_ref(&write)).await.is_err() {
        assert!(Instant::now() < deadline, "no new primary");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    connected(&space).await;
    assert!(Servers::command(ports[1], &["INFO", "replication"]).contains("role:master"));
    assert!(space.get("b").await.unwrap().is_some());
    keeper.abort();
}

/// Trap 14: a replica may have what was just deleted, and would fill the first level with it again: it is
/// never asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_never_read() {
    let servers = Servers::sentinel();
    let [primary, replica, sentinel] = servers.ports()[..] else { panic!("three servers") };
    let (space, keeper) = connect(&format!("redis-sentinel://127.0.0.1:{sentinel}/main")).await;
    assert_eq!(space.set_if_newer(&[Write::value("a".into(), 1, b"one")]).await, Ok(1));
    for _ in 0..20 {
        assert!(space.get("a").await.unwrap().is_some());
        assert_eq!(space.get_many(&["a", "b"]).await.unwrap().len(), 2);
    }
    let reads = |port: u16| {
        let stats = Servers::command(port, &["INFO", "commandstats"]);
        stats.contains("cmdstat_get:")
    };
    assert!(reads(primary) && !reads(replica));
    keeper.abort();
}

/// A Sentinel that accepts and then says nothing keeps nobody from asking the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_sentinel_is_not_waited_for() {
    let servers = Servers::sentinel();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (silent, sentinel) = (silent.local_addr().unwrap(), servers.ports()[2]);
    let url = format!("redis-sentinel://{silent},127.0.0.1:{sentinel}/main");
    let (space, keeper) = connect(&url).await;
    assert_eq!(space.set_if_newer(&[Write::value("a".into(), 1, b"one")]).await, Ok(1));
    keeper.abort();
}

/// Trap 11 (C20): the holder of a lock is drawn at random; only the holder renews it or gives it back,
/// and every holder's fence is greater than that of all before, also behind an emptied Redis.
#[tokio::test]
async fn a_lock_has_one_holder_and_its_fence_grows() {
    let world = World::new().await;
    let locks = Locks::new(Arc::clone(world.space.level2()), "lock:");
    let (long, short) = (Duration::from_mins(1), Duration::from_millis(20));
    let first = locks.take("a", long).await.unwrap().unwrap();
    assert!(locks.take("a", long).await.unwrap().is_none());
    assert!(locks.take("b", long).await.unwrap().is_some(), "another lock");
    assert_eq!(first.renew().await, Ok(true));
    let mut fence = first.fence();
    world.redis.flush();
    assert_eq!(first.renew().await, Ok(false), "it is lost");
    let second = locks.take("a", short).await.unwrap().unwrap();
    assert!(second.fence() > fence);
    fence = second.fence();
    first.give_back().await.unwrap();
    let mut third = None;
    let deadline = Instant::now() + PATIENCE;
    while third.is_none() {
        assert!(Instant::now() < deadline, "it ends by itself");
        third = locks.take("a", long).await.unwrap();
    }
    let third = third.unwrap();
    assert!(third.fence() > fence);
    assert_eq!(second.renew().await, Ok(false));
    second.give_back().await.unwrap();
    assert!(locks.take("a", long).await.unwrap().is_none(), "only its holder gives it back");
    third.give_back().await.unwrap();
    assert!(locks.take("a", long).await.unwrap().is_some());
}

/// Trap 11 (C20): a holder that was held up writes with its old fence: whatever keeps the greatest fence refuses.
#[tokio::test]
async fn what_a_lock_protects_refuses_who_held_it_before() {
    let world = World::new().await;
    let locks = Locks::new(Arc::clone(world.space.level2()), "lock:");
    let slow = locks.take("job", Duration::from_millis(1)).await.unwrap().unwrap();
    let mut next = None;
    while next.is_none() {
        next = locks.take("job", Duration::from_mins(1)).await.unwrap();
    }
    // The protected write: an entry whose version is the fence.
    assert_eq!(world.set("result", next.unwrap().fence(), "next").await, 1);
    assert_eq!(world.set("result", slow.fence(), "slow").await, 0);
}

/// Numbers that all share are added to in one step, and are not what entries are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_added_to_by_many_at_once() {
    let world = World::new().await;
    let adders = (0..50).map(|n| {
        let space = world.space.clone();
        tokio::spawn(async move { space.add("n", if n % 2 == 0 { 3 } else { -1 }).await })
    });
    for adder in adders.collect::<Vec<_>>() {
        adder.await.unwrap().unwrap();
    }
    assert_eq!(world.space.add("n", 0).await, Ok(50));
    let left = world.redis.command(&["PTTL", "test1:n"]);
    assert!(left.trim_start_matches(':').parse::<i64>().unwrap() > 0, "it ends by itself: {left}");
    world.set("entry", 1, "text").await;
    assert!(world.space.add("entry", 1).await.is_err());
    assert_eq!(world.get("entry").await, Some(value(1, "text")));
}
