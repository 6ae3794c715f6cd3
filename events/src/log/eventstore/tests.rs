//! The conformance suite and the faults of this backend, on a double that each test starts.

mod faults;

use std::collections::HashSet;
use std::sync::Arc;

use ::eventstore::{AppendToStreamOptions, Client, EventData};

use super::double::EventStoreDouble;
use super::*;
use crate::agreement::Agreed;
use crate::log::ExpectedVersion;
use crate::log::contract;
use crate::log_contract;

async fn open(server: &EventStoreDouble) -> Arc<dyn EventLog> {
    Arc::new(EventStoreLog::open(&options(server)).await.unwrap())
}

fn options(server: &EventStoreDouble) -> EventStoreOptions {
    server.url().parse().unwrap()
}

async fn empty() -> (EventStoreDouble, Arc<dyn EventLog>) {
    let server = EventStoreDouble::start().await;
    let log = open(&server).await;
    (server, log)
}

log_contract!(empty());

fn stream(topic: Topic, key: &str) -> StreamId {
    StreamId::new(topic, key)
}

fn click(n: u64) -> Append {
    contract::append(&stream(Topic::Clicks, "node/0"), ExpectedVersion::Exact(Version(n)), 1)
}

fn any(topic: Topic, key: &str, events: usize) -> Append {
    contract::append(&stream(topic, key), ExpectedVersion::Any, events)
}

async fn follow(log: &Arc<dyn EventLog>, after: Sequence) -> Box<dyn Subscription> {
    log.subscribe(Topic::Clicks, after, ReadLimit::default()).await.unwrap()
}

#[tokio::test]
async fn a_command_is_known_to_who_opens_the_log_again() {
    let mut server = EventStoreDouble::start().await;
    let log = open(&server).await;
    let reopen = async || {
        server.restart().await;
        open(&server).await
    };
    contract::a_command_is_done_once_although_the_log_was_opened_again(log, reopen).await;
}

/// Obligation 4, where the version says nothing: it is the one that the repeated command expects.
#[tokio::test]
async fn a_command_is_known_to_other_nodes_at_the_version_the_stream_has() {
    let (server, first) = empty().await;
    let second = open(&server).await;
    for n in 0..3_u64 {
        let one = any(Topic::Clicks, "node/0", 2);
        let appended = first.append(one.clone()).await.unwrap();
        let version = Version(2 * n + 2);
        for expected in [ExpectedVersion::Any, ExpectedVersion::Exact(version)] {
            for log in [&first, &second, &open(&server).await] {
                let again = log.append(Append { expected, ..one.clone() }).await.unwrap();
                assert!(again.duplicate);
                assert_eq!((again.position, again.version), (appended.position, version));
            }
        }
    }
    assert_eq!(first.read(&click(0).stream, Version::NONE).await.unwrap().len(), 6);
}

#[tokio::test]
async fn nodes_that_start_together_agree_on_the_log() {
    let server = EventStoreDouble::start().await;
    let opened = futures::future::join_all((0..8).map(|_| open(&server))).await;
    let ids: HashSet<LogId> = opened.iter().map(|log| log.id()).collect();
    assert_eq!(ids.len(), 1);
    let first = opened[0].append(click(0)).await.unwrap();
    assert_eq!(opened[7].head(Topic::Clicks).await.unwrap(), first.position);
}

#[tokio::test]
async fn nodes_agree_until_that_is_forgotten() {
    let server = EventStoreDouble::start().await;
    let nodes = futures::future::join_all((0..8).map(|_| open(&server))).await;
    contract::nodes_agree_until_that_is_forgotten(&nodes).await;
}

/// A stream whose events are all hidden by their age is there, and shows nothing.
#[tokio::test]
async fn what_has_ended_by_its_age_is_agreed_on_anew() {
    let (server, log) = empty().await;
    let agree = async |n: u8| {
        let agreed = log.agreements().unwrap().agree("one", Agreed([n; 32])).await;
        agreed.unwrap().0[0]
    };
    for n in [1, 3, 5] {
        assert_eq!([agree(n).await, agree(n + 1).await], [n, n]);
        server.expire("hoplog-agreement-one");
    }
}

#[tokio::test]
async fn logs_that_share_servers_do_not_see_each_other() {
    let (server, log) = empty().await;
    let other = EventStoreOptions { prefix: "other".to_owned(), ..options(&server) };
    let other = EventStoreLog::open(&other).await.unwrap();
    assert_ne!(other.id(), log.id());
    log.append(click(0)).await.unwrap();
    assert_eq!(other.head(Topic::Clicks).await.unwrap().sequence, Sequence::START);
    assert!(!other.append(click(0)).await.unwrap().duplicate);
    assert_eq!(other.last(&click(0).stream).await.unwrap().unwrap().version, Version(1));
}

#[tokio::test]
async fn a_stream_that_somebody_else_made_is_refused() {
    let server = EventStoreDouble::start().await;
    let client = Client::new(server.url().parse().unwrap()).unwrap();
    let event = EventData::binary("other", "{}".into());
    client.append_to_stream("hoplog-log", &AppendToStreamOptions::default(), event).await.unwrap();
    let refused = EventStoreLog::open(&options(&server)).await.unwrap_err();
    assert_eq!(refused.to_string(), "stream hoplog-log was not made by hoplog");
}

/// What is looked at from the end does not reach it.
#[tokio::test]
async fn the_last_event_of_a_topic_is_found_behind_many_of_others() {
    let (server, log) = empty().await;
    let link = log.append(any(Topic::Links, "a", 2)).await.unwrap();
    for _ in 0..3 {
        log.append(any(Topic::Clicks, "node/0", 500)).await.unwrap();
    }
    let log = open(&server).await;
    assert_eq!(log.head(Topic::Links).await.unwrap(), link.position);
    assert_eq!(log.head(Topic::Accounts).await.unwrap().sequence, Sequence::START);
    let clicks = log.append(any(Topic::Clicks, "node/0", 1)).await.unwrap();
    assert_eq!(log.head(Topic::Clicks).await.unwrap(), clicks.position);
    let after = link.position.sequence;
    assert!(log.read_all(Topic::Links, after, ReadLimit::default()).await.unwrap().is_empty());
}
