//! The conformance suite of [`EventLog`]: one function per obligation of the trait. A backend
//! runs all of it with [`log_contract!`](crate::log_contract) and a factory of empty logs.

mod agreements;
mod ahead;
pub mod nats_cluster;
pub mod nats_server;
mod reads;
pub mod rewrites;
pub mod tcp_proxy;

use std::collections::HashSet;
use std::sync::Arc;

use chrono::DateTime;
use uuid::Uuid;

use super::{APPEND_BYTES_MAX, Append, AppendError, EventLog, ExpectedVersion, ReadLimit};
use crate::envelope::{CommandId, Metadata, NewEvent};
use crate::link::LinkDisabled;
use crate::position::{Sequence, StreamId, Topic, Version};

pub use agreements::nodes_agree_until_that_is_forgotten;
pub use ahead::{
    a_reader_ahead_of_the_log_is_told, a_reader_of_a_log_that_was_put_back_is_told,
    a_reader_that_polls_is_never_taken_for_one_that_is_ahead,
};
pub use reads::{
    a_stream_is_read_page_by_page, reads_are_bounded_by_events_and_bytes,
    streams_are_read_after_a_version, the_last_event_of_a_stream_is_known,
};
pub use rewrites::{
    a_rewritten_event_has_another_body_and_all_else_as_before,
    a_subscription_goes_on_across_rewritten_events,
    of_two_who_rewrite_what_they_read_neither_undoes_the_other, what_is_not_there_is_not_rewritten,
    who_appends_behind_a_rewritten_event_is_told_the_same_as_before,
};

/// The log under test.
pub type Log = Arc<dyn EventLog>;

/// Makes a test of every obligation, each on an empty log from the factory (an async expression
/// that gives something to keep alive and an `Arc<dyn EventLog>`).
#[macro_export]
macro_rules! log_contract {
    ($factory:expr) => {
        $crate::log_contract!($factory,
            appended_events_are_read_back_byte_for_byte,
            versions_and_sequences_count_from_one,
            an_append_is_all_or_nothing,
            an_unexpected_version_is_a_conflict_that_names_the_actual_one,
            of_many_writers_of_one_version_one_wins,
            a_command_is_done_once_whatever_version_it_expects,
            a_command_that_is_sent_twice_at_once_is_done_once,
            the_same_command_may_touch_two_streams,
            an_append_of_nothing_or_too_much_is_refused,
            streams_are_read_after_a_version,
            the_last_event_of_a_stream_is_known,
            a_stream_is_read_page_by_page,
            reads_are_bounded_by_events_and_bytes,
            a_reader_ahead_of_the_log_is_told,
            a_reader_of_a_log_that_was_put_back_is_told,
            a_reader_that_polls_is_never_taken_for_one_that_is_ahead,
            a_subscription_sees_each_event_once_in_order_across_the_switch,
            a_subscription_that_is_interrupted_loses_nothing,
            topics_have_orders_of_their_own,
            a_rewritten_event_has_another_body_and_all_else_as_before,
            who_appends_behind_a_rewritten_event_is_told_the_same_as_before,
            what_is_not_there_is_not_rewritten,
            a_subscription_goes_on_across_rewritten_events,
            of_two_who_rewrite_what_they_read_neither_undoes_the_other,
        );
    };
    ($factory:expr, $($obligation:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $obligation() {
            let (_keep, log) = $factory.await;
            $crate::log::contract::$obligation(log).await;
        }
    )*};
}

fn stream(key: &str) -> StreamId {
    StreamId::new(Topic::Links, key)
}

fn command() -> CommandId {
    CommandId(Uuid::new_v4())
}

fn event(stream: &StreamId, command_id: CommandId) -> NewEvent {
    let metadata =
        Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
    let time = DateTime::UNIX_EPOCH;
    NewEvent::write(stream, &LinkDisabled {}.into(), Uuid::now_v7(), time, time, &metadata)
        .expect("an event can be written")
}

/// An append of some events, by a command of its own.
#[must_use]
pub fn append(stream: &StreamId, expected: ExpectedVersion, events: usize) -> Append {
    let command_id = command();
    let events = (0..events).map(|_| event(stream, command_id)).collect();
    Append { stream: stream.clone(), expected, command_id, events }
}

const fn at(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version(version))
}

/// Obligation 9.
pub async fn appended_events_are_read_back_byte_for_byte(log: Log) {
    let mut one = append(&stream("a"), at(0), 1);
    let body = r#"{"specversion":"1.0",  "data":{"ü":"\u0000é\"'"}}"#;
    one.events[0].body = body.into();
    log.append(one.clone()).await.unwrap();
    let read = log.read(&one.stream, Version::NONE).await.unwrap();
    assert_eq!(&read[0].body[..], body.as_bytes());
    assert_eq!(read[0].event_type, one.events[0].event_type);
    assert_eq!(read[0].command_id, one.command_id);
    assert_eq!(
        read,
        log.read_all(Topic::Links, Sequence::START, ReadLimit::default()).await.unwrap()
    );
}

/// Obligation 5: versions are dense, sequences grow.
pub async fn versions_and_sequences_count_from_one(log: Log) {
    let (a, b) = (stream("a"), stream("b"));
    let first = log.append(append(&a, at(0), 2)).await.unwrap();
    let second = log.append(append(&b, at(0), 1)).await.unwrap();
    let third = log.append(append(&a, at(2), 1)).await.unwrap();
    assert_eq!(
        [first.version, second.version, third.version],
        [Version(2), Version(1), Version(3)]
    );
    assert!(first.position.sequence < second.position.sequence);
    assert!(second.position.sequence < third.position.sequence);
    assert_eq!(third.position, log.head(Topic::Links).await.unwrap());
    let all = log.read_all(Topic::Links, Sequence::START, ReadLimit::default()).await.unwrap();
    let versions: Vec<_> = all.iter().map(|e| (e.stream.key(), e.version.0)).collect();
    assert_eq!(versions, [("a", 1), ("a", 2), ("b", 1), ("a", 3)]);
    assert!(all.is_sorted_by(|one, next| one.position.sequence < next.position.sequence));
}

/// Obligation 2.
pub async fn an_append_is_all_or_nothing(log: Log) {
    let a = stream("a");
    log.append(append(&a, at(0), 1)).await.unwrap();
    log.append(append(&a, at(0), 3)).await.unwrap_err();
    assert_eq!(log.read(&a, Version::NONE).await.unwrap().len(), 1);
    log.append(append(&a, at(1), 3)).await.unwrap();
    assert_eq!(log.read(&a, Version::NONE).await.unwrap().len(), 4);
}

/// Obligation 3.
pub async fn an_unexpected_version_is_a_conflict_that_names_the_actual_one(log: Log) {
    let a = stream("a");
    let conflict = |actual| Err(AppendError::Conflict { actual: Version(actual) });
    assert_eq!(log.append(append(&a, at(1), 1)).await, conflict(0));
    log.append(append(&a, at(0), 2)).await.unwrap();
    assert_eq!(log.append(append(&a, at(0), 1)).await, conflict(2));
    assert_eq!(log.append(append(&a, at(3), 1)).await, conflict(2));
    log.append(append(&a, ExpectedVersion::Any, 1)).await.unwrap();
}

/// Obligation 3, under contention.
pub async fn of_many_writers_of_one_version_one_wins(log: Log) {
    for version in 0..5 {
        let writers: Vec<_> = (0..64)
            .map(|_| {
                let log = Arc::clone(&log);
                tokio::spawn(async move { log.append(append(&stream("a"), at(version), 1)).await })
            })
            .collect();
        let mut winners = 0;
        for writer in writers {
            match writer.await.unwrap() {
                Ok(appended) => winners += u32::from(appended.version == Version(version + 1)),
                Err(error) => {
                    assert_eq!(error, AppendError::Conflict { actual: Version(version + 1) });
                }
            }
        }
        assert_eq!(winners, 1);
    }
}

/// Obligation 4.
pub async fn a_command_is_done_once_whatever_version_it_expects(log: Log) {
    let a = stream("a");
    let one = append(&a, at(0), 2);
    let first = log.append(one.clone()).await.unwrap();
    log.append(append(&a, at(2), 1)).await.unwrap();
    for expected in [at(0), at(3), at(9), ExpectedVersion::Any] {
        let again = log.append(Append { expected, ..one.clone() }).await.unwrap();
        assert!(again.duplicate && !first.duplicate);
        assert_eq!((again.position, again.version), (first.position, first.version));
    }
    assert_eq!(log.read(&a, Version::NONE).await.unwrap().len(), 3);
}

/// Obligation 4, when both meet in one group.
pub async fn a_command_that_is_sent_twice_at_once_is_done_once(log: Log) {
    let one = append(&stream("a"), at(0), 1);
    let appends = (0..16).map(|_| log.append(one.clone()));
    let answers = futures::future::join_all(appends).await;
    let added = answers.iter().filter(|answer| !answer.as_ref().unwrap().duplicate).count();
    assert_eq!(added, 1);
    assert_eq!(log.read(&one.stream, Version::NONE).await.unwrap().len(), 1);
}

/// Obligation 4 outlives the process: a retry may come after a restart. Needs a way to open the
/// log again, so each backend's tests call it themselves, beside [`log_contract!`](crate::log_contract).
pub async fn a_command_is_done_once_although_the_log_was_opened_again(
    log: Log,
    reopen: impl AsyncFnOnce() -> Log,
) {
    let one = append(&stream("a"), at(0), 2);
    let first = log.append(one.clone()).await.unwrap();
    log.append(append(&stream("a"), at(2), 1)).await.unwrap();
    drop(log);
    let log = reopen().await;
    let again = log.append(one.clone()).await.unwrap();
    assert!(again.duplicate, "the command is forgotten");
    assert_eq!((again.position, again.version), (first.position, first.version));
    assert_eq!(log.read(&one.stream, Version::NONE).await.unwrap().len(), 3);
}

/// Obligation 4 is about one stream.
pub async fn the_same_command_may_touch_two_streams(log: Log) {
    let one = append(&stream("a"), at(0), 1);
    let other = Append { stream: stream("b"), ..one.clone() };
    assert!(!log.append(one).await.unwrap().duplicate);
    assert!(!log.append(other).await.unwrap().duplicate);
}

/// Every queue and batch has a bound.
pub async fn an_append_of_nothing_or_too_much_is_refused(log: Log) {
    let a = stream("a");
    assert_eq!(log.append(append(&a, at(0), 0)).await, Err(AppendError::Size));
    let mut large = append(&a, at(0), 1);
    large.events[0].body = vec![b' '; APPEND_BYTES_MAX + 1].into();
    assert_eq!(log.append(large.clone()).await, Err(AppendError::Size));
    large.events[0].body = vec![b' '; APPEND_BYTES_MAX].into();
    log.append(large).await.unwrap();
}

/// Obligations 5 and 6: subscribers that start at any time see the same events.
pub async fn a_subscription_sees_each_event_once_in_order_across_the_switch(log: Log) {
    const EVENTS: usize = 300;
    let writer = Arc::clone(&log);
    let writing = tokio::spawn(async move {
        for n in 0..EVENTS {
            let key = format!("s{}", n % 7);
            writer.append(append(&stream(&key), ExpectedVersion::Any, 1)).await.unwrap();
        }
    });
    let mut readers = Vec::new();
    for events_max in [1, 3, 1_000] {
        let limit = ReadLimit { events_max, ..ReadLimit::default() };
        let mut subscription = log.subscribe(Topic::Links, Sequence::START, limit).await.unwrap();
        readers.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < EVENTS {
                let events = subscription.next().await.unwrap();
                assert!(!events.is_empty() && events.len() <= events_max);
                seen.extend(events.into_iter().map(|event| event.position.sequence));
            }
            seen
        }));
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    let all = log.read_all(Topic::Links, Sequence::START, ReadLimit::default()).await.unwrap();
    let expected: Vec<_> = all.iter().map(|event| event.position.sequence).collect();
    assert_eq!(expected.iter().collect::<HashSet<_>>().len(), EVENTS);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), expected);
    }
}

/// `Subscription::next` is cancel-safe.
pub async fn a_subscription_that_is_interrupted_loses_nothing(log: Log) {
    let mut subscription =
        log.subscribe(Topic::Links, Sequence::START, ReadLimit::default()).await.unwrap();
    let mut seen = 0;
    for version in 0..50 {
        {
            let waiting = std::pin::pin!(subscription.next());
            // Polled once and dropped: at the head this waits, behind it this may be reading.
            if let std::task::Poll::Ready(events) = futures::poll!(waiting) {
                seen += events.unwrap().len();
            }
        }
        log.append(append(&stream("a"), at(version), 1)).await.unwrap();
    }
    while seen < 50 {
        seen += subscription.next().await.unwrap().len();
    }
    assert_eq!(seen, 50);
}

/// Positions of one topic say nothing about another.
pub async fn topics_have_orders_of_their_own(log: Log) {
    for topic in Topic::ALL {
        assert_eq!(log.head(topic).await.unwrap().sequence, Sequence::START);
    }
    let clicks = StreamId::new(Topic::Clicks, "a");
    let appended = log.append(append(&clicks, ExpectedVersion::Any, 1)).await.unwrap();
    assert_eq!(appended.position.topic, Topic::Clicks);
    assert!(log.read(&stream("a"), Version::NONE).await.unwrap().is_empty());
    assert_eq!(log.head(Topic::Links).await.unwrap().sequence, Sequence::START);
}
