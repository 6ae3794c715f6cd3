//! Erase what people wrote in a link.
//!
//! The event that says so comes first: from then on nothing is added to the link, and everybody who
//! keeps a copy learns of it. Then the events before it are rewritten. Whatever breaks off in between
//! is finished by asking again: what is on the log is looked at, not what was planned.

use hoplog_events::erasure::{erase_link, is_erasure};
use hoplog_events::link::LinkKey;
use hoplog_events::log::Rewrite;
use hoplog_events::position::{Sequence, Topic, Version};

use super::erase_clicks::ONE;
use super::erasure::{Attempts, Rewrites, rewrite_of};
use super::{Commands, EraseError, IdempotencyKey, Issuer};
use crate::domain::link::LinkCommand;
use crate::execute::Outcome;

impl Commands {
    /// Deletes a link, if it is not deleted yet, and says that it is erased.
    ///
    /// # Errors
    /// See [`EraseError`].
    pub async fn end_link(
        &self,
        issuer: &Issuer,
        idempotency: Option<&IdempotencyKey>,
        key: &LinkKey,
        expected: Option<Vec<Version>>,
    ) -> Result<Outcome, EraseError> {
        self.can_erase()?;
        let command = LinkCommand::Erase;
        Ok(self.change_link(issuer, None, idempotency, key, expected, command).await?)
    }

    /// What is to become of the events of a link that ended like that; nothing, if that is done.
    ///
    /// # Errors
    /// See [`EraseError`].
    pub async fn link_rewrites(&self, key: &LinkKey) -> Result<Vec<Rewrite>, EraseError> {
        let mut rewrites = Vec::new();
        for event in self.log.read(&key.stream(), Version::NONE).await? {
            // The last event, which has nothing in it, has to stay as it is on some logs.
            if is_erasure(&event.event_type) {
                continue;
            }
            if let Some(body) = erase_link(&event)? {
                rewrites.push(rewrite_of(event, body));
            }
        }
        Ok(rewrites)
    }

    /// Puts them in the place of what is there.
    ///
    /// # Errors
    /// See [`EraseError`].
    pub async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), EraseError> {
        let places: Vec<Sequence> = rewrites.iter().map(|rewrite| rewrite.sequence).collect();
        let (mut waiting, mut attempts) = (Rewrites::default(), Attempts::default());
        let mut next = rewrites;
        while let Err(error) = self.rewrite_these(next, &mut waiting).await {
            attempts.again(error, &mut waiting).await?;
            next = self.read_again(&places).await?;
        }
        Ok(())
    }

    async fn rewrite_these(
        &self,
        rewrites: Vec<Rewrite>,
        waiting: &mut Rewrites,
    ) -> Result<(), EraseError> {
        for rewrite in rewrites {
            waiting.push(self.log.as_ref(), rewrite).await?;
        }
        waiting.flush(self.log.as_ref()).await
    }

    /// What is still to become of the events at some places.
    async fn read_again(&self, places: &[Sequence]) -> Result<Vec<Rewrite>, EraseError> {
        let mut rewrites = Vec::new();
        for place in places {
            let before = Sequence(place.0.saturating_sub(1));
            let found = self.log.read_all(Topic::Links, before, ONE).await?.into_iter().next();
            let Some(event) = found.filter(|event| event.position.sequence == *place) else {
                return Err(EraseError::Unavailable("an event can't be read yet".to_owned()));
            };
            if let Some(body) = erase_link(&event)? {
                rewrites.push(rewrite_of(event, body));
            }
        }
        Ok(rewrites)
    }
}
