//! Connections that break where it hurts.

use std::time::Instant;

use bytes::Bytes;
use futures::future::try_join_all;

use super::*;
use crate::log::contract::nats_cluster::NatsCluster;
use crate::log::contract::tcp_proxy::TcpProxy;

/// How many events there are, and of how many bytes. A reader asks for all.
const EVENTS: u64 = 2_000;
const EVENT_BYTES: usize = 8 * 1024;
const LIMIT: ReadLimit = ReadLimit { events_max: 2_000, bytes_max: 16 * 1024 * 1024 };

/// When a connection breaks: long before all are there.
const CUT_AFTER_BYTES: u64 = 256 * 1024;

/// How many connections to each of the servers break.
const CUTS: u64 = 6;

/// Fills topic CLICKS of an empty log.
async fn fill(log: &Arc<dyn EventLog>) {
    let append = |lane: u64| async move {
        for n in 0..EVENTS / 20 {
            let stream = StreamId::new(Topic::Clicks, format!("node/{lane}"));
            let mut one = contract::append(&stream, ExpectedVersion::Exact(Version(n)), 1);
            one.events[0].body = Bytes::from(vec![b'x'; EVENT_BYTES]);
            log.append(one).await?;
        }
        Ok::<_, AppendError>(())
    };
    try_join_all((0..20).map(append)).await.unwrap();
}

/// On a cluster the rest of an answer finds the reader on its next connection: what was sent
/// meanwhile is missing in the middle of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_connection_breaks_misses_nothing() {
    let cluster = NatsCluster::start().await;
    fill(&open_with(&cluster.url().parse().unwrap()).await).await;
    let proxies = cluster.proxies();
    let servers: Vec<String> = proxies.iter().map(TcpProxy::url).collect();
    let url = format!("{}?replicas=3&timeout=1s", servers.join(","));
    let log = open_with(&url.parse().unwrap()).await;
    let cut = || proxies.iter().for_each(|proxy| proxy.cut(CUTS, CUT_AFTER_BYTES));
    cut();
    let mut polled = Sequence::START;
    while polled.0 < EVENTS {
        match log.read_all(Topic::Clicks, polled, LIMIT).await {
            Ok(events) => polled = each_once(polled, &events),
            Err(error) => assert!(matches!(error, ReadError::Unavailable(_)), "{error}"),
        }
    }
    cut();
    let mut reader = log.subscribe(Topic::Clicks, Sequence::START, LIMIT).await.unwrap();
    let mut followed = Sequence::START;
    while followed.0 < EVENTS {
        match reader.next().await {
            Ok(events) => followed = each_once(followed, &events),
            Err(error) => assert!(matches!(error, ReadError::Unavailable(_)), "{error}"),
        }
    }
    assert!(proxies.iter().any(|proxy| proxy.cuts_left() < CUTS), "{proxies:?}");
}

/// How long nothing may be appended: the server is given up, and streams that it led get another
/// leader.
const FROZEN_MAX: Duration = Duration::from_secs(40);

/// A server that stands still, or can't be reached any more, keeps its connections open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_left() {
    let mut cluster = NatsCluster::start().await;
    let (log, _) = JetStreamLog::open(&cluster.url().parse().unwrap()).await.unwrap();
    log.append(click(0)).await.unwrap();
    let mut reader =
        log.subscribe(Topic::Clicks, Sequence::START, ReadLimit::default()).await.unwrap();
    assert_eq!(reader.next().await.unwrap().len(), 1);
    for n in 1..3 {
        let name = log.reader.api.client.server_info().server_name;
        let number: usize = name.trim_start_matches('n').parse().unwrap();
        cluster.server(number).freeze();
        let (frozen, one) = (Instant::now(), click(n));
        while let Err(error) = log.append(one.clone()).await {
            assert!(frozen.elapsed() < FROZEN_MAX, "{error}");
            tokio::task::yield_now().await;
        }
        let events = loop {
            match reader.next().await {
                Ok(events) => break events,
                Err(error) => assert!(frozen.elapsed() < FROZEN_MAX, "{error}"),
            }
        };
        assert_eq!(events.len(), 1);
        cluster.server(number).thaw();
        cluster.settled("CLICKS").await;
    }
}

/// The other servers go on asking it for minutes: about every second request for what all of them
/// have ends there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_while_another_server_stands_still() {
    let mut cluster = NatsCluster::start().await;
    let (log, _) = JetStreamLog::open(&cluster.url().parse().unwrap()).await.unwrap();
    log.append(click(0)).await.unwrap();
    cluster.settled("CLICKS").await;
    let mine = log.reader.api.client.server_info().server_name;
    let other = (0..3).find(|number| format!("n{number}") != mine).unwrap();
    cluster.server(other).freeze();
    let mut read = 0;
    for _ in 0..16 {
        let events = log.read_all(Topic::Clicks, Sequence::START, ReadLimit::default()).await;
        read += events.map_or(0, |events| events.len());
    }
    cluster.server(other).thaw();
    assert!(read > 12, "{read} of 16");
}

/// Who led a topic while it was frozen answers what waited for it with what was so before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_of_yesterday_does_not_stop_a_reader() {
    let mut cluster = NatsCluster::start().await;
    let log = open_with(&cluster.url().parse().unwrap()).await;
    log.append(click(0)).await.unwrap();
    for n in 1..3 {
        let leader = cluster.leader("CLICKS").await;
        cluster.server(leader).freeze();
        let (frozen, one) = (Instant::now(), click(n));
        let appended = loop {
            match log.append(one.clone()).await {
                Ok(appended) => break appended.position.sequence,
                Err(error) => assert!(frozen.elapsed() < FROZEN_MAX, "{error}"),
            }
        };
        // Many ask what the frozen one is to answer when it goes on.
        let asking = (0..50).map(|_| log.read_all(Topic::Clicks, appended, ReadLimit::default()));
        let asking = futures::future::join_all(asking);
        cluster.server(leader).thaw();
        for answer in asking.await {
            assert!(matches!(answer, Ok(_) | Err(ReadError::Unavailable(_))), "{answer:?}");
        }
        cluster.settled("CLICKS").await;
    }
}

/// The events are those that follow a place. Returns the last one's.
fn each_once(after: Sequence, events: &[RecordedEvent]) -> Sequence {
    let read: Vec<u64> = events.iter().map(|event| event.position.sequence.0).collect();
    let last = after.0 + read.len() as u64;
    assert_eq!(read, (after.0 + 1..=last).collect::<Vec<u64>>(), "after {after}");
    Sequence(last)
}
