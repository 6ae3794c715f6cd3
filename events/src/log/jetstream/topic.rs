//! Reading a topic: what comes after a place, and whether the place is still what it was.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::api::{ApiError, NO_MESSAGE};
use super::read::{Found, Reader, away};
use super::streams::{State, state};
use crate::envelope::RecordedEvent;
use crate::log::{ReadError, ReadLimit, Seen};
use crate::position::{Position, Sequence, Topic};

/// How often a leader that has less than it should is asked again.
const STALE_PAUSE: Duration = Duration::from_millis(200);

impl Reader {
    pub(super) async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        let sequence = Sequence(self.state(topic).await?.last_seq);
        Ok(Position { log: self.log, topic, sequence })
    }

    pub(super) async fn state(&self, topic: Topic) -> Result<State, ReadError> {
        Ok(state(&self.api, &self.subjects.stream_name(topic)).await?)
    }

    /// The same, when a reader has seen what is at a place. Who led the topic and was frozen, or cut
    /// off from the others, says for a moment what was so before: that is no reason to stop.
    async fn state_at(&self, topic: Topic, after: Sequence) -> Result<State, ReadError> {
        let asked = Instant::now();
        loop {
            let state = self.state(topic).await?;
            if after.0 <= state.last_seq {
                return Ok(state);
            }
            if !self.replicated || asked.elapsed() >= self.stale {
                return Err(ReadError::Rewound { head: Sequence(state.last_seq), after });
            }
            sleep(STALE_PAUSE).await;
        }
    }

    /// A reader passes over for good what it is told is gone. Where retention can't have taken it, who
    /// led the stream of what was rewritten may not know of it: that is asked again first.
    pub(super) async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let asked = Instant::now();
        loop {
            let read = self.read_once(topic, after, limit).await;
            let Err(ReadError::Trimmed { .. }) = read else { return read };
            if !self.replicated
                || asked.elapsed() >= self.stale
                || self.may_be_too_old(topic, after).await?
            {
                return read;
            }
            sleep(STALE_PAUSE).await;
        }
    }

    /// Whether retention may have taken what comes behind a place. Only clicks get too old, from the
    /// beginning on.
    async fn may_be_too_old(&self, topic: Topic, after: Sequence) -> Result<bool, ReadError> {
        Ok(topic == Topic::Clicks && self.state(topic).await?.first_seq > after.0 + 1)
    }

    async fn read_once(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = self.page(topic, after, &self.subjects.all(topic), limit).await?.events;
        let Some(to) = events.last().map(|event| event.position.sequence) else {
            return self.at_the_end(topic, after, limit).await;
        };
        if to.0 - after.0 > events.len() as u64 {
            self.fill(topic, after, to, limit, &mut events).await?;
        }
        match events.first().map(|event| event.position.sequence) {
            Some(first) if first.0 > after.0 + 1 => Err(self.gap(topic, after, first).await?),
            _ => Ok(connected(events, limit)),
        }
    }

    /// What there is when the topic itself gives nothing more. A reader that has seen more than
    /// there is has seen another log.
    async fn at_the_end(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let state = self.state_at(topic, after).await?;
        let (mut events, to) = (Vec::new(), Sequence(state.last_seq));
        if state.has_holes_behind(after) {
            self.fill(topic, after, to, limit, &mut events).await?;
        }
        let first = events.first().map(|event| event.position.sequence);
        if first.is_some_and(|first| first.0 == after.0 + 1) {
            return Ok(connected(events, limit));
        }
        // All of it is gone, or a replica that was asked does not have it yet.
        if state.first_seq > after.0 + 1 {
            let kept = Sequence(state.first_seq);
            return Err(trimmed(after, first.map_or(kept, |first| first.min(kept))));
        }
        Ok(Vec::new())
    }

    /// What an answer that leaves something out means. The leader of the topic knows; a replica
    /// may have lost what others have.
    async fn gap(
        &self,
        topic: Topic,
        after: Sequence,
        first: Sequence,
    ) -> Result<ReadError, ReadError> {
        let name = format!("STREAM.MSG.GET.{}", self.subjects.stream_name(topic));
        let next = json!({ "seq": after.0 + 1, "next_by_subj": self.subjects.all(topic) });
        let kept = match self.api.ask::<Found>(&name, &next).await {
            Ok(found) => first.min(Sequence(found.message.seq)),
            Err(ApiError::Refused { code: NO_MESSAGE, .. }) => {
                return Ok(away("the leader of the topic does not know what it has"));
            }
            Err(error) => return Err(error.into()),
        };
        if kept.0 > after.0 + 1 {
            return Ok(trimmed(after, kept));
        }
        Ok(away(&format!("the server that answered does not have event {kept} of {topic}")))
    }

    /// What is at a place that a reader has seen, as far as it is kept.
    pub(super) async fn seen(
        &self,
        topic: Topic,
        after: Sequence,
    ) -> Result<Option<Seen>, ReadError> {
        if after == Sequence::START {
            return Ok(None);
        }
        let State { first_seq, .. } = self.state_at(topic, after).await?;
        if after.0 < first_seq {
            let rewritten = self.rewritten_at(topic, after).await?;
            return Ok(rewritten.map(|found| Seen::from(&found.event)));
        }
        let found = Seen::from(&self.at(topic, after).await?);
        Ok(Some(found).filter(|found| found.sequence == after))
    }
}

/// The events up to the first place where one is missing, within a limit. The servers may have
/// dropped something while they answered: that is told next time.
fn connected(mut events: Vec<RecordedEvent>, limit: ReadLimit) -> Vec<RecordedEvent> {
    let first = events.first().map_or(0, |event| event.position.sequence.0);
    let follows = |(n, event): &(u64, &RecordedEvent)| event.position.sequence.0 == first + n;
    let whole = (0..).zip(&events).take_while(follows).count();
    events.truncate(whole);
    limit.cut(&mut events);
    events
}

/// What lies between a reader's place and what is kept is gone.
fn trimmed(after: Sequence, kept: Sequence) -> ReadError {
    ReadError::Trimmed { from: Sequence(after.0 + 1), to: Sequence(kept.0 - 1) }
}
