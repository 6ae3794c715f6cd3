//! A subscriber that comes back and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::{make_link, make_links};
use crate::support::{Client, Live, Server, Settings, events};

const RECONNECTS: usize = 200;

/// Writes until it is told to stop.
async fn write(client: Client, stop: Arc<AtomicBool>) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        make_link(&client, &format!("w{n}")).await;
        client.visit(&format!("/w{n}")).await.expect(302);
        n += 1;
    }
}

/// Reads a topic over connections that are given up in the middle of whatever comes: after some
/// events, or some time. Gives what it saw and where it was in the end.
async fn read(client: &Client, topic: &str, dice: u64) -> (Vec<Value>, Option<String>) {
    let mut random = StdRng::seed_from_u64(dice);
    let query = format!("topic={topic}");
    let (mut seen, mut last) = (Vec::new(), None);
    for _ in 0..RECONNECTS {
        let mut live = Live::open(client, &query, last.as_deref()).await;
        if last.is_none() {
            last = Some(live.place().await);
        }
        let (events, micros) = (random.random_range(0..6), random.random_range(0..30_000));
        let reading = async {
            for _ in 0..events {
                let sent = live.next().await;
                last = Some(sent.id);
                seen.push(sent.event);
            }
        };
        let _ = tokio::time::timeout(Duration::from_micros(micros), reading).await;
    }
    (seen, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_reconnects_200_times_ends_with_exactly_the_log() {
    let server = Server::start();
    let client = &server.client;
    let seed: u64 = rand::random();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(client.clone(), Arc::clone(&stop)));
    let (links, clicks) = tokio::join!(read(client, "links", seed), read(client, "clicks", !seed));
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    for (topic, (mut seen, last)) in [("links", links), ("clicks", clicks)] {
        let log = client.events(topic).await;
        assert!(log.len() > seen.len() / 2 && log.len() > 20, "{topic}: {}", log.len());
        let mut live = Live::open(client, &format!("topic={topic}"), last.as_deref()).await;
        let rest = live.take(log.len() - seen.len()).await;
        seen.extend(rest.into_iter().map(|sent| sent.event));
        assert!(seen == log, "seed {seed}: what was seen of {topic} is not what is on the log");
    }
}

/// A browser asks again for the address it had, with what it saw last in the header.
#[tokio::test]
async fn what_was_seen_last_goes_before_where_the_subscriber_first_began() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 9).await;
    let first = client.send(events(client, "limit=2")).await.expect(200).position();
    let last = client.send(events(client, "limit=7")).await.expect(200).position();
    for query in [format!("after={first}"), "after=latest".to_owned(), "after=earliest".to_owned()]
    {
        let mut live = Live::open(client, &query, Some(&last)).await;
        assert_eq!(live.header("hoplog-starts-after"), last, "{query}");
        assert_eq!(live.place().await, last);
        assert_eq!(live.next().await.event["subject"], "default/a7", "{query}");
    }
    let mut live = Live::open(client, &format!("after={first}"), None).await;
    assert_eq!(live.header("hoplog-starts-after"), first);
    assert_eq!(live.next().await.event["subject"], "default/a2");
    let live = Live::open(client, "topic=links", None).await;
    assert_eq!(live.header("hoplog-starts-after"), "earliest", "nothing is missing");
    assert_eq!(live.header("cache-control"), "no-store");
}

/// A balancer sends a client that comes back to another node than before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_resumed_at_another_node() {
    let settings = Settings::embedded().on_jetstream();
    let nodes = [settings.clone().start(), settings.another_node().start()];
    make_links(&nodes[0].client, "old", 30).await;
    let (mut seen, mut last): (Vec<Value>, Option<String>) = (Vec::new(), None);
    for round in 0..10 {
        let client = &nodes[round % 2].client;
        let mut live = Live::open(client, "topic=links", last.as_deref()).await;
        let prefix = format!("r{round}n");
        let (sent, ()) = tokio::join!(live.take(8), make_links(client, &prefix, 5));
        last = sent.last().map(|sent| sent.id.clone());
        seen.extend(sent.into_iter().map(|sent| sent.event));
    }
    assert_eq!(seen.len(), 80);
    for node in &nodes {
        assert!(seen == node.client.events("links").await);
    }
}

/// The same place twice at once, as when a client has not noticed that its connection broke.
#[tokio::test]
async fn two_streams_from_one_place_are_the_same() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 50).await;
    let place = client.send(events(client, "limit=20")).await.expect(200).position();
    let count = AtomicUsize::new(0);
    let read = async || {
        let mut live = Live::open(client, "topic=links", Some(&place)).await;
        let sent = live.take(40).await;
        count.fetch_add(sent.len(), Ordering::Relaxed);
        sent
    };
    let ((), one, other) = tokio::join!(make_links(client, "b", 10), read(), read());
    assert!(one == other && count.load(Ordering::Relaxed) == 80);
}
