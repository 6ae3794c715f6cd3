//! Make and revoke keys.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::account::{AccountEvent, ApiKeyCreated, ApiKeyId, ApiKeyRevoked, Scope};
use hoplog_events::catalogue::Event;
use hoplog_events::envelope::{CommandId, Envelope, Metadata, NewEvent, RecordedEvent};
use hoplog_events::link::{OwnerId, Title};
use hoplog_events::log::{Append, AppendError, EventLog, ExpectedVersion};
use hoplog_events::position::{Position, Version};
use uuid::Uuid;

use super::api_key::{ApiKey, key_hash};
use crate::commands::Issuer;

/// How often a revocation is decided again because somebody was faster.
const ATTEMPTS_MAX: u32 = 4;

/// A key that somebody wants.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose links it shall reach.
    pub owner: OwnerId,
    /// A name for people.
    pub name: Title,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// From this instant on it works no more.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a key was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Choose an instant in the future.
    #[error("the expiry must lie in the future")]
    ExpiryPassed,
    /// The key was made by an earlier request with this idempotency key; its secret was shown
    /// then and is not kept.
    #[error("the key was created by an earlier request; its secret is shown once")]
    AlreadyCreated,
    /// Check the id: no such key was ever made.
    #[error("there is no such key")]
    NotFound,
    /// Try again later.
    #[error("the log is away: {0}")]
    Unavailable(String),
}

/// Makes a key; what is returned is the only copy of it. The id is made by the caller, so that
/// an idempotency key can name it.
///
/// # Errors
/// See [`KeyError`].
pub async fn create_key(
    log: &Arc<dyn EventLog>,
    issuer: &Issuer,
    id: ApiKeyId,
    new: NewKey,
) -> Result<(ApiKey, ApiKeyCreated, Position), KeyError> {
    if new.expires_at.is_some_and(|expires_at| expires_at <= issuer.now) {
        return Err(KeyError::ExpiryPassed);
    }
    let key = ApiKey::generate();
    let created = ApiKeyCreated {
        id,
        owner: new.owner,
        name: new.name,
        scopes: new.scopes,
        hash: key_hash(key.reveal()),
        prefix: key.shown().into(),
        expires_at: new.expires_at,
    };
    let event = created.clone().into();
    match append(log, issuer, id, event, ExpectedVersion::Exact(Version::NONE)).await {
        Ok(position) => Ok((key, created, position)),
        Err(AppendError::Conflict { .. }) => Err(KeyError::AlreadyCreated),
        Err(error) => Err(KeyError::Unavailable(error.to_string())),
    }
}

/// Revokes a key; gives where its revocation is, also if that was made before.
///
/// # Errors
/// See [`KeyError`].
pub async fn revoke_key(
    log: &Arc<dyn EventLog>,
    issuer: &Issuer,
    id: ApiKeyId,
) -> Result<Position, KeyError> {
    for _ in 0..ATTEMPTS_MAX {
        let events = log.read(&id.stream(), Version::NONE).await;
        let events = events.map_err(|error| KeyError::Unavailable(error.to_string()))?;
        let last = events.last().ok_or(KeyError::NotFound)?;
        if let Some(done) = events.iter().find(|event| is_revocation(event)) {
            return Ok(done.position);
        }
        let (revoked, expected) = (ApiKeyRevoked { id }, ExpectedVersion::Exact(last.version));
        match append(log, issuer, id, revoked.into(), expected).await {
            Ok(position) => return Ok(position),
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(KeyError::Unavailable(error.to_string())),
        }
    }
    Err(KeyError::Unavailable("the key is being changed by too many at once".into()))
}

fn is_revocation(event: &RecordedEvent) -> bool {
    let decoded = event.decode();
    let Ok(Some(Envelope { event: Event::Account(event), .. })) = decoded else { return false };
    matches!(event, AccountEvent::ApiKeyRevoked(_))
}

async fn append(
    log: &Arc<dyn EventLog>,
    issuer: &Issuer,
    id: ApiKeyId,
    event: Event,
    expected: ExpectedVersion,
) -> Result<Position, AppendError> {
    let stream = id.stream();
    let command_id = CommandId(Uuid::now_v7());
    let metadata = Metadata {
        actor: issuer.actor.clone(),
        command_id,
        command_hash: None,
        correlation_id: Some(issuer.correlation_id.clone()),
    };
    let event = NewEvent::write(&stream, &event, Uuid::now_v7(), issuer.now, issuer.now, &metadata)
        .map_err(|error| AppendError::Unavailable(error.to_string()))?;
    let appended = log.append(Append { stream, expected, command_id, events: vec![event] }).await?;
    Ok(appended.position)
}
