//! What the double keeps: events in the order of `$all`, and what the rules of appending are.

use std::collections::HashMap;

use bytes::Bytes;
use tonic::Status;

use super::messages::{
    AppendOptions, AppendResponse, AppendSuccess, Nothing, Place, ProposedEvent, StoredEvent,
    StreamName, WrongVersion,
};

/// Where the first event stands: what servers write for themselves comes before it.
const FIRST_PLACE: u64 = 204;

/// What an event takes beside its data.
const EVENT_OVERHEAD: u64 = 117;

/// Events, and where each stream's are among them.
#[derive(Debug)]
pub(super) struct Store {
    events: Vec<StoredEvent>,
    streams: HashMap<Bytes, Vec<usize>>,
    hidden: HashMap<Bytes, Hidden>,
    next_place: u64,
}

/// The first events of a stream, which reads of it no longer give.
#[derive(Debug, Clone, Copy, Default)]
struct Hidden {
    events: usize,
    deleted: bool,
}

impl Default for Store {
    /// New servers have streams of their own.
    fn default() -> Self {
        let (events, streams, hidden) = (Vec::new(), HashMap::new(), HashMap::new());
        let mut store = Self { events, streams, hidden, next_place: FIRST_PLACE };
        store.write(&Bytes::from_static(b"$settings"), vec![ProposedEvent::default()]);
        store
    }
}

impl Store {
    /// Appends all or nothing, by the version that is expected and the ids of the events.
    pub(super) fn append(
        &mut self,
        options: &AppendOptions,
        events: Vec<ProposedEvent>,
    ) -> Result<AppendResponse, Status> {
        let stream = options.stream.clone().unwrap_or_default().bytes;
        let length = self.indexes(&stream).len() as u64;
        let expected = match (options.revision, options.no_stream, options.any) {
            (Some(revision), ..) => Some(revision + 1),
            (_, Some(_), _) => Some(0),
            (.., Some(_)) => None,
            _ => return Err(Status::invalid_argument("no revision is expected")),
        };
        if let Some(at) = self.already_at(&stream, expected, &events) {
            let revision = Some(at as u64 + events.len() as u64 - 1);
            let no_position = Some(Nothing {});
            let success = AppendSuccess { revision, position: None, no_position };
            return Ok(AppendResponse { success: Some(success), wrong: None });
        }
        let deleted = self.hidden.get(&stream).is_some_and(|hidden| hidden.deleted);
        let begins_anew = expected == Some(0) && deleted;
        if !begins_anew && expected.is_some_and(|expected| expected != length) {
            return Ok(wrong(length, options));
        }
        if let Some(hidden) = self.hidden.get_mut(&stream) {
            hidden.deleted = false;
        }
        let place = self.write(&stream, events);
        let position = Some(Place { commit: place, prepare: place });
        let revision = Some(self.indexes(&stream).len() as u64 - 1);
        let success = AppendSuccess { revision, position, no_position: None };
        Ok(AppendResponse { success: Some(success), wrong: None })
    }

    /// Where the same events are already. A version that is still the stream's is not looked at.
    fn already_at(
        &self,
        stream: &Bytes,
        expected: Option<u64>,
        events: &[ProposedEvent],
    ) -> Option<usize> {
        let of_stream = self.indexes(stream);
        let same = |at: usize| {
            let there = of_stream.iter().skip(at).map(|event| &self.events[*event].id);
            at + events.len() <= of_stream.len()
                && there.zip(events).all(|(id, event)| *id == event.id)
        };
        let starts = match expected {
            Some(at) => {
                let at = usize::try_from(at).ok()?;
                at..at + 1
            }
            None => 0..of_stream.len(),
        };
        starts.into_iter().find(|at| *at < of_stream.len() && same(*at))
    }

    /// Gives the place of the last one.
    fn write(&mut self, stream: &Bytes, events: Vec<ProposedEvent>) -> u64 {
        let mut place = self.next_place;
        for event in events {
            place = self.next_place;
            self.next_place += EVENT_OVERHEAD + event.data.len() as u64;
            let of_stream = self.streams.entry(stream.clone()).or_default();
            let revision = of_stream.len() as u64;
            of_stream.push(self.events.len());
            let ProposedEvent { id, metadata, custom_metadata, data } = event;
            self.events.push(StoredEvent {
                id: Some(id.unwrap_or_default()),
                stream: Some(StreamName { bytes: stream.clone() }),
                revision,
                prepare: place,
                commit: place,
                metadata,
                custom_metadata,
                data,
            });
        }
        place
    }

    fn indexes(&self, name: &Bytes) -> &[usize] {
        self.streams.get(name).map_or(&[], Vec::as_slice)
    }

    /// The indexes of the events of a stream that can be read, and the revision of the first.
    pub(super) fn stream(&self, name: &Bytes) -> (&[usize], usize) {
        let hidden = self.hidden.get(name).copied().unwrap_or_default().events;
        (self.indexes(name).get(hidden..).unwrap_or_default(), hidden)
    }

    pub(super) fn event(&self, index: usize) -> Option<&StoredEvent> {
        self.events.get(index)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The index of the event at a place; behind the end there may be one some day.
    pub(super) fn index_of(&self, place: u64) -> Result<usize, Status> {
        match self.events.binary_search_by_key(&place, |event| event.commit) {
            Ok(index) => Ok(index),
            Err(index) if index == self.events.len() => Ok(index),
            Err(_) => Err(Status::invalid_argument("no event begins at this position")),
        }
    }

    /// Hides what a stream has. What is in `$all` stays, and so do the numbers; who expects no
    /// stream finds none if it was deleted.
    pub(super) fn hide(&mut self, stream: &Bytes, deleted: bool) {
        let hidden = self.indexes(stream).len();
        self.hidden.insert(stream.clone(), Hidden { events: hidden, deleted });
    }

    /// Forgets the events from an index on, as if put back from a copy.
    pub(super) fn truncate(&mut self, length: usize) {
        let Some(first) = self.events.get(length) else { return };
        self.next_place = first.commit;
        self.events.truncate(length);
        for indexes in self.streams.values_mut() {
            indexes.retain(|index| *index < length);
        }
    }
}

fn wrong(length: u64, options: &AppendOptions) -> AppendResponse {
    let wrong = WrongVersion {
        revision: length.checked_sub(1),
        no_stream: (length == 0).then_some(Nothing {}),
        expected: options.revision,
        expected_any: options.any,
        expected_no_stream: options.no_stream,
    };
    AppendResponse { success: None, wrong: Some(wrong) }
}
