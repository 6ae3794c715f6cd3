//! Attempts whose answer is lost, on servers in memory.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::log::contract;
use crate::position::{LogId, Position};

/// Servers that keep one stream, of which the last event can be rewritten.
#[derive(Debug, Default)]
struct Memory {
    events: Mutex<Vec<RecordedEvent>>,
    /// The place of the last event that is where it was appended.
    kept: Mutex<Sequence>,
    /// The next attempt lands, and says nothing.
    loses_answer: AtomicBool,
    hangs: bool,
}

#[async_trait]
impl Servers for Memory {
    async fn last(&self, _stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        Ok(self.events.lock().unwrap().last().cloned())
    }

    async fn end(&self, stream: &StreamId) -> Result<End, ReadError> {
        let version = self.last(stream).await?.map_or(Version::NONE, |last| last.version);
        Ok(End { version, sequence: *self.kept.lock().unwrap() })
    }

    fn know_who_was_there(&self, _topic: Topic) -> bool {
        false
    }

    async fn behind(&self, _stream: &StreamId, end: End) -> Result<Vec<RecordedEvent>, ReadError> {
        let events = self.events.lock().unwrap();
        Ok(events.iter().filter(|event| event.version > end.version).cloned().collect())
    }

    async fn attempt(&self, append: &Append, end: End) -> Result<Attempt, AppendError> {
        if *self.kept.lock().unwrap() != end.sequence {
            return Ok(Attempt::Stale);
        }
        let appended = self.store(append, end);
        if self.loses_answer.swap(false, Ordering::Relaxed) {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            return Err(AppendError::Unavailable("no answer in time".to_owned()));
        }
        Ok(Attempt::Done(appended))
    }
}

impl Memory {
    fn store(&self, append: &Append, end: End) -> Appended {
        let mut events = self.events.lock().unwrap();
        let sequence = Sequence(events.len() as u64 + 1);
        let (version, topic) = (Version(end.version.0 + 1), append.stream.topic());
        let position = Position { log: LogId(Uuid::nil()), topic, sequence };
        events.push(RecordedEvent {
            position,
            stream: append.stream.clone(),
            version,
            command_id: append.command_id,
            event_type: append.events[0].event_type.clone(),
            body: append.events[0].body.clone(),
        });
        *self.kept.lock().unwrap() = sequence;
        Appended { position, version, duplicate: false }
    }
}

/// An error, or a caller who waits no longer. The batch is on the log, its message id forgotten,
/// and somebody rewrites it: the servers' last of the stream is the one before again.
#[tokio::test]
async fn a_batch_without_an_answer_is_not_appended_again_behind_its_erasure() {
    for hangs in [false, true] {
        let writer = Writer::new(Memory { hangs, ..Memory::default() });
        let clicks = StreamId::new(Topic::Clicks, "node/0");
        let batch = |n| contract::append(&clicks, ExpectedVersion::Exact(Version(n)), 1);
        let first = writer.append(&batch(0)).await.unwrap();
        let lost = batch(1);
        writer.servers.loses_answer.store(true, Ordering::Relaxed);
        let brief = Duration::from_millis(50);
        let answer = tokio::time::timeout(brief, writer.append(&lost)).await;
        assert!(!matches!(answer, Ok(Ok(_))), "{answer:?}");
        *writer.servers.kept.lock().unwrap() = first.position.sequence;
        let again = writer.append(&lost).await.unwrap();
        assert!(again.duplicate, "{again:?}");
        assert_eq!(again.version, Version(2));
        assert_eq!(writer.servers.events.lock().unwrap().len(), 2);
        let next = writer.append(&batch(2)).await.unwrap();
        assert_eq!((next.version, next.duplicate), (Version(3), false));
    }
}
