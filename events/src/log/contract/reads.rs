//! What a stream gives its readers, and how much of it at once.

use std::sync::Arc;

use super::{Log, append, at, stream};
use crate::log::{ExpectedVersion, ReadLimit};
use crate::position::{Sequence, StreamId, Topic, Version};

/// `read` resumes.
pub async fn streams_are_read_after_a_version(log: Log) {
    let a = stream("a");
    log.append(append(&a, at(0), 3)).await.unwrap();
    log.append(append(&stream("ab"), at(0), 1)).await.unwrap();
    let versions = |after| {
        let (log, a) = (Arc::clone(&log), a.clone());
        async move {
            let events = log.read(&a, Version(after)).await.unwrap();
            events.iter().map(|event| event.version.0).collect::<Vec<_>>()
        }
    };
    assert_eq!(versions(0).await, [1, 2, 3]);
    assert_eq!(versions(2).await, [3]);
    assert!(versions(3).await.is_empty());
    assert!(log.read(&stream("nobody"), Version::NONE).await.unwrap().is_empty());
}

/// `last` is what `read` ends with.
pub async fn the_last_event_of_a_stream_is_known(log: Log) {
    let (a, clicks) = (stream("a"), StreamId::new(Topic::Clicks, "a"));
    assert_eq!(log.last(&a).await, Ok(None));
    for (appended_to, expected, events) in [(&a, at(0), 2), (&clicks, at(0), 1), (&a, at(2), 1)] {
        let one = append(appended_to, expected, events);
        let appended = log.append(one.clone()).await.unwrap();
        log.append(append(&stream("ab"), ExpectedVersion::Any, 1)).await.unwrap();
        let last = log.last(appended_to).await.unwrap().unwrap();
        assert_eq!((last.position, last.version), (appended.position, appended.version));
        assert_eq!(last.command_id, one.command_id);
        assert_eq!(log.read(appended_to, Version::NONE).await.unwrap().pop(), Some(last));
    }
}

/// `read_page` gives the beginning of what `read` gives, and always makes progress.
pub async fn a_stream_is_read_page_by_page(log: Log) {
    let a = stream("a");
    for version in 0..70 {
        log.append(append(&a, at(version), 1)).await.unwrap();
        log.append(append(&stream("ab"), ExpectedVersion::Any, 1)).await.unwrap();
    }
    let all = log.read(&a, Version::NONE).await.unwrap();
    for (after, events_max, bytes_max, expected) in [
        (0, 3, usize::MAX, 0..3),
        (66, 3, usize::MAX, 66..69),
        (67, 100, usize::MAX, 67..70),
        (70, 100, usize::MAX, 70..70),
        (5, 100, 1, 5..6),
        (5, 0, usize::MAX, 5..6),
        (5, 100, all[5].body.len() * 5 / 2, 5..7),
    ] {
        let limit = ReadLimit { events_max, bytes_max };
        let page = log.read_page(&a, Version(after), limit).await.unwrap();
        assert_eq!(page, all[expected], "{limit:?} after {after}");
    }
}

/// Obligation 7: what a read holds is bounded, and it always makes progress.
pub async fn reads_are_bounded_by_events_and_bytes(log: Log) {
    let a = stream("a");
    for version in 0..4 {
        let mut one = append(&a, at(version), 1);
        one.events[0].body = vec![b'x'; 1_000].into();
        log.append(one).await.unwrap();
    }
    let count = |events_max, bytes_max| {
        let log = Arc::clone(&log);
        async move {
            let limit = ReadLimit { events_max, bytes_max };
            log.read_all(Topic::Links, Sequence::START, limit).await.unwrap().len()
        }
    };
    assert_eq!(count(3, usize::MAX).await, 3);
    assert_eq!(count(100, 2_500).await, 2);
    assert_eq!(count(100, 1).await, 1);
}
