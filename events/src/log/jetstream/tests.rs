//! The conformance suite and the faults of this backend, on servers that each test starts.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::log::ExpectedVersion;
use crate::log::contract::{self, nats_server::NatsServer};
use crate::log_contract;

mod connection;
mod history;
mod limits;
mod requests;
mod rewritten;

async fn open(server: &NatsServer) -> Arc<dyn EventLog> {
    open_with(&options(server)).await
}

async fn open_with(options: &JetStreamOptions) -> Arc<dyn EventLog> {
    let (log, differences) = JetStreamLog::open(options).await.unwrap();
    assert!(differences.is_empty(), "{differences:?}");
    Arc::new(log)
}

fn options(server: &NatsServer) -> JetStreamOptions {
    server.url().parse().unwrap()
}

async fn empty() -> (NatsServer, Arc<dyn EventLog>) {
    let server = NatsServer::start();
    let log = open(&server).await;
    (server, log)
}

log_contract!(empty());

/// The same on three servers that keep every event three times, and of which one leads a stream.
mod on_a_cluster {
    use super::*;
    use crate::log::contract::nats_cluster::NatsCluster;

    async fn empty() -> (NatsCluster, Arc<dyn EventLog>) {
        let cluster = NatsCluster::start().await;
        let options: JetStreamOptions = cluster.url().parse().unwrap();
        // Nobody is frozen here.
        let log = open_with(&JetStreamOptions { stale: Duration::ZERO, ..options }).await;
        (cluster, log)
    }

    log_contract!(empty());
}

fn click(n: u64) -> Append {
    let stream = StreamId::new(Topic::Clicks, "node/0");
    contract::append(&stream, ExpectedVersion::Exact(Version(n)), 1)
}

/// Obligation 4, when the servers have forgotten the message ids.
#[tokio::test]
async fn a_command_is_known_beyond_the_deduplication_window() {
    let server = NatsServer::start();
    let options = options(&server);
    let brief = JetStreamOptions { deduplication: Duration::from_millis(100), ..options };
    let (log, _) = JetStreamLog::open(&brief).await.unwrap();
    for events in [1, 3] {
        let stream = StreamId::new(Topic::Links, format!("a{events}"));
        let one = contract::append(&stream, ExpectedVersion::Exact(Version::NONE), events);
        let first = log.append(one.clone()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let again = log.append(one).await.unwrap();
        assert!(again.duplicate);
        assert_eq!((again.position, again.version), (first.position, first.version));
    }
}

#[tokio::test]
async fn a_command_is_known_to_who_opens_the_log_again() {
    let server = NatsServer::start();
    let log = open(&server).await;
    let reopen = async || open(&server).await;
    contract::a_command_is_done_once_although_the_log_was_opened_again(log, reopen).await;
}

#[tokio::test]
async fn nodes_that_start_together_agree_on_the_log() {
    let server = NatsServer::start();
    let opened = futures::future::join_all((0..8).map(|_| open(&server))).await;
    let ids: std::collections::HashSet<LogId> = opened.iter().map(|log| log.id()).collect();
    assert_eq!(ids.len(), 1);
    let first = opened[0].append(click(0)).await.unwrap();
    assert_eq!(opened[7].head(Topic::Clicks).await.unwrap(), first.position);
}

#[tokio::test]
async fn nodes_agree_until_that_is_forgotten() {
    let server = NatsServer::start();
    let nodes = futures::future::join_all((0..8).map(|_| open(&server))).await;
    contract::nodes_agree_until_that_is_forgotten(&nodes).await;
}

/// Trap 21 (U30): with another number of partitions a stream would be looked for where it is not.
#[tokio::test]
async fn other_settings_are_told_and_other_partitions_refused() {
    let (server, log) = empty().await;
    let mut options = options(&server);
    options.clicks_max_age = Some(Duration::from_hours(24));
    options.compression = false;
    let (again, differences) = JetStreamLog::open(&options).await.unwrap();
    assert_eq!(again.id(), log.id());
    assert_eq!(differences.len(), 5, "{differences:?}");
    assert!(differences.iter().any(|it| it.contains("CLICKS: max_age is 0")), "{differences:?}");
    options.partitions = 4;
    let refused = JetStreamLog::open(&options).await.unwrap_err();
    assert!(matches!(refused, JetStreamOpenError::Partitions { .. }), "{refused}");
    options.prefix = "other-".to_owned();
    let (other, _) = JetStreamLog::open(&options).await.unwrap();
    assert_ne!(other.id(), log.id());
    assert_eq!(other.head(Topic::Clicks).await.unwrap().sequence, Sequence::START);
}

/// The writer does not know whether the last append was kept when the server died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_across_a_killed_server_are_kept_once() {
    let mut server = NatsServer::start();
    let log = open(&server).await;
    let mut reader =
        log.subscribe(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    let (progress, mut told) = tokio::sync::watch::channel(0);
    let writer = Arc::clone(&log);
    let writing = tokio::spawn(async move {
        for n in 0..400 {
            let one = click(n);
            while let Err(error) = writer.append(one.clone()).await {
                assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            progress.send_replace(n);
        }
    });
    let reading = tokio::spawn(async move {
        let mut versions = Vec::new();
        while versions.len() < 400 {
            match reader.next().await {
                Ok(events) => versions.extend(events.into_iter().map(|event| event.version.0)),
                Err(error) => assert!(matches!(error, ReadError::Unavailable(_)), "{error}"),
            }
        }
        versions
    });
    for killed_at in [100, 200, 300] {
        told.wait_for(|n| *n >= killed_at).await.unwrap();
        server.restart();
    }
    writing.await.unwrap();
    assert_eq!(reading.await.unwrap(), (1..=400).collect::<Vec<u64>>());
}

#[tokio::test]
async fn without_a_server_the_log_says_so_at_once() {
    let (mut server, log) = empty().await;
    server.kill();
    let asked = std::time::Instant::now();
    assert!(matches!(log.append(click(0)).await, Err(AppendError::Unavailable(_))));
    assert!(matches!(log.head(Topic::Links).await, Err(ReadError::Unavailable(_))));
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    let refused = JetStreamLog::open(&options(&server)).await.unwrap_err();
    assert!(matches!(refused, JetStreamOpenError::Connect(_)), "{refused}");
}

/// Found by halving, between events of other streams.
#[tokio::test]
async fn the_end_of_a_long_stream_is_read_without_its_beginning() {
    let (_server, log) = empty().await;
    for n in 0..400 {
        log.append(click(n)).await.unwrap();
        if n % 3 == 0 {
            let other = StreamId::new(Topic::Clicks, format!("node/{}", n % 7 + 1));
            log.append(contract::append(&other, ExpectedVersion::Any, 1)).await.unwrap();
        }
    }
    let stream = click(0).stream;
    for after in [0, 1, 63, 64, 65, 100, 350, 398, 399, 400, 500] {
        let events = log.read(&stream, Version(after)).await.unwrap();
        let versions: Vec<u64> = events.iter().map(|event| event.version.0).collect();
        assert_eq!(versions, (after + 1..=400).collect::<Vec<u64>>(), "after {after}");
    }
}

#[tokio::test]
async fn who_logs_in_stands_before_the_host() {
    for (rule, before, wrong) in [
        ("user: u, password: 'p@ss/ä'", "u:p%40ss%2F%C3%A4@", "u:p@"),
        ("token: 't0ken/1'", "t0ken%2F1@", ""),
    ] {
        let server = NatsServer::start_with(&format!("authorization {{ {rule} }}\n"));
        let url = |before| server.url().replace("nats://", &format!("nats://{before}"));
        let options: JetStreamOptions = url(before).parse().unwrap();
        JetStreamLog::open(&options).await.unwrap();
        let options: JetStreamOptions = url(wrong).parse().unwrap();
        let refused = JetStreamLog::open(&options).await.err();
        assert!(matches!(refused, Some(JetStreamOpenError::Connect(_))), "{refused:?}");
    }
}
