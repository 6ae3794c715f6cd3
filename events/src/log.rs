//! The event log: the one place where facts are kept.
//!
//! ```text
//!  topic LINKS   sequence  1    2    3    4    5    6 …            head
//!                          │    │    │    │    │    │
//!  stream default/a        1         2              3   version
//!  stream default/b             1         2
//!                          └──── read_all(after 2) ────►
//!                          └──── subscribe(after 2) ───────────────►  (and everything to come)
//! ```
//!
//! # What every backend owes its callers
//!
//! 1. **Durable before it is answered.** When `append` returns `Ok`, the events survive the
//!    process being killed and the machine losing power (as far as its disk keeps its word).
//! 2. **All or nothing.** The events of one append get consecutive versions, or none is kept.
//! 3. **One winner.** Of two appends that expect the same version of a stream, at most one
//!    succeeds; the other gets [`AppendError::Conflict`].
//! 4. **Once.** An append whose command id is already on the *same stream* adds nothing and
//!    answers as the first did, marked `duplicate`, whatever version it expects.
//! 5. **One order.** `read_all` and `subscribe` give the events of a topic in the order of
//!    their sequences, each exactly once; a sequence that was seen is never given to a later
//!    event, and no event appears behind one that was seen.
//! 6. **No gap at the switch.** A subscription gives what was there before it and what came
//!    while it caught up and what comes later, without a gap or a repeat.
//! 7. **Back-pressure.** A reader that does not ask gets nothing and costs no memory.
//! 8. **No gap without a word.** Where a topic does not keep everything, who asks for what is gone
//!    is told ([`ReadError::Trimmed`]) before the rest is given.
//! 9. **Bytes are kept.** The body that is read is the body that was appended, or the one that a
//!    later `rewrite` put in its place.
//! 10. **Rewritten is gone.** When `rewrite` returns `Ok`, no read gives an old body any more, and
//!     it is gone from the files as far as the backend can. All else stays as it was: position,
//!     stream, version, command, type, and with them versions, heads, conflicts and duplicates, also
//!     where the event is the last of its stream or topic. The same again changes nothing. A
//!     body goes in the place of the one that was read only: who read before somebody else rewrote
//!     the event is told so ([`RewriteError::Changed`]), and that event stays as it is. A crash
//!     in the middle leaves the old body or the new one at each event, and never no event; the same
//!     again finishes it. A log that can't do this says [`RewriteError::Unsupported`] and changes
//!     nothing.
//!
//! `log::contract` holds all of this as a suite that each backend's tests run.

use async_trait::async_trait;

use crate::agreement::Agreements;
use crate::envelope::{CommandId, NewEvent, RecordedEvent};
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

mod address;
#[cfg(any(test, feature = "contract"))]
#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
pub mod contract;
pub mod embedded;
#[cfg(feature = "eventstore")]
pub mod eventstore;
pub mod jetstream;
mod rewriting;
pub mod transfer;
mod versioned;

pub use address::OptionsError;
pub use rewriting::{Rewrite, RewriteError};

use rewriting::check;

/// What the writer knows of the stream it appends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Nothing: append in any case (clicks).
    Any,
    /// The stream must be at this version; [`Version::NONE`]: it must not exist.
    Exact(Version),
}

/// One append: some events for one stream, caused by one command.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream that gets the events.
    pub stream: StreamId,
    /// The version check.
    pub expected: ExpectedVersion,
    /// The command that caused them.
    pub command_id: CommandId,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
}

/// The answer to an append: where its last event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The position of the last event.
    pub position: Position,
    /// The version of the stream with the last event.
    pub version: Version,
    /// Whether the command was already on the stream and nothing was added.
    pub duplicate: bool,
}

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Load the stream again, decide again.
    #[error("the stream is at version {actual}, not at the expected one")]
    Conflict {
        /// The version the stream is at.
        actual: Version,
    },
    /// Send less: an append has at least one event and at most [`APPEND_BYTES_MAX`] bytes.
    #[error("an append must hold 1 event or more and {APPEND_BYTES_MAX} bytes at most")]
    Size,
    /// Try again later; nothing was acknowledged. (Whether it was kept is unknown: retry with
    /// the same command id.)
    #[error("the log can't be written: {0}")]
    Unavailable(String),
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Try again later.
    #[error("the log can't be read: {0}")]
    Unavailable(String),
    /// The reader has seen what is not on the log: it was restored from an older copy, or is
    /// another one. An operator has to decide.
    #[error(
        "the log was put back: it ends at {head} and does not have what a reader has seen at {after}"
    )]
    Rewound {
        /// The last sequence on the log.
        head: Sequence,
        /// The sequence the reader had seen.
        after: Sequence,
    },
    /// What comes next is no longer kept: it got too old, or too much. Said before what comes
    /// behind it is given, so that nobody takes the rest for all; who can do without goes on
    /// after `to`.
    #[error("events {from} to {to} are no longer on the log")]
    Trimmed {
        /// The first that is gone.
        from: Sequence,
        /// The last that is gone.
        to: Sequence,
    },
}

/// The most bytes one append may carry; leaves room below the default limit of NATS (1 MiB).
pub const APPEND_BYTES_MAX: usize = 1_000_000;

/// How much one read may return; at least one event is returned if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// The most events.
    pub events_max: usize,
    /// The most bytes of bodies; exceeded only by a single event that is larger.
    pub bytes_max: usize,
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { events_max: 1_000, bytes_max: 8 * 1024 * 1024 }
    }
}

impl ReadLimit {
    /// Leaves off what is beyond the limit.
    fn cut(self, events: &mut Vec<RecordedEvent>) {
        let mut bytes = 0;
        let fits = |event: &RecordedEvent| {
            bytes += event.body.len();
            bytes <= self.bytes_max
        };
        let fitting = events.iter().take(self.events_max).map(fits).take_while(|fits| *fits);
        let fitting = fitting.count();
        events.truncate(fitting.max(1));
    }
}

/// The last event that a reader has seen. Its place alone does not tell whether the log is still
/// the one it was seen on: an older copy that was put back soon has another event there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where it was.
    pub sequence: Sequence,
    /// Whose it was.
    pub command_id: CommandId,
}

impl From<&RecordedEvent> for Seen {
    fn from(event: &RecordedEvent) -> Self {
        Self { sequence: event.position.sequence, command_id: event.command_id }
    }
}

/// The log. See the module for the obligations.
#[async_trait]
pub trait EventLog: Send + Sync + std::fmt::Debug {
    /// The log's identity.
    fn id(&self) -> LogId;

    /// Whether appends that are under way at the same time are kept in the order in which they
    /// were begun, also on one stream. An import sends them one by one where they are not.
    fn keeps_order_of_appends_under_way(&self) -> bool {
        false
    }

    /// Where all who write to this log agree; `None`: only this process writes to it.
    fn agreements(&self) -> Option<&dyn Agreements> {
        None
    }

    /// Appends events to one stream.
    ///
    /// # Errors
    /// See [`AppendError`]; on every error nothing is acknowledged.
    async fn append(&self, append: Append) -> Result<Appended, AppendError>;

    /// Whether this log can rewrite. Asked before anything is changed.
    fn can_rewrite(&self) -> bool {
        false
    }

    /// Puts other bodies in the place of those of some events: the same events without the
    /// personal data in them. Each event at most once. Obligation 10. On some logs the last event of a stream whose appends
    /// check versions can't be rewritten: append what ends it first.
    ///
    /// # Errors
    /// See [`RewriteError`].
    async fn rewrite(&self, _rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        Err(RewriteError::Unsupported)
    }

    /// All events of one stream after a version, oldest first; none for an unknown stream.
    ///
    /// # Errors
    /// When the log can't be read.
    async fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// The first of these events, within a limit. A backend that can leave the others unread does.
    ///
    /// # Errors
    /// When the log can't be read.
    async fn read_page(
        &self,
        stream: &StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = self.read(stream, after).await?;
        limit.cut(&mut events);
        Ok(events)
    }

    /// The last event of one stream; `None` for an unknown stream.
    ///
    /// # Errors
    /// When the log can't be read.
    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError>;

    /// Events of a topic after a sequence, oldest first; none at the head.
    ///
    /// # Errors
    /// When the log can't be read, ends before `after`, or no longer has what comes next.
    async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// The same for who can do without what is no longer kept.
    ///
    /// # Errors
    /// When the log can't be read, or ends before `after`.
    async fn read_kept(
        &self,
        topic: Topic,
        mut after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            match self.read_all(topic, after, limit).await {
                // Always further: this ends at the head.
                Err(ReadError::Trimmed { to, .. }) => after = to,
                answer => return answer,
            }
        }
    }

    /// Follows a topic from after a sequence for ever.
    ///
    /// # Errors
    /// When the log can't be read, or ends before `after`.
    async fn subscribe(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Box<dyn Subscription>, ReadError>;

    /// Whether what a reader has seen is still where it was. It is if it got too old to be kept.
    ///
    /// # Errors
    /// When the log can't be read, or is not the one that the reader has seen.
    async fn confirm(&self, topic: Topic, seen: Seen) -> Result<(), ReadError> {
        let (after, before) = (seen.sequence, Sequence(seen.sequence.0.saturating_sub(1)));
        let one = ReadLimit { events_max: 1, bytes_max: 1 };
        let found = match self.read_all(topic, before, one).await {
            Err(ReadError::Trimmed { .. }) => return Ok(()),
            answer => answer?.first().map(Seen::from),
        };
        if found == Some(seen) {
            return Ok(());
        }
        if found.is_none() {
            // The log ends before it, or does not give it yet.
            self.read_all(topic, after, one).await?;
            return Err(ReadError::Unavailable("what was seen can't be read yet".to_owned()));
        }
        let head = self.head(topic).await?.sequence;
        Err(ReadError::Rewound { head, after })
    }

    /// The position of the last event of a topic; sequence 0 if it has none.
    ///
    /// # Errors
    /// When the log can't be read.
    async fn head(&self, topic: Topic) -> Result<Position, ReadError>;
}

/// A reader that follows a topic. Dropping it ends it.
#[async_trait]
pub trait Subscription: Send {
    /// The next events, one at least; waits for them as long as it takes. Cancel-safe: a call
    /// that is dropped while it waits loses nothing.
    ///
    /// # Errors
    /// When the log can't be read; the caller may call again. What is no longer kept is told once,
    /// and the next call gives what comes behind it.
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError>;
}
