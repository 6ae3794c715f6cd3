//! The only write path: load the link's events, decide, append; on a conflict again.
//!
//! ```text
//! read stream ──► replay ──► decide ──► write envelopes ──► append ──► answer
//!      ▲                                                      │
//!      └────────────── somebody was faster ◄── Conflict ──────┘
//! ```
//!
//! A command that is already on the stream is not decided again: its outcome is read back, even
//! if the same request would be refused today.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::envelope::{CommandId, Envelope, Metadata, NewEvent};
use hoplog_events::link::{LinkCodeForgone, LinkEvent, LinkKey};
use hoplog_events::log::{Append, AppendError, Appended, EventLog, ExpectedVersion, ReadError};
use hoplog_events::position::{Position, StreamId, Version};
use rand::RngExt;
use uuid::Uuid;

use crate::domain::link::{Link, LinkCommand, LinkError, Request, decide, evolve};

pub mod external_ids;
pub mod grants;

/// How often a command is decided again because somebody was faster.
const ATTEMPTS_MAX: u32 = 8;

/// How long a command steps back after a conflict, at most, in microseconds.
const STEP_BACK_US_MAX: u64 = 2_000;

/// Who asks for a command, and how it is told from others.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Written with every event: `key:<id>` or `system:<job>`.
    pub actor: Box<str>,
    /// The same command sent twice has the same id.
    pub command_id: CommandId,
    /// Tells a retry from another request under the same idempotency key.
    pub command_hash: Option<Box<str>>,
    /// The request it came with.
    pub correlation_id: Option<Box<str>>,
}

impl Origin {
    /// A command that nobody will send again.
    #[must_use]
    pub fn once(actor: &str, correlation_id: Option<Box<str>>) -> Self {
        let command_id = CommandId(Uuid::now_v7());
        Self { actor: actor.into(), command_id, command_hash: None, correlation_id }
    }

    /// Appends what the command makes happen behind a version of a stream.
    ///
    /// # Errors
    /// Those of the log, or when an event can't be written down.
    pub async fn append<E: Clone + Into<Event>>(
        &self,
        log: &dyn EventLog,
        (stream, version): (StreamId, Version),
        events: &[E],
        now: DateTime<Utc>,
    ) -> Result<Appended, AppendError> {
        let Self { actor, command_id, command_hash, correlation_id } = self.clone();
        let metadata = Metadata { actor, command_id, command_hash, correlation_id };
        let write = |event: &E| {
            NewEvent::write(&stream, &event.clone().into(), Uuid::now_v7(), now, now, &metadata)
        };
        let events: Result<Vec<_>, _> = events.iter().map(write).collect();
        let events = events.map_err(|error| AppendError::Unavailable(error.to_string()))?;
        let expected = ExpectedVersion::Exact(version);
        log.append(Append { stream, expected, command_id, events }).await
    }
}

/// What a command led to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The link as the command left it.
    pub link: Link,
    /// Where its last event is; a query that waits for it sees the link like this.
    pub position: Position,
    /// The command had been done before.
    pub repeated: bool,
    /// It was done now, and there was something to do.
    pub changed: bool,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] LinkError),
    /// Use a new idempotency key for a new request.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// Try again: others change the same link all the time.
    #[error("the link is being changed by too many at once")]
    Contended,
    /// Try again later, with the same command id.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// An event of this link can't be read; an operator has to look at it.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
}

impl From<ReadError> for ExecuteError {
    fn from(error: ReadError) -> Self {
        ExecuteError::Unavailable(error.to_string())
    }
}

/// A link with what its stream tells of commands.
#[derive(Debug, Default)]
struct Loaded {
    link: Option<Link>,
    version: Version,
    last: Option<Position>,
    /// What the command that is being executed has led to, if it is on the stream.
    done: Option<Done>,
}

/// A command that is on a stream.
#[derive(Debug)]
struct Done {
    /// The link as the command left it; `None`: it made none of this code.
    link: Option<Link>,
    position: Position,
    hash: Option<Box<str>>,
    /// The link that it chose in the place of this one.
    forgone_for: Option<LinkKey>,
}

impl Loaded {
    /// Takes over events that were appended.
    fn add(&mut self, key: &LinkKey, events: &[LinkEvent], at: DateTime<Utc>) {
        for event in events {
            self.link = evolve(self.link.take(), key, event, at);
        }
        self.version = Version(self.version.0 + events.len() as u64);
        self.count();
    }

    /// Gives the link the stream's version: events of types that are unknown here count too.
    fn count(&mut self) {
        if let Some(link) = &mut self.link {
            link.version = self.version;
        }
    }
}

/// Executes a command on one link.
///
/// # Errors
/// See [`ExecuteError`]; nothing was appended unless it says that this is unknown.
pub async fn execute(
    log: &Arc<dyn EventLog>,
    key: &LinkKey,
    request: &Request,
    origin: &Origin,
) -> Result<Outcome, ExecuteError> {
    for attempt in 0..ATTEMPTS_MAX {
        let mut loaded = if attempt == 0 && claims_a_new_stream(request, origin) {
            Loaded::default()
        } else {
            load(log.as_ref(), key, Some(origin.command_id)).await?
        };
        if let Some(outcome) = done(&mut loaded, origin)? {
            return Ok(outcome);
        }
        check_place(&loaded, request)?;
        let events = decide(loaded.link.as_ref(), request)?;
        if events.is_empty() {
            return unchanged(loaded, key);
        }
        let stream = (key.stream(), loaded.version);
        match origin.append(log.as_ref(), stream, &events, request.now).await {
            Ok(Appended { position, duplicate: false, .. }) => {
                loaded.add(key, &events, request.now);
                let link = loaded.link.ok_or(LinkError::NotFound)?;
                return Ok(Outcome { link, position, repeated: false, changed: true });
            }
            // It was appended by an earlier attempt that got no answer, or somebody was faster:
            // load again.
            Ok(_) | Err(AppendError::Conflict { .. }) => step_back().await,
            Err(error @ (AppendError::Unavailable(_) | AppendError::Size)) => {
                return Err(ExecuteError::Unavailable(error.to_string()));
            }
        }
    }
    Err(ExecuteError::Contended)
}

/// What a command has led to on a link; `None`: it was not done on this one.
///
/// # Errors
/// When the command was another one, or the link can't be read.
pub async fn recall(
    log: &dyn EventLog,
    key: &LinkKey,
    origin: &Origin,
) -> Result<Option<Outcome>, ExecuteError> {
    done(&mut load(log, key, Some(origin.command_id)).await?, origin)
}

/// What becomes of a command.
#[derive(Debug)]
pub enum Foreseen {
    /// It was done before.
    Done(Box<Outcome>),
    /// The rules allow it now.
    Allowed {
        /// The version of the stream.
        version: Version,
        /// The link as it is; `None`: there is none yet.
        link: Option<Box<Link>>,
    },
}

/// What a command has led to, like [`recall`]; where it is new, whether the rules allow it now.
///
/// # Errors
/// Those of [`recall`], and what the rules say.
pub async fn foresee(
    log: &dyn EventLog,
    key: &LinkKey,
    request: &Request,
    origin: &Origin,
) -> Result<Foreseen, ExecuteError> {
    let mut loaded = load(log, key, Some(origin.command_id)).await?;
    if let Some(outcome) = done(&mut loaded, origin)? {
        return Ok(Foreseen::Done(Box::new(outcome)));
    }
    decide(loaded.link.as_ref(), request)?;
    Ok(Foreseen::Allowed { version: loaded.version, link: loaded.link.map(Box::new) })
}

/// Binds an idempotency key to a request that chose its own code, where every other request under
/// that key looks: on the stream of the code that the key stands for.
///
/// # Errors
/// When the key is bound to another request, or the log is away.
pub async fn forgo(
    log: &Arc<dyn EventLog>,
    key: &LinkKey,
    chosen: &LinkKey,
    now: DateTime<Utc>,
    origin: &Origin,
) -> Result<(), ExecuteError> {
    let domain = (chosen.domain != key.domain).then(|| chosen.domain.clone());
    let forgone = LinkCodeForgone { chosen: chosen.code.clone(), domain };
    let events = [LinkEvent::CodeForgone(forgone)];
    // Nobody finds this from the link that was chosen, so nothing of the request is in it: it could not
    // be erased. The request itself is told from others by what it made.
    let noted = Origin { command_hash: None, correlation_id: None, ..origin.clone() };
    match noted.append(log.as_ref(), (key.stream(), Version::NONE), &events, now).await {
        Ok(Appended { duplicate: false, .. }) => Ok(()),
        // Whoever holds the code without this command came upon it by chance: one in 62^10.
        Ok(_) | Err(AppendError::Conflict { .. }) => {
            may_forgo(log.as_ref(), key, chosen, origin).await
        }
        Err(error) => Err(ExecuteError::Unavailable(error.to_string())),
    }
}

/// Whether [`forgo`] would bind an idempotency key to a request, or has: nothing is noted yet.
///
/// # Errors
/// As [`forgo`].
pub async fn may_forgo(
    log: &dyn EventLog,
    key: &LinkKey,
    chosen: &LinkKey,
    origin: &Origin,
) -> Result<(), ExecuteError> {
    let mut loaded = load(log, key, Some(origin.command_id)).await?;
    let is_noted = |done: &Done| done.hash.is_none() && done.forgone_for.as_ref() == Some(chosen);
    if loaded.done.as_ref().is_some_and(is_noted) {
        return Ok(());
    }
    // Also of a version before, which noted a hash of the request.
    done(&mut loaded, origin).map(drop)
}

/// The answer to a command that was done before.
fn done(loaded: &mut Loaded, origin: &Origin) -> Result<Option<Outcome>, ExecuteError> {
    let Some(Done { link, position, hash, .. }) = loaded.done.take() else { return Ok(None) };
    if hash != origin.command_hash {
        // What an erased link was asked for is erased as well: nobody knows whether it is the same.
        let is_erased = loaded.link.as_ref().is_some_and(|link| link.is_erased);
        return Err(match hash {
            None if is_erased => LinkError::Deleted.into(),
            _ => ExecuteError::IdempotencyKeyReused,
        });
    }
    Ok(link.map(|link| Outcome { link, position, repeated: true, changed: false }))
}

/// A creation that is no retry expects that there is nothing to load; if there is, the version
/// check of the append finds out.
fn claims_a_new_stream(request: &Request, origin: &Origin) -> bool {
    let expected = request.expected.as_ref();
    let is_at_start = expected.is_none_or(|expected| expected.contains(&Version::NONE));
    let is_new = matches!(request.command, LinkCommand::Create(_)) && is_at_start;
    is_new && origin.command_hash.is_none()
}

/// A link that is to be created at a version of its stream is created at no other: what it has claimed is
/// void there.
fn check_place(loaded: &Loaded, request: &Request) -> Result<(), LinkError> {
    let is_new = matches!(request.command, LinkCommand::Create(_)) && loaded.link.is_none();
    match &request.expected {
        Some(expected) if is_new && !expected.contains(&loaded.version) => {
            Err(LinkError::VersionMismatch { actual: loaded.version })
        }
        _ => Ok(()),
    }
}

/// The link as its events make it; `None`: there is no such stream.
///
/// # Errors
/// When the log can't be read or an event of the link can't be understood.
pub async fn load_link(log: &dyn EventLog, key: &LinkKey) -> Result<Option<Link>, ExecuteError> {
    Ok(load(log, key, None).await?.link)
}

/// The same with the place of the link's last event.
///
/// # Errors
/// As [`load_link`].
pub async fn load_link_at(
    log: &dyn EventLog,
    key: &LinkKey,
) -> Result<Option<(Link, Position)>, ExecuteError> {
    let Loaded { link, last, .. } = load(log, key, None).await?;
    Ok(link.zip(last))
}

async fn load(
    log: &dyn EventLog,
    key: &LinkKey,
    command: Option<CommandId>,
) -> Result<Loaded, ExecuteError> {
    let mut loaded = Loaded::default();
    for recorded in log.read(&key.stream(), Version::NONE).await? {
        loaded.version = recorded.version;
        loaded.last = Some(recorded.position);
        let Some(Envelope { time, metadata, event: Event::Link(event), .. }) = recorded.decode()?
        else {
            continue;
        };
        loaded.link = evolve(loaded.link, key, &event, time);
        loaded.count();
        if Some(recorded.command_id) == command {
            let (link, hash) = (loaded.link.clone(), metadata.command_hash);
            let forgone_for = match event {
                LinkEvent::CodeForgone(LinkCodeForgone { chosen: code, domain }) => {
                    let domain = domain.unwrap_or_else(|| key.domain.clone());
                    Some(LinkKey { domain, code })
                }
                _ => None,
            };
            loaded.done = Some(Done { link, position: recorded.position, hash, forgone_for });
        }
    }
    loaded.count();
    Ok(loaded)
}

/// Nothing was left to do: the answer is the link as it is.
fn unchanged(loaded: Loaded, key: &LinkKey) -> Result<Outcome, ExecuteError> {
    match (loaded.link, loaded.last) {
        (Some(link), Some(position)) => {
            Ok(Outcome { link, position, repeated: false, changed: false })
        }
        _ => Err(LinkError::CodeTaken(key.clone()).into()),
    }
}

/// Those who met step back for different times, so that they do not meet again.
async fn step_back() {
    let pause_us = rand::rng().random_range(0..STEP_BACK_US_MAX);
    tokio::time::sleep(Duration::from_micros(pause_us)).await;
}

#[cfg(test)]
mod tests;
