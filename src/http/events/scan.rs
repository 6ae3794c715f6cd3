//! Reading up to where a topic ended when the reading began.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{EventLog, ReadError, ReadLimit};
use hoplog_events::position::{Position, Sequence, StreamId, Topic, Version};

/// How often a replica that does not have the end yet is asked again, and the pause before that.
const REPLICA_ATTEMPTS: u32 = 100;
const REPLICA_PAUSE: Duration = Duration::from_millis(10);

/// The events of a topic behind a place, up to its head. Where all that is wanted is in one
/// stream, only that is read; places are the topic's all the same.
pub(super) struct Scan {
    log: Arc<dyn EventLog>,
    topic: Topic,
    way: Way,
    after: Sequence,
    head: Sequence,
}

/// What is read.
enum Way {
    /// The topic, as it is asked for.
    Topic,
    /// One stream, at once: a page of it could come from a replica that lacks its end, and whoever
    /// changes a link reads all of it, too.
    Stream(StreamId),
    /// That has been read.
    Rest(VecDeque<RecordedEvent>),
}

impl Scan {
    /// Looks where the topic ends: what comes later is left for the next reading.
    pub(super) async fn begin(
        log: &Arc<dyn EventLog>,
        after: Position,
        stream: Option<&StreamId>,
    ) -> Result<Self, ReadError> {
        let Position { topic, sequence, .. } = after;
        // A replica may say less than a reader has seen.
        let head = log.head(topic).await?.sequence.max(sequence);
        let way = stream.map_or(Way::Topic, |stream| Way::Stream(stream.clone()));
        Ok(Self { log: Arc::clone(log), topic, way, after: sequence, head })
    }

    /// The place behind which the next events are.
    pub(super) fn place(&self) -> Position {
        self.position(self.after)
    }

    /// The place that is reached when all is read.
    pub(super) fn end(&self) -> Position {
        self.position(self.head)
    }

    fn position(&self, sequence: Sequence) -> Position {
        Position { log: self.log.id(), topic: self.topic, sequence }
    }

    /// The next events; none at the end.
    pub(super) async fn next(&mut self, limit: ReadLimit) -> Result<Vec<RecordedEvent>, ReadError> {
        if self.after >= self.head {
            return Ok(Vec::new());
        }
        if let Way::Stream(stream) = &self.way {
            self.way = Way::Rest(self.log.read(stream, Version::NONE).await?.into());
        }
        let mut events = match &mut self.way {
            Way::Rest(rest) => take(rest, self.after, limit),
            Way::Topic | Way::Stream(_) => self.next_of_topic(limit).await?,
        };
        events.retain(|event| event.position.sequence <= self.head);
        self.after = events.last().map_or(self.head, |event| event.position.sequence);
        Ok(events)
    }

    async fn next_of_topic(&self, limit: ReadLimit) -> Result<Vec<RecordedEvent>, ReadError> {
        for _ in 0..REPLICA_ATTEMPTS {
            let events = self.log.read_all(self.topic, self.after, limit).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            tokio::time::sleep(REPLICA_PAUSE).await;
        }
        // An end that is none would be a gap for whoever goes on behind it.
        Err(ReadError::Unavailable("what is on the log can't be read yet".to_owned()))
    }
}

/// The first events behind a place, within a limit; one at least, if there is one.
fn take(
    rest: &mut VecDeque<RecordedEvent>,
    after: Sequence,
    limit: ReadLimit,
) -> Vec<RecordedEvent> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while let Some(event) = rest.pop_front() {
        if event.position.sequence <= after {
            continue;
        }
        bytes += event.body.len();
        if !taken.is_empty() && (bytes > limit.bytes_max || taken.len() >= limit.events_max) {
            rest.push_front(event);
            break;
        }
        taken.push(event);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::events::batch::tests::events;

    #[test]
    fn what_was_read_at_once_is_given_piece_by_piece() {
        let pieces = |after, events_max, bytes_max| {
            let mut rest: VecDeque<_> = events(1, 10, 100).into();
            let limit = ReadLimit { events_max, bytes_max };
            let mut pieces = Vec::new();
            loop {
                let taken = take(&mut rest, Sequence(after), limit);
                if taken.is_empty() {
                    return pieces;
                }
                pieces.push(taken.iter().map(|it| it.position.sequence.0).collect::<Vec<_>>());
            }
        };
        assert_eq!(pieces(0, 4, 1_000_000), [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10]]);
        assert_eq!(pieces(7, 9, 1), [[8], [9], [10]]);
        assert_eq!(pieces(10, 9, 9).len(), 0);
    }
}
