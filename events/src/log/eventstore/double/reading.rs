//! The answers to reads: made part by part, as the client takes them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::stream;
use tokio::sync::watch;
use tonic::Status;

use super::State;
use super::messages::{
    Confirmation, NoStream, Nothing, Place, ReadAll, ReadEvent, ReadOptions, ReadResponse,
    ReadStream, StreamName,
};
use super::store::Store;

/// How far servers look before they say how far, unless they are told.
const WINDOW_DEFAULT: u32 = 32;

/// One part of an answer, or why there is no more.
pub(super) type Part = Result<ReadResponse, Status>;

/// Answers a read.
pub(super) fn answer(state: &Arc<State>, options: &ReadOptions) -> Result<Reading, Status> {
    let store = state.store();
    let Some(all) = &options.all else {
        let stream = options.stream.clone().unwrap_or_default();
        return Ok(of_stream(&store, &stream, options));
    };
    if options.subscription.is_none() {
        return of_all(&store, *all, options);
    }
    let next = match all.place {
        // A subscription begins behind its place.
        Some(place) => store.index_of(place.commit)? + 1,
        None => 0,
    };
    let filter = options.filter.clone().unwrap_or_default();
    state.following.send_modify(|count| *count += 1);
    let confirmation = Some(Confirmation { id: "double".to_owned() });
    Ok(Reading::Following(Box::new(Following {
        state: Arc::clone(state),
        changed: state.changed.subscribe(),
        prefixes: filter.streams.unwrap_or_default().prefixes,
        window: filter.window.unwrap_or(WINDOW_DEFAULT),
        next: next.min(store.len()),
        passed: 0,
        live: false,
        ready: VecDeque::from([ReadResponse { confirmation, ..ReadResponse::default() }]),
    })))
}

/// An answer that is being given.
pub(super) enum Reading {
    /// It is known what it will be.
    Given(VecDeque<ReadResponse>),
    /// It has no end.
    Following(Box<Following>),
}

impl Reading {
    pub(super) fn into_stream(self) -> impl Stream<Item = Part> + Send {
        stream::unfold(self, async |mut reading| {
            let part = match &mut reading {
                Self::Given(parts) => parts.pop_front()?,
                Self::Following(following) => following.part().await?,
            };
            Some((Ok(part), reading))
        })
    }
}

/// A subscription to a part of `$all`.
pub(super) struct Following {
    state: Arc<State>,
    changed: watch::Receiver<u64>,
    prefixes: Vec<String>,
    window: u32,
    /// The index of the next event to look at.
    next: usize,
    /// How many were passed over since the last word.
    passed: u32,
    live: bool,
    ready: VecDeque<ReadResponse>,
}

impl Following {
    async fn part(&mut self) -> Option<ReadResponse> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(part);
            }
            self.changed.borrow_and_update();
            self.look();
            if self.ready.is_empty() {
                if !self.live {
                    self.live = true;
                    return Some(caught_up());
                }
                self.changed.changed().await.ok()?;
            }
        }
    }

    /// Looks at what follows, until there is something to say.
    fn look(&mut self) {
        let store = self.state.store();
        while let Some(event) = store.event(self.next).filter(|_| self.ready.is_empty()) {
            self.next += 1;
            self.passed += 1;
            let name = event.stream.clone().unwrap_or_default().bytes;
            if self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes())) {
                self.ready.extend(event_at(&store, self.next - 1));
            }
            if self.passed >= self.window {
                self.passed = 0;
                let checkpoint = Some(Place { commit: event.commit, prepare: event.prepare });
                self.ready.push_back(ReadResponse { checkpoint, ..ReadResponse::default() });
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.state.following.send_modify(|count| *count -= 1);
    }
}

fn caught_up() -> ReadResponse {
    ReadResponse { caught_up: Some(Nothing {}), ..ReadResponse::default() }
}

fn event_at(store: &Store, index: usize) -> Option<ReadResponse> {
    let event = store.event(index)?.clone();
    let event = ReadEvent { commit: Some(event.commit), event: Some(event) };
    Some(ReadResponse { event: Some(event), ..ReadResponse::default() })
}

fn of_stream(store: &Store, read: &ReadStream, options: &ReadOptions) -> Reading {
    let name: Bytes = read.stream.clone().unwrap_or_default().bytes;
    let (indexes, hidden) = store.stream(&name);
    if indexes.is_empty() {
        let no_stream = Some(NoStream { stream: Some(StreamName { bytes: name }) });
        return Reading::Given([ReadResponse { no_stream, ..ReadResponse::default() }].into());
    }
    let first = index(read.revision.unwrap_or_default()).saturating_sub(hidden);
    let parts = if options.backwards == 1 {
        let end = if read.end.is_some() { indexes.len() } else { indexes.len().min(first + 1) };
        taken(store, indexes[..end].iter().rev().copied(), options)
    } else {
        taken(store, indexes.iter().skip(first).copied(), options)
    };
    Reading::Given(parts)
}

fn of_all(store: &Store, read: ReadAll, options: &ReadOptions) -> Result<Reading, Status> {
    let at = match read.place {
        Some(place) => store.index_of(place.commit)?,
        None if read.end.is_some() => store.len(),
        None => 0,
    };
    // Forwards the event at the place is the first, backwards it is the one before.
    let parts = if options.backwards == 1 {
        taken(store, (0..at).rev(), options)
    } else {
        taken(store, at..store.len(), options)
    };
    Ok(Reading::Given(parts))
}

fn taken(
    store: &Store,
    indexes: impl Iterator<Item = usize>,
    options: &ReadOptions,
) -> VecDeque<ReadResponse> {
    let count = index(options.count.unwrap_or(u64::MAX));
    indexes.take(count).filter_map(|index| event_at(store, index)).collect()
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
