//! Events that were rewritten. A message can't be changed, so what an event has become is a message
//! of another stream, and the old message is deleted behind it.
//!
//! ```text
//!  topic LINKS        1    2    ·    4    5        3 was rewritten: a hole, which is looked up
//!  stream REWRITTEN   rewritten.links.0.default=2Fa.3.2   (range, stream, place, version)
//! ```
//!
//! - No hole, no look: who reads what was never rewritten asks nobody else.
//! - What was rewritten is there before the old message is deleted. So the leader of REWRITTEN, asked
//!   behind the hole, knows, and gives the newest of what an event has become.
//! - A hole of which it knows nothing is what it was before: somebody else's doing, or retention.
//! - Clicks may be kept for a time or up to a size, and REWRITTEN does not know which are gone. What
//!   lies directly before the first that is kept was rewritten and is still there; what lies
//!   further back is gone, whatever is left of it here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use async_nats::Message;
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::read::{Reader, away, number};
use super::subject::{Place, range_of};
use super::{COMMAND_ID, EVENT_TYPE, STORED};
use crate::envelope::{CommandId, RecordedEvent};
use crate::log::{ReadError, ReadLimit};
use crate::position::{Position, Sequence, StreamId, Topic, Version};

/// How many events are asked for at once; each may be as large as an append.
const ASKED_MAX: usize = 16;

/// How many holes one read fills; who reads on gets to the others.
const FILLED_MAX: usize = 256;

/// How many subjects the servers list in one answer.
const LISTED_MAX: usize = 100_000;

/// What an event has become.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) event: RecordedEvent,
    /// When the old one was stored.
    pub(super) stored: DateTime<Utc>,
}

/// What was rewritten, by its place in the topic: the version it has, and the subject it is at.
type Listed = BTreeMap<Sequence, (Version, String)>;

#[derive(Deserialize)]
struct Info {
    state: Subjects,
}

#[derive(Deserialize)]
struct Subjects {
    #[serde(default)]
    subjects: BTreeMap<String, u64>,
}

impl Reader {
    /// What the leader has on some subjects.
    pub(super) async fn listed(&self, filter: &str) -> Result<Listed, ReadError> {
        let name = format!("STREAM.INFO.{}", self.subjects.rewritten_name());
        let (mut listed, mut offset) = (Listed::new(), 0);
        loop {
            let wanted = json!({ "subjects_filter": filter, "offset": offset });
            let Info { state } = self.api.ask(&name, &wanted).await?;
            let count = state.subjects.len();
            offset += count;
            let placed = state.subjects.into_keys().filter_map(|subject| {
                let Place { sequence, version, .. } = self.subjects.place(&subject)?;
                Some((sequence, (version, subject)))
            });
            listed.extend(placed);
            if count < LISTED_MAX {
                return Ok(listed);
            }
        }
    }

    /// What is at these places, in their order. Ends early when it is more than a number of bytes.
    async fn fetch(&self, wanted: Listed, bytes_max: usize) -> Result<Vec<Rewritten>, ReadError> {
        let wanted: Vec<(Sequence, String)> =
            wanted.into_iter().map(|(place, (_, subject))| (place, subject)).collect();
        let (mut found, mut bytes) = (Vec::new(), 0);
        for some in wanted.chunks(ASKED_MAX) {
            let some: Vec<_> = some.iter().map(|(_, subject)| self.newest(subject)).collect();
            let mut some = try_join_all(some).await?;
            bytes += some.iter().map(|it| it.event.body.len()).sum::<usize>();
            found.append(&mut some);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(found)
    }

    /// What an event has become, as the leader knows it: an event may be rewritten more than once, and
    /// another server may give what it was in between.
    async fn newest(&self, subject: &str) -> Result<Rewritten, ReadError> {
        let wanted = json!({ "last_by_subj": subject });
        let found = self.stored(&self.subjects.rewritten_name(), &wanted).await?;
        // Swept away since it was listed.
        let found = found.ok_or_else(|| away("what an event has become is gone meanwhile"))?;
        self.rewritten(&found.message)
    }

    /// What the event at a place has become, if it was rewritten.
    pub(super) async fn rewritten_at(
        &self,
        topic: Topic,
        sequence: Sequence,
    ) -> Result<Option<Rewritten>, ReadError> {
        let listed = self.listed(&self.subjects.rewritten_at(topic, sequence)).await?;
        Ok(self.fetch(listed, usize::MAX).await?.pop())
    }

    /// Puts what was rewritten into the holes between some events of a topic.
    pub(super) async fn fill(
        &self,
        topic: Topic,
        after: Sequence,
        to: Sequence,
        limit: ReadLimit,
        events: &mut Vec<RecordedEvent>,
    ) -> Result<(), ReadError> {
        if limit.events_max == 1
            && let Some(next) = self.next_rewritten(topic, after).await?
        {
            events.insert(0, next.event);
            return Ok(());
        }
        let oldest = self.oldest(topic).await?;
        let holes = holes(after.max(Sequence(oldest.0.saturating_sub(1))), to, events);
        let (mut wanted, mut looked) = (Listed::new(), None);
        for range in holes.iter().flat_map(ranges) {
            if looked.replace(range) == Some(range) {
                continue;
            }
            let mut listed = self.listed(&self.subjects.rewritten_in(topic, range)).await?;
            listed.retain(|place, _| holes.iter().any(|hole| hole.contains(&place.0)));
            wanted.append(&mut listed);
            if wanted.len() >= FILLED_MAX {
                break;
            }
        }
        while wanted.len() > FILLED_MAX {
            wanted.pop_last();
        }
        let found = self.fetch(wanted, limit.bytes_max).await?;
        events.extend(found.into_iter().map(|it| it.event));
        events.sort_by_key(|event| event.position.sequence);
        Ok(())
    }

    /// What the event directly behind a place has become, for who wants no other: without a list of what
    /// lies around it. `None`: it was not rewritten, or that has to be looked at more closely.
    async fn next_rewritten(
        &self,
        topic: Topic,
        after: Sequence,
    ) -> Result<Option<Rewritten>, ReadError> {
        let next = Sequence(after.0 + 1);
        if topic == Topic::Clicks && next.0 < self.state(topic).await?.first_seq {
            return Ok(None);
        }
        let wanted = json!({ "last_by_subj": self.subjects.rewritten_at(topic, next) });
        let found = self.stored(&self.subjects.rewritten_name(), &wanted).await?;
        found.map(|found| self.rewritten(&found.message)).transpose()
    }

    /// From where on a topic has what was rewritten of it. See the module.
    pub(super) async fn oldest(&self, topic: Topic) -> Result<Sequence, ReadError> {
        if topic != Topic::Clicks {
            return Ok(Sequence::START);
        }
        let mut oldest = Sequence(self.state(topic).await?.first_seq);
        let (mut range, mut listed) = (None, Listed::new());
        while oldest.0 > 1 {
            let before = Sequence(oldest.0 - 1);
            if range.replace(range_of(before)) != Some(range_of(before)) {
                let filter = self.subjects.rewritten_in(topic, range_of(before));
                listed = self.listed(&filter).await?;
            }
            if !listed.contains_key(&before) {
                break;
            }
            oldest = before;
        }
        Ok(oldest)
    }

    /// Puts what was rewritten of a stream between its events behind a version, and up to a place.
    /// The last event of a link is never rewritten, so its versions tell whether one is missing.
    pub(super) async fn complete(
        &self,
        stream: &StreamId,
        after: Version,
        to: Option<Sequence>,
        events: &mut Vec<RecordedEvent>,
    ) -> Result<(), ReadError> {
        let last = events.last().map_or(after, |event| event.version);
        let is_whole = last.0 - after.0 == events.len() as u64;
        // Of a stream of clicks the last may be missing as well: where it ends, that is looked up.
        let may_lack_its_end = stream.topic() == Topic::Clicks && to.is_none();
        if is_whole && !may_lack_its_end {
            return Ok(());
        }
        let mut wanted = self.listed(&self.subjects.rewritten_of(stream)).await?;
        if wanted.is_empty() {
            return Ok(());
        }
        let oldest = self.oldest(stream.topic()).await?;
        wanted.retain(|place, (version, _)| {
            let is_there = events.iter().any(|event| event.position.sequence == *place);
            *version > after && to.is_none_or(|to| *place <= to) && *place >= oldest && !is_there
        });
        let found = self.fetch(wanted, usize::MAX).await?;
        events.extend(found.into_iter().map(|it| it.event));
        events.sort_by_key(|event| event.position.sequence);
        Ok(())
    }

    /// The last event of a stream, of which the last is known that is where it was appended.
    pub(super) async fn last_behind(
        &self,
        stream: &StreamId,
        kept: Option<RecordedEvent>,
    ) -> Result<Option<RecordedEvent>, ReadError> {
        if stream.topic() != Topic::Clicks {
            return Ok(kept);
        }
        let after = kept.as_ref().map_or(Sequence::START, |kept| kept.position.sequence);
        let mut wanted = self.listed(&self.subjects.rewritten_of(stream)).await?;
        let Some(last) = wanted.pop_last().filter(|(place, _)| *place > after) else {
            return Ok(kept);
        };
        if last.0 < self.oldest(stream.topic()).await? {
            return Ok(kept);
        }
        let found = self.fetch(Listed::from([last]), usize::MAX).await?.pop();
        Ok(found.map(|found| found.event))
    }

    pub(super) fn rewritten(&self, message: &Message) -> Result<Rewritten, ReadError> {
        let headers = message.headers.as_ref();
        let text = |name: &str| Some(headers?.get(name)?.as_str());
        let read = || {
            let Place { stream, sequence, version } = self.subjects.place(text("Nats-Subject")?)?;
            let event = RecordedEvent {
                position: Position { log: self.log, topic: stream.topic(), sequence },
                stream,
                version,
                command_id: CommandId(Uuid::parse_str(text(COMMAND_ID)?).ok()?),
                event_type: text(EVENT_TYPE)?.into(),
                body: message.payload.clone(),
            };
            Some(Rewritten { event, stored: text(STORED)?.parse().ok()? })
        };
        read().ok_or_else(|| {
            let place = number(headers, "Nats-Sequence").unwrap_or_default();
            away(&format!("rewritten message {place} was not written by this program"))
        })
    }
}

/// The places behind one, and up to another, that no event is at.
fn holes(after: Sequence, to: Sequence, events: &[RecordedEvent]) -> Vec<RangeInclusive<u64>> {
    let (mut holes, mut next) = (Vec::new(), after.0 + 1);
    let places = events.iter().map(|event| event.position.sequence.0);
    for place in places.chain([to.0 + 1]) {
        if place > next {
            holes.push(next..=place - 1);
        }
        next = next.max(place + 1);
    }
    holes
}

/// The ranges that a hole touches.
fn ranges(hole: &RangeInclusive<u64>) -> RangeInclusive<u64> {
    range_of(Sequence(*hole.start()))..=range_of(Sequence(*hole.end()))
}
