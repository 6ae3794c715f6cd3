//! Many subscribers at once.

use std::time::Duration;

use futures::future::join_all;
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{make_links, metric, metric_is, subjects};
use crate::support::{Live, Server, events};

const SUBSCRIBERS: usize = 1_000;
const OLD: usize = 40;
const NEW: usize = 60;

/// Each subscriber is a connection at both ends.
#[cfg(target_os = "linux")]
fn raise_the_limit_of_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, limit).expect("the limit can be raised as far as it may be");
}

/// What was there when they came, and what came then; the latter is read from the log once for
/// all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscribers_see_every_event_in_order() {
    #[cfg(target_os = "linux")]
    raise_the_limit_of_files();
    let server = Server::start();
    let client = &server.client;
    make_links(client, "old", OLD).await;
    let mut subscribers =
        join_all((0..SUBSCRIBERS).map(|_| Live::open(client, "topic=links", None))).await;
    let seen = join_all(subscribers.iter_mut().map(|live| live.take(OLD))).await;
    metric_is(client, "hoplog_event_readers", |readers| readers == SUBSCRIBERS as u64).await;
    let own = "hoplog_event_reads_total{for=\"one\"}";
    let own_before = metric(client, own).await;

    let reading = join_all(subscribers.iter_mut().map(|live| live.take(NEW)));
    let (new, ()) = tokio::join!(reading, make_links(client, "new", NEW));
    let log = client.events("links").await;
    for (mut seen, new) in seen.into_iter().zip(new) {
        seen.extend(new);
        assert!(seen.iter().map(|sent| &sent.event).eq(&log), "every event, in order");
    }
    assert_eq!(subjects(&log[OLD..]).len(), NEW);
    assert_eq!(metric(client, own).await, own_before, "nobody reads the log alone");
    let for_all = metric(client, "hoplog_event_reads_total{for=\"all\"}").await;
    assert!((1..=NEW as u64).contains(&for_all), "{for_all} reads for {NEW} events");
    drop(subscribers);
    metric_is(client, "hoplog_event_readers", |readers| readers == 0).await;
}

/// A bulk answer is a reader while it is read.
#[tokio::test]
async fn readers_in_bulk_are_counted_while_they_read() {
    let server = Server::start();
    let client = &server.client;
    super::make_heavy_links(client, 16).await;
    let request = events(client, "topic=links").header("accept", "application/x-ndjson");
    let response = request.timeout(Duration::from_mins(2)).send().await.unwrap();
    metric_is(client, "hoplog_event_readers", |readers| readers == 1).await;
    let text = response.text().await.unwrap();
    assert_eq!(text.lines().count(), 16 * 128);
    metric_is(client, "hoplog_event_readers", |readers| readers == 0).await;
}
