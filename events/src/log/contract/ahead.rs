//! Readers that have seen more than the log has, or something else.

use std::sync::Arc;

use super::{Log, append, at, command, stream};
use crate::log::{ReadError, ReadLimit, Seen};
use crate::position::{Sequence, Topic, Version};

/// A reader that has seen more than there is must not wait for ever.
pub async fn a_reader_ahead_of_the_log_is_told(log: Log) {
    let head = log.append(append(&stream("a"), at(0), 1)).await.unwrap().position.sequence;
    let after = Sequence(head.0 + 1);
    let rewound = ReadError::Rewound { head, after };
    let limit = ReadLimit::default();
    assert_eq!(log.read_all(Topic::Links, after, limit).await, Err(rewound.clone()));
    assert_eq!(log.subscribe(Topic::Links, after, limit).await.err(), Some(rewound));
    assert!(log.read_all(Topic::Links, head, limit).await.unwrap().is_empty());
}

/// A log that is as long as before, or longer, may be another one all the same.
pub async fn a_reader_of_a_log_that_was_put_back_is_told(log: Log) {
    for version in 0..3 {
        log.append(append(&stream("a"), at(version), 1)).await.unwrap();
    }
    let events = log.read(&stream("a"), Version::NONE).await.unwrap();
    let (seen, head) = (Seen::from(&events[1]), events[2].position.sequence);
    assert_eq!(log.confirm(Topic::Links, seen).await, Ok(()));
    let after = seen.sequence;
    let another = Seen { command_id: command(), ..seen };
    assert_eq!(log.confirm(Topic::Links, another).await, Err(ReadError::Rewound { head, after }));
    let after = Sequence(head.0 + 1);
    let beyond = Seen { sequence: after, ..seen };
    assert_eq!(log.confirm(Topic::Links, beyond).await, Err(ReadError::Rewound { head, after }));
}

/// What a read gave is on the log, at once: it can be read after, followed, and is not past the
/// head.
pub async fn a_reader_that_polls_is_never_taken_for_one_that_is_ahead(log: Log) {
    const EVENTS: u64 = 300;
    let writer = Arc::clone(&log);
    let writing = tokio::spawn(async move {
        for version in 0..EVENTS {
            writer.append(append(&stream("a"), at(version), 1)).await.unwrap();
        }
    });
    let (limit, mut seen, mut after) = (ReadLimit::default(), 0, Sequence::START);
    while seen < EVENTS {
        for event in log.read_all(Topic::Links, after, limit).await.unwrap() {
            (seen, after) = (seen + 1, event.position.sequence);
        }
        for event in log.read(&stream("a"), Version(seen)).await.unwrap() {
            log.subscribe(Topic::Links, event.position.sequence, limit).await.unwrap();
        }
        assert!(log.head(Topic::Links).await.unwrap().sequence >= after);
    }
    writing.await.unwrap();
}
