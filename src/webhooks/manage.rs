//! The write path of webhooks: load the webhook's events, decide, append; on a conflict again.
//!
//! A command that is already on the stream is not decided again: its outcome is read back.

use std::sync::Arc;

use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::envelope::Envelope;
use hoplog_events::log::{AppendError, Appended, EventLog, ReadError};
use hoplog_events::position::{Position, Topic, Version};
use hoplog_events::webhook::{WebhookId, WebhookStart};

use crate::domain::webhook::{Webhook, WebhookError, WebhookRequest, decide, evolve};
use crate::execute::Origin;

/// How often a command is decided again because somebody was faster.
const ATTEMPTS_MAX: u32 = 8;

/// What a command led to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The webhook as the command left it.
    pub webhook: Webhook,
    /// Where its last event is.
    pub position: Position,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] WebhookError),
    /// Use a new idempotency key for a new request.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// Try again: others change the same webhook all the time.
    #[error("the webhook is being changed by too many at once")]
    Contended,
    /// Try again later, with the same command id.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// An event of this webhook can't be read; an operator has to look at it.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
}

impl From<ReadError> for ManageError {
    fn from(error: ReadError) -> Self {
        ManageError::Unavailable(error.to_string())
    }
}

/// Where the log ends now: a webhook is told of what comes behind.
///
/// # Errors
/// When the log can't be read.
pub async fn heads(log: &dyn EventLog) -> Result<WebhookStart, ReadError> {
    let links = log.head(Topic::Links).await?.sequence;
    let clicks = log.head(Topic::Clicks).await?.sequence;
    Ok(WebhookStart { log: log.id(), links, clicks })
}

/// A webhook as its events make it; `None`: there is no such stream.
///
/// # Errors
/// When the log can't be read or an event of the webhook can't be understood.
pub async fn find(log: &dyn EventLog, id: WebhookId) -> Result<Option<Webhook>, ManageError> {
    Ok(load(log, id, None).await?.webhook)
}

/// Executes a command on one webhook.
///
/// # Errors
/// See [`ManageError`].
pub async fn execute(
    log: &Arc<dyn EventLog>,
    id: WebhookId,
    request: &WebhookRequest,
    origin: &Origin,
) -> Result<Outcome, ManageError> {
    for _ in 0..ATTEMPTS_MAX {
        let loaded = load(log.as_ref(), id, Some(origin)).await?;
        if let Some(outcome) = loaded.done {
            // The same key of another request's maker may have made it for somebody else.
            if !outcome.webhook.is_seen_by(&request.requester) {
                return Err(WebhookError::NotFound.into());
            }
            return Ok(outcome);
        }
        let events = decide(loaded.webhook.as_ref(), request)?;
        if events.is_empty() {
            return loaded.unchanged();
        }
        let stream = (id.stream(), loaded.version);
        match origin.append(log.as_ref(), stream, &events, request.now).await {
            Ok(Appended { position, .. }) => {
                let apply = |webhook, event| evolve(webhook, event, request.now);
                let webhook = events.iter().fold(loaded.webhook, apply);
                let webhook = webhook.ok_or(WebhookError::NotFound)?;
                return Ok(Outcome { webhook, position });
            }
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(ManageError::Unavailable(error.to_string())),
        }
    }
    Err(ManageError::Contended)
}

/// A webhook with what its stream tells of a command.
#[derive(Debug, Default)]
struct Loaded {
    webhook: Option<Webhook>,
    version: Version,
    last: Option<Position>,
    done: Option<Outcome>,
}

impl Loaded {
    /// Nothing was left to do.
    fn unchanged(self) -> Result<Outcome, ManageError> {
        let there = self.webhook.zip(self.last);
        let (webhook, position) = there.ok_or(WebhookError::NotFound)?;
        Ok(Outcome { webhook, position })
    }
}

async fn load(
    log: &dyn EventLog,
    id: WebhookId,
    origin: Option<&Origin>,
) -> Result<Loaded, ManageError> {
    let mut loaded = Loaded::default();
    for recorded in log.read(&id.stream(), Version::NONE).await? {
        (loaded.version, loaded.last) = (recorded.version, Some(recorded.position));
        let Some(Envelope { time, metadata, event: Event::Webhook(event), .. }) =
            recorded.decode()?
        else {
            continue;
        };
        loaded.webhook = evolve(loaded.webhook, &event, time);
        let own = origin.filter(|origin| origin.command_id == recorded.command_id);
        let Some(origin) = own else { continue };
        if metadata.command_hash != origin.command_hash {
            return Err(ManageError::IdempotencyKeyReused);
        }
        let position = recorded.position;
        loaded.done = loaded.webhook.clone().map(|webhook| Outcome { webhook, position });
    }
    Ok(loaded)
}
