//! Erasing personal data, from the log to the last copy that this node has.
//!
//! ```text
//! link:     noted ──► deleted, erased appended ──► log rewritten ──┐
//! visitor:  clicks found ──► noted ──► log rewritten ──► appended ──┤
//!                                                                   ▼
//!       read models have the event ──► tables from before dropped ──► messages of webhooks
//!               ──► shared cache ──► note gone ──► files written anew
//! ```
//!
//! Each step may fail, and whoever asks again goes through all of them: a step that was done finds
//! nothing to do. What is noted is finished also if nobody asks.

use chrono::{DateTime, Utc};
use hoplog_events::click::ErasedClickRecord;
use hoplog_events::link::LinkKey;
use hoplog_events::log::Rewrite;
use hoplog_events::position::{Position, Topic, Version};
use hoplog_projections::DatabaseError;
use hoplog_projections::clicks::{self, Place, Visit, Visitor};
use hoplog_projections::link_directory;
use hoplog_projections::read_models::{NoBuilds, OperationError};
use hoplog_projections::runner::WorkerError;
use hoplog_projections::sketch::surrogate;
use hoplog_projections::user_agents::UserAgents;
use uuid::Uuid;

use super::App;
use crate::commands::erase_clicks::{AnonymousClick, Asked, EVENT_CLICKS_MAX};
use crate::commands::{EraseError, IdempotencyKey, Issuer};
use crate::domain::link::Link;
use crate::queries::QueryFailure;
use crate::webhooks::erasure::{Erased, KeptError};

mod keeping;
#[cfg(test)]
mod tests;
mod unfinished;

use unfinished::{Finished, Left, Plan};

/// What was erased.
#[derive(Debug, Clone, Copy)]
pub struct Erasure {
    /// Events of the log that were rewritten.
    pub events: usize,
    /// Clicks that are anonymous now.
    pub clicks: usize,
    /// Everything up to here is as it is to be.
    pub position: Position,
    /// Before this no files are written anew that still have copies of it, which nothing reads; `None`:
    /// there are none, or it was not looked for.
    pub scrubbed_at: Option<DateTime<Utc>>,
}

/// Why not everything was erased. Asking again goes on.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// See [`EraseError`].
    #[error(transparent)]
    Log(#[from] EraseError),
    /// The read models are away, or behind.
    #[error(transparent)]
    Query(#[from] QueryFailure),
    /// The read models are away.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What is kept for webhooks can't be changed.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// What concerns the tables of a projection could not be done.
    #[error(transparent)]
    Operation(OperationError),
    /// Retry what is parked, or skip it, and ask again.
    #[error(
        "events are parked in {0}: retry or skip them (hoplog projection parked {0}), then ask again"
    )]
    Parked(&'static str),
    /// Wait for the end of the build.
    #[error("tables of {0} are being built that may have what is erased; ask again when they are")]
    Building(&'static str),
}

impl From<OperationError> for ErasureError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Failed(WorkerError::Building(projection)) => Self::Building(projection),
            error => Self::Operation(error),
        }
    }
}

impl App {
    /// Deletes a link and erases what people wrote in it.
    ///
    /// # Errors
    /// See [`ErasureError`].
    pub async fn erase_link(
        &self,
        issuer: &Issuer,
        idempotency: Option<&IdempotencyKey>,
        key: &LinkKey,
        expected: Option<Vec<Version>>,
    ) -> Result<Erasure, ErasureError> {
        self.commands.can_erase()?;
        let begun = self.begin_erasure(&Plan::Link(key.clone())).await?;
        let era = self.links.era();
        let ended = self.commands.end_link(issuer, idempotency, key, expected).await;
        if ended.as_ref().is_err_and(EraseError::is_refusal) {
            self.erasures.end(begun).await?;
        }
        let (link, position) = ended.map(|outcome| (outcome.link, outcome.position))?;
        self.links.remember(era, link.clone(), position, self.clock.now());
        let rewrites = self.commands.link_rewrites(key).await?;
        let events = rewrites.len();
        self.complete_link(link, position, rewrites).await?;
        self.erasures.end(begun).await?;
        Ok(Erasure { events, clicks: 0, position, scrubbed_at: None })
    }

    /// What follows the event that ends a link.
    async fn complete_link(
        &self,
        link: Link,
        position: Position,
        rewrites: Vec<Rewrite>,
    ) -> Result<(), ErasureError> {
        let key = link.key.clone();
        if !rewrites.is_empty() {
            // Of messages that were delivered long ago there are copies, too.
            self.webhooks.deliveries.mark().await?;
        }
        self.commands.rewrite(rewrites).await?;
        self.erased_in(link_directory::NAME, position).await?;
        if self.read_models.has_parked(link_directory::NAME, Some(&key.to_string())).await? {
            return Err(ErasureError::Parked(link_directory::NAME));
        }
        self.webhooks.erase(&Erased::link(key.clone())).await?;
        if let Err(error) = self.links.share(link, position, self.clock.now()).await {
            tracing::warn!(%error, %key, "the shared cache has an erased link until it is there again");
        }
        Ok(())
    }

    /// Makes all clicks of a visitor anonymous that have been recorded so far.
    ///
    /// # Errors
    /// See [`ErasureError`].
    pub async fn erase_visitor(
        &self,
        issuer: &Issuer,
        visitor: &Visitor,
    ) -> Result<Erasure, ErasureError> {
        self.commands.can_erase()?;
        let head = self.log.head(Topic::Clicks).await.map_err(EraseError::from)?;
        self.wait_for(clicks::NAME, Some(head)).await?;
        if self.read_models.has_parked(clicks::NAME, None).await? {
            return Err(ErasureError::Parked(clicks::NAME));
        }
        let no_builds = self.read_models.keep_from_building(clicks::NAME).await?;
        let asked = Asked { actor: issuer.actor.clone(), now: issuer.now };
        let erased = self.erase_clicks_of(&asked, visitor, head, &no_builds).await;
        if let Err(error) = no_builds.end().await {
            tracing::warn!(%error, "tables of clicks can't be built for some seconds");
        }
        erased
    }

    async fn erase_clicks_of(
        &self,
        asked: &Asked,
        visitor: &Visitor,
        head: Position,
        no_builds: &NoBuilds,
    ) -> Result<Erasure, ErasureError> {
        let mut erasure = Erasure { events: 0, clicks: 0, position: head, scrubbed_at: None };
        // What can't be finished is in nobody's way but of whose clicks it is.
        let Finished { told, left } = self.finish_clicks(no_builds).await?;
        // Until then the clicks of what was finished are their visitor's still.
        self.wait_for(clicks::NAME, told).await?;
        erasure.position = told.unwrap_or(head);
        let (notes, of_his) = self.note_clicks_of(asked, visitor, head, left).await?;
        for id in notes {
            let Some((_, clicks)) = self.noted_clicks(id).await? else { continue };
            let (events, told) = self.complete_clicks(id, asked, &clicks, no_builds).await?;
            erasure.events += events;
            erasure.clicks += clicks.len();
            erasure.position = told;
        }
        if let Some(Left { error, .. }) = of_his {
            return Err(error);
        }
        self.wait_for(clicks::NAME, Some(erasure.position)).await?;
        Ok(erasure)
    }

    /// Notes all clicks of a visitor before the first is touched: whatever happens then, all of them
    /// are brought to their end. Those that a note has which could not be finished are his still, and are
    /// not noted again: with each try there would be more. Gives the ids of the notes, and one that is left.
    async fn note_clicks_of(
        &self,
        asked: &Asked,
        visitor: &Visitor,
        head: Position,
        mut left: Vec<Left>,
    ) -> Result<(Vec<Uuid>, Option<Left>), ErasureError> {
        let (agents, mut place) = (UserAgents::default(), Some(Place::START));
        let (clicks, mut of_his, mut noted) = (self.read_models.clicks(), None, Vec::new());
        while let Some(after) = place {
            let (visits, next) = clicks.of_visitor(visitor, after, head.sequence).await?;
            place = next;
            let mut anonymous: Vec<_> =
                visits.iter().map(|visit| anonymous(visit, &agents)).collect();
            anonymous.retain(|click| {
                let found = left.iter().position(|left| left.has(click));
                of_his = of_his.or(found);
                found.is_none()
            });
            for some in anonymous.chunks(EVENT_CLICKS_MAX) {
                noted.push(self.begin_erasure(&Plan::clicks(asked, some)).await?);
            }
        }
        Ok((noted, of_his.map(|place| left.swap_remove(place))))
    }

    /// Waits until a read model has erased it, and drops its tables that nobody reads.
    async fn erased_in(
        &self,
        projection: &'static str,
        position: Position,
    ) -> Result<(), ErasureError> {
        self.wait_for(projection, Some(position)).await?;
        Ok(self.read_models.drop_unread(projection).await?)
    }
}

/// What stands in the place of whoever made a click. An agent that was not there says nothing.
fn anonymous(visit: &Visit, agents: &UserAgents) -> AnonymousClick {
    let user_agent = visit.user_agent.as_deref().map(|agent| agents.erased(agent).into());
    let record = ErasedClickRecord {
        event: visit.event,
        place: u32::try_from(visit.place).unwrap_or(u32::MAX),
        domain: visit.link.domain.clone(),
        code: visit.link.code.clone(),
        at: visit.at,
        visitor: surrogate(visit.visitor, visit.event, visit.place),
        user_agent,
    };
    AnonymousClick { sequence: visit.sequence, record }
}
