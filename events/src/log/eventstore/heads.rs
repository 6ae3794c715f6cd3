//! Where a topic ends. The servers know where `$all` ends, but not which event of a topic is its
//! last: that is found once, from the end, and followed from there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::eventstore::{Client, Position as Place, ResolvedEvent, StreamPosition};

use super::connection::CallError;
use super::read::Reader;
use super::scan::{Step, place};
use crate::envelope::RecordedEvent;
use crate::log::{ReadError, Seen};
use crate::position::{Sequence, Topic};

/// How many events are looked at from the end. A topic that none of them is of is read from its
/// beginning, as it has either few events or none.
const SEARCHED_BACK_MAX: usize = 1_000;

/// What is known of the topics' ends.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<HashMap<Topic, Head>>);

/// The last event of a topic up to a place.
#[derive(Debug, Clone, Copy)]
struct Head {
    scanned: Place,
    last: Sequence,
}

impl Head {
    /// What is known without having looked.
    const UNKNOWN: Self = Self { scanned: Place { commit: 0, prepare: 0 }, last: Sequence::START };
}

impl Heads {
    /// A reader has seen all of a topic between two places.
    pub(super) fn note(&self, topic: Topic, after: Place, scanned: Place, last: Option<Sequence>) {
        let mut heads = self.lock();
        let known = heads.get(&topic).copied().unwrap_or(Head::UNKNOWN);
        if after <= known.scanned && known.scanned < scanned {
            heads.insert(topic, Head { scanned, last: last.unwrap_or(known.last) });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Head>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The last event of a topic.
    pub(super) async fn head(&self, topic: Topic) -> Result<Sequence, ReadError> {
        let known = self.heads.lock().get(&topic).copied();
        let head = match known {
            Some(head) => self.follow(topic, head).await,
            None => match self.search(topic).await {
                Ok(head) => self.follow(topic, head).await,
                Err(error) => Err(error),
            },
        };
        if let Err(CallError::Refused(_)) = head {
            // A log that was put back may not have the place.
            self.heads.lock().remove(&topic);
        }
        let head = head?;
        let mut heads = self.heads.lock();
        let known = heads.entry(topic).or_insert(head);
        if known.scanned < head.scanned {
            *known = head;
        }
        Ok(head.last)
    }

    /// What has come to a topic since.
    async fn follow(&self, topic: Topic, mut head: Head) -> Result<Head, CallError> {
        let mut scan = self.scan(topic, head.scanned).await?;
        loop {
            match scan.next().await? {
                Step::Event(event) => head.last = event.position.sequence,
                Step::Passed => {}
                Step::CaughtUp => break,
            }
        }
        head.scanned = scan.scanned;
        Ok(head)
    }

    /// Looks for the last event of a topic from the end.
    async fn search(&self, topic: Topic) -> Result<Head, CallError> {
        let options = self.connection.read_all_options();
        let options = options.backwards().position(StreamPosition::End);
        let options = options.max_count(SEARCHED_BACK_MAX);
        let call = self.connection.call()?;
        let mut answer = call.soon(async |client| client.read_all(&options).await).await?;
        let (mut end, mut seen) = (None, 0);
        while let Some(event) = call.soon(async |_| answer.next().await).await? {
            seen += 1;
            let Some(event) = event.event else { continue };
            let scanned = *end.get_or_insert(event.position);
            if self.names.stream(topic, &event.stream_id).is_some() {
                return Ok(Head { scanned, last: Sequence(event.position.commit) });
            }
        }
        let whole = end.filter(|_| seen < SEARCHED_BACK_MAX);
        Ok(whole.map_or(Head::UNKNOWN, |scanned| Head { scanned, ..Head::UNKNOWN }))
    }

    /// A reader that has seen more than there is has seen another log.
    pub(super) async fn check(&self, topic: Topic, after: Sequence) -> Result<(), ReadError> {
        if after == Sequence::START || self.is_there(topic, after).await? {
            return Ok(());
        }
        // What is known may be of the log before it was put back.
        self.heads.lock().remove(&topic);
        let head = self.head(topic).await?;
        if after > head { Err(ReadError::Rewound { head, after }) } else { Ok(()) }
    }

    /// Whether what a reader has seen is still where it was. The servers forget nothing of a topic, so
    /// another event there, or none, is another log.
    pub(super) async fn confirm(&self, topic: Topic, seen: Seen) -> Result<(), ReadError> {
        let found = self.event_at(topic, seen.sequence).await?;
        if found.as_ref().map(Seen::from) == Some(seen) {
            return Ok(());
        }
        self.heads.lock().remove(&topic);
        let head = self.head(topic).await?;
        Err(ReadError::Rewound { head, after: seen.sequence })
    }

    /// Whether an event of a topic is at a place.
    async fn is_there(&self, topic: Topic, at: Sequence) -> Result<bool, CallError> {
        Ok(self.event_at(topic, at).await?.is_some())
    }

    /// The event of a topic that is at a place.
    async fn event_at(
        &self,
        topic: Topic,
        at: Sequence,
    ) -> Result<Option<RecordedEvent>, CallError> {
        let options = self.connection.read_all_options();
        let options = options.position(StreamPosition::Position(place(at))).max_count(1);
        let asked = async |client: &Client| client.read_all(&options).await?.next().await;
        let found = match self.connection.call()?.soon(asked).await {
            Ok(found) => found,
            // The middle of an event is no place, and refused.
            Err(CallError::Refused(_)) => None,
            Err(error) => return Err(error),
        };
        let is_at = |found: &ResolvedEvent| {
            found.event.as_ref().is_some_and(|event| {
                event.position.commit == at.0
                    && self.names.stream(topic, &event.stream_id).is_some()
            })
        };
        found.filter(is_at).map(|found| Ok(self.found(topic, found)?.event)).transpose()
    }
}
