use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use hoplog_events::envelope::CommandId;
use hoplog_events::log::ReadError;
use hoplog_events::position::{LogId, Position, StreamId, Version};
use uuid::Uuid;

use super::*;

/// A log of some events that is read one by one, and how often it was.
struct Log {
    events: Vec<RecordedEvent>,
    reads: AtomicUsize,
}

fn event(sequence: u64) -> RecordedEvent {
    let (topic, sequence) = (Topic::Clicks, Sequence(sequence));
    RecordedEvent {
        position: Position { log: LogId(Uuid::nil()), topic, sequence },
        stream: StreamId::new(topic, "0"),
        version: Version(sequence.0),
        command_id: CommandId(Uuid::nil()),
        event_type: "".into(),
        body: Vec::new().into(),
    }
}

impl Log {
    fn new(events: u64) -> Self {
        Self { events: (1..=events).map(event).collect(), reads: AtomicUsize::new(0) }
    }

    async fn batch(&self, reading: &Reading, after: u64) -> Result<Batch, WorkerError> {
        let begin = Begin { topic: Topic::Clicks, after: Sequence(after), bytes_wanted: 1 };
        let read = async {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let behind = |event: &&RecordedEvent| event.position.sequence.0 > after;
            Ok(self.events.iter().find(behind).cloned().into_iter().collect())
        };
        reading.batch(begin, read).await
    }

    async fn last(&self, reading: &Reading, after: u64) -> u64 {
        let batch = self.batch(reading, after).await.unwrap();
        batch.events().last().map_or(0, |event| event.position.sequence.0)
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

fn begin(shared: &Arc<SharedReads>) -> Reading {
    shared.begin(Topic::Clicks, Sequence::START)
}

#[tokio::test]
async fn builds_at_the_same_time_read_once() {
    let (log, shared) = (Log::new(4), Arc::default());
    let builds = [(); 3].map(|()| begin(&shared));
    for after in 0..4 {
        let [a, b, c] = &builds;
        let last = tokio::join!(log.last(a, after), log.last(b, after), log.last(c, after));
        assert_eq!(last, (after + 1, after + 1, after + 1));
        assert_eq!(log.reads() as u64, after + 1);
    }
    assert!(shared.lock().kept.is_empty(), "all have taken it");
    // Nothing there is not kept: there may be more the next time.
    assert_eq!(log.last(&builds[0], 4).await, 0);
    assert!(shared.lock().kept.is_empty());
}

#[tokio::test]
async fn what_was_read_before_a_build_began_is_not_for_it() {
    let (log, shared) = (Log::new(2), Arc::default());
    let [early, behind] = [(); 2].map(|()| begin(&shared));
    assert_eq!(log.last(&early, 0).await, 1);
    let late = begin(&shared);
    assert_eq!(log.last(&late, 0).await, 1);
    assert_eq!(log.reads(), 2, "it may have been rewritten in between");
    assert_eq!(log.last(&behind, 0).await, 1);
    assert_eq!(log.reads(), 2);
}

#[tokio::test]
async fn who_is_ahead_waits_for_those_who_follow() {
    let (log, shared) = (Log::new(6), Arc::new(SharedReads::new(Duration::from_hours(1))));
    let [ahead, behind] = [(); 2].map(|()| begin(&shared));
    for after in 0..2 {
        assert_eq!(log.last(&ahead, after).await, after + 1);
    }
    // It reads on when the other one has taken what is kept.
    let (one, other) = tokio::join!(log.last(&ahead, 2), async {
        tokio::task::yield_now().await;
        assert_eq!(log.reads(), 2, "it waits");
        log.last(&behind, 0).await
    });
    assert_eq!((one, other, log.reads()), (3, 1, 3));
    // Or when the other one is no more.
    let (one, ()) = tokio::join!(log.last(&ahead, 3), async { drop(behind) });
    assert_eq!((one, log.last(&ahead, 4).await), (4, 5));
}

/// Neither of another topic nor elsewhere in the same one; and what is kept stays for those it is for.
#[tokio::test]
async fn nobody_waits_for_those_who_are_elsewhere() {
    let (log, shared) = (Log::new(6), Arc::new(SharedReads::new(Duration::from_hours(1))));
    let [ahead, behind] = [(); 2].map(|()| begin(&shared));
    for after in 0..2 {
        assert_eq!(log.last(&ahead, after).await, after + 1);
    }
    let of_links = shared.begin(Topic::Links, Sequence::START);
    let from = Begin { topic: Topic::Links, after: Sequence::START, bytes_wanted: 1 };
    let read = of_links.batch(from, async { Ok(vec![event(1)]) }).now_or_never();
    assert!(read.is_some_and(|read| read.is_ok()));
    let at_the_head = shared.begin(Topic::Clicks, Sequence(4));
    assert_eq!(log.last(&at_the_head, 4).now_or_never(), Some(5));
    assert_eq!(log.last(&at_the_head, 5).now_or_never(), Some(6));
    assert_eq!(log.reads(), 4);
    // Nor does who is behind wait for one that is ahead and reads.
    let further_back = begin(&shared);
    assert_eq!(log.last(&further_back, 0).now_or_never(), Some(1));
    assert_eq!((log.last(&behind, 0).await, log.last(&behind, 1).await), (1, 2));
    assert_eq!(log.reads(), 5, "what was kept for it");
}

#[tokio::test]
async fn nobody_waits_for_ever_for_one_that_stands_still() {
    let (log, shared) = (Log::new(6), Arc::new(SharedReads::new(Duration::from_millis(1))));
    let [ahead, behind] = [(); 2].map(|()| begin(&shared));
    for after in 0..5 {
        assert_eq!(log.last(&ahead, after).await, after + 1);
    }
    assert_eq!(log.last(&behind, 0).await, 1, "read once more");
    assert!(shared.lock().kept.len() <= KEPT_MAX);
    drop((ahead, behind));
    assert!(shared.lock().kept.is_empty());
}

#[tokio::test]
async fn the_error_of_one_read_is_not_that_of_another() {
    let (log, shared) = (Log::new(1), Arc::default());
    let [one, other] = [(); 2].map(|()| begin(&shared));
    let begin = Begin { topic: Topic::Clicks, after: Sequence::START, bytes_wanted: 1 };
    let failed = one.batch(begin, async { Err(ReadError::Unavailable("away".into()).into()) });
    assert!(failed.await.is_err());
    assert_eq!(log.last(&other, 0).await, 1);
    assert_eq!(log.last(&one, 0).await, 1);
    assert_eq!(log.reads(), 1);
}
