//! Erase what people wrote in a link.
//!
//! The event that says so comes first: from then on nothing is added to the link, and everybody who
//! keeps a copy learns of it. Then the events before it are rewritten. Whatever breaks off in between
//! is finished by asking again: what is on the log is looked at, not what was planned.

use hoplog_events::erasure::{erase_link, is_erasure};
use hoplog_events::link::LinkKey;
use hoplog_events::log::Rewrite;
use hoplog_events::position::{Topic, Version};

use super::erasure::{Rewrites, can_erase};
use super::{Commands, EraseError, IdempotencyKey, Issuer};
use crate::domain::link::LinkCommand;
use crate::execute::Outcome;

/// What was done to a link's events.
#[derive(Debug)]
pub struct ErasedLink {
    /// The link, which is deleted, and where that stands.
    pub outcome: Outcome,
    /// How many events were rewritten.
    pub events: usize,
}

impl Commands {
    /// Deletes a link, if it is not deleted yet, and erases its personal data from the log.
    ///
    /// # Errors
    /// See [`EraseError`].
    pub async fn erase_link(
        &self,
        issuer: &Issuer,
        idempotency: Option<&IdempotencyKey>,
        key: &LinkKey,
        expected: Option<Vec<Version>>,
    ) -> Result<ErasedLink, EraseError> {
        can_erase(self.log.as_ref())?;
        let command = LinkCommand::Erase;
        let outcome =
            self.change_link(issuer, None, idempotency, key, expected, command).await?;
        let events = self.rewrite_link(key).await?;
        Ok(ErasedLink { outcome, events })
    }

    async fn rewrite_link(&self, key: &LinkKey) -> Result<usize, EraseError> {
        let log = self.log.as_ref();
        let mut rewrites = Rewrites::default();
        for event in log.read(&key.stream(), Version::NONE).await? {
            // The last event, which has nothing in it, has to stay as it is on some logs.
            if is_erasure(&event.event_type) {
                continue;
            }
            if let Some(body) = erase_link(&event)? {
                let (sequence, command_id) = (event.position.sequence, event.command_id);
                let rewrite = Rewrite { topic: Topic::Links, sequence, command_id, body };
                rewrites.push(log, rewrite).await?;
            }
        }
        rewrites.flush(log).await?;
        Ok(rewrites.done)
    }
}
