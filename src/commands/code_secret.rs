//! The secret behind the codes that idempotency keys stand for: made once for a log, as an event, so
//! that it moves with the log.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::account::{AccountEvent, CodeSecretMade, code_secret_stream};
use hoplog_events::catalogue::{DecodeError, Event};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::{Append, AppendError, EventLog, ExpectedVersion, ReadError};
use hoplog_events::position::{Sequence, Topic, Version};
use uuid::Uuid;

use super::hex;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum CodeSecretError {
    /// Look at the log, then start again.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// Run the version that wrote it, or a newer one.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
}

impl From<ReadError> for CodeSecretError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The secret of a log.
#[derive(Clone)]
pub struct CodeSecret(Box<str>);

impl std::fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeSecret(…)")
    }
}

impl CodeSecret {
    /// What to mix into a seed.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret of a log; makes it if there is none. Of nodes that start together one is first.
    ///
    /// # Errors
    /// See [`CodeSecretError`].
    pub async fn of(log: &Arc<dyn EventLog>, now: DateTime<Utc>) -> Result<Self, CodeSecretError> {
        if let Some(secret) = Self::read(log).await? {
            return Ok(secret);
        }
        let made = Self(Self::proposal(log).await?);
        match log.append(made.event(now)?).await {
            Ok(_) => Ok(made),
            Err(AppendError::Conflict { .. }) => {
                let gone = || CodeSecretError::Unavailable("the code secret is gone".to_owned());
                Self::read(log).await?.ok_or_else(gone)
            }
            Err(error) => Err(CodeSecretError::Unavailable(error.to_string())),
        }
    }

    /// A log that has links made its codes with its identity until now.
    async fn proposal(log: &Arc<dyn EventLog>) -> Result<Box<str>, CodeSecretError> {
        let is_new = log.head(Topic::Links).await?.sequence == Sequence::START;
        let random: [u8; 32] = rand::random();
        Ok(if is_new { hex(&random) } else { log.id().to_string() }.into())
    }

    async fn read(log: &Arc<dyn EventLog>) -> Result<Option<Self>, CodeSecretError> {
        for recorded in log.read(&code_secret_stream(), Version::NONE).await? {
            if let Some(Event::Account(AccountEvent::CodeSecretMade(made))) =
                recorded.decode()?.map(|envelope| envelope.event)
            {
                return Ok(Some(Self(made.secret)));
            }
        }
        Ok(None)
    }

    fn event(&self, now: DateTime<Utc>) -> Result<Append, CodeSecretError> {
        let stream = code_secret_stream();
        let command_id = CommandId(Uuid::now_v7());
        let actor = "system:first-start".into();
        let metadata = Metadata { actor, command_id, command_hash: None, correlation_id: None };
        let event = CodeSecretMade { secret: self.0.clone() }.into();
        let event = NewEvent::write(&stream, &event, Uuid::now_v7(), now, now, &metadata)
            .map_err(|error| CodeSecretError::Unavailable(error.to_string()))?;
        let expected = ExpectedVersion::Exact(Version::NONE);
        Ok(Append { stream, expected, command_id, events: vec![event] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use hoplog_events::log::contract;
    use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
    use hoplog_events::position::StreamId;

    async fn log(dir: &tempfile::TempDir) -> Arc<dyn EventLog> {
        let path = dir.path().join("log.db");
        Arc::new(EmbeddedLog::open(&path, OpenOptions::default()).await.unwrap())
    }

    #[tokio::test]
    async fn a_log_has_one_secret_however_many_ask_first() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir).await;
        let now = DateTime::UNIX_EPOCH;
        let all = join_all((0..8).map(|_| CodeSecret::of(&log, now))).await;
        let all: Vec<Box<str>> = all.into_iter().map(|secret| secret.unwrap().0).collect();
        assert!(all.iter().all(|secret| *secret == all[0]) && all[0].len() == 64, "{all:?}");
        assert_eq!(CodeSecret::of(&log, now).await.unwrap().0, all[0]);
    }

    /// What clients of an older version have been answered under their keys stays so.
    #[tokio::test]
    async fn a_log_that_has_links_from_before_keeps_their_codes() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir).await;
        let stream = StreamId::new(Topic::Links, "default/a");
        log.append(contract::append(&stream, ExpectedVersion::Any, 1)).await.unwrap();
        let secret = CodeSecret::of(&log, DateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(*secret.0, *log.id().to_string());
    }
}
