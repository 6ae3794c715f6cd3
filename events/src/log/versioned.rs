//! Appending to servers that check the version: the loop that such backends share.
//!
//! ```text
//!  where does the stream end? ──► as expected? ──no──► is the command on it? ──no──► conflict
//!      ▲ (known, or looked up)        │ yes                        │ yes
//!      │                              ▼                            ▼
//!      └─── it has moved ◄──── attempt at that end ──kept──►  answer as the first time
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::time::sleep;
use uuid::Uuid;

use super::{APPEND_BYTES_MAX, Append, AppendError, Appended, ExpectedVersion, ReadError};
use crate::envelope::RecordedEvent;
use crate::position::{Sequence, StreamId, Topic, Version};

/// How often an append is tried again because another one is in its way.
const ATTEMPTS_MAX: u32 = 64;

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Streams whose end is remembered, so that who appends to one again need not ask.
const ENDS_MAX: usize = 4_096;

/// Where a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct End {
    pub(super) version: Version,
    pub(super) sequence: Sequence,
}

impl End {
    fn is(self, expected: ExpectedVersion) -> bool {
        match expected {
            ExpectedVersion::Any => true,
            ExpectedVersion::Exact(version) => self.version == version,
        }
    }
}

/// What became of one attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The events are on the log.
    Done(Appended),
    /// The stream is not where it was believed to be.
    Stale,
    /// The command is on the log already.
    Known,
    /// Another write of the same is on its way, or too many are.
    Busy,
}

/// What a backend does for the loop.
#[async_trait]
pub(super) trait Servers: Send + Sync + std::fmt::Debug {
    /// The last event of a stream.
    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError>;

    /// Where a stream ends for who appends to it.
    async fn end(&self, stream: &StreamId) -> Result<End, ReadError> {
        let last = self.last(stream).await?;
        Ok(last.map_or_else(End::default, |last| End {
            version: last.version,
            sequence: last.position.sequence,
        }))
    }

    /// Whether the servers themselves know that a stream of the topic has had events, also when
    /// some of them are kept elsewhere.
    fn know_who_was_there(&self, _topic: Topic) -> bool {
        true
    }

    /// The events of a stream behind one of its ends, oldest first.
    async fn behind(&self, stream: &StreamId, end: End) -> Result<Vec<RecordedEvent>, ReadError>;

    /// Appends if the stream ends there, all or nothing.
    async fn attempt(&self, append: &Append, end: End) -> Result<Attempt, AppendError>;
}

/// Appends to one log.
#[derive(Debug)]
pub(super) struct Writer<S> {
    servers: S,
    ends: Mutex<HashMap<StreamId, End>>,
}

impl<S: Servers> Writer<S> {
    pub(super) fn new(servers: S) -> Self {
        Self { servers, ends: Mutex::default() }
    }

    pub(super) async fn append(&self, append: &Append) -> Result<Appended, AppendError> {
        let bytes: usize = append.events.iter().map(|event| event.body.len()).sum();
        if append.events.is_empty() || bytes > APPEND_BYTES_MAX {
            return Err(AppendError::Size);
        }
        let started = Instant::now();
        let appended = self.decide(append).await?;
        metrics::histogram!("hoplog_log_append_seconds").record(started.elapsed().as_secs_f64());
        let added = if appended.duplicate { 0 } else { append.events.len() };
        metrics::counter!("hoplog_log_append_events_total").increment(added as u64);
        Ok(appended)
    }

    async fn decide(&self, append: &Append) -> Result<Appended, AppendError> {
        let mut assumed = self.assumed_end(append);
        let mut searched = false;
        for attempt in 0..ATTEMPTS_MAX {
            let end = match assumed.take() {
                Some(end) => end,
                None => self.servers.end(&append.stream).await?,
            };
            if !end.is(append.expected) {
                let before =
                    if searched { None } else { self.find(append, End::default()).await? };
                return before.ok_or(AppendError::Conflict { actual: end.version });
            }
            let after = match self.servers.attempt(append, end).await? {
                Attempt::Done(appended) => {
                    self.remember(append, appended);
                    return Ok(appended);
                }
                Attempt::Busy => {
                    pause(attempt).await;
                    assumed = Some(end);
                    continue;
                }
                Attempt::Known => End::default(),
                Attempt::Stale => end,
            };
            self.forget(&append.stream);
            if let Some(appended) = self.find(append, after).await? {
                return Ok(appended);
            }
            searched = true;
        }
        Err(AppendError::Unavailable("too many append to the same stream".to_owned()))
    }

    /// Where the stream ends, if that is known or the servers are to say whether it is so.
    fn assumed_end(&self, append: &Append) -> Option<End> {
        // Taken out, and put back by who knows what became of his attempt. After an attempt without
        // an answer the servers are asked: it may have landed, and been rewritten since, so that
        // they would take the same once more at the end that was remembered.
        let known = {
            let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.remove(&append.stream)
        };
        let claims = append.expected == ExpectedVersion::Exact(Version::NONE)
            && self.servers.know_who_was_there(append.stream.topic());
        let claimed = claims.then(End::default);
        known.filter(|end| end.is(append.expected)).or(claimed)
    }

    /// What this command has appended to its stream after a place, if it has.
    async fn find(&self, append: &Append, after: End) -> Result<Option<Appended>, AppendError> {
        let events = self.servers.behind(&append.stream, after).await?;
        let found = events.iter().rfind(|event| event.command_id == append.command_id);
        Ok(found.map(before))
    }

    fn remember(&self, append: &Append, appended: Appended) {
        if appended.duplicate {
            return;
        }
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= ENDS_MAX {
            ends.clear();
        }
        let end = End { version: appended.version, sequence: appended.position.sequence };
        ends.insert(append.stream.clone(), end);
    }

    fn forget(&self, stream: &StreamId) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }
}

/// The answer that the event's command was given when it was new.
pub(super) fn before(event: &RecordedEvent) -> Appended {
    Appended { position: event.position, version: event.version, duplicate: true }
}

/// Those who met step back for different times.
async fn pause(attempt: u32) {
    let longest = PAUSE_MAX.min(Duration::from_micros(200 << attempt.min(8)));
    let (random, _) = Uuid::new_v4().as_u64_pair();
    sleep(longest * u32::try_from(random % 256).unwrap_or_default() / 256).await;
}

impl From<ReadError> for AppendError {
    fn from(error: ReadError) -> Self {
        AppendError::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests;
