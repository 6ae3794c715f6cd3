//! What was begun is brought to its end: by whoever began it, else by whoever finds that it was not.
//!
//! ```text
//! noted ──► rewritten ──► kept messages ──► told ──► note gone
//!        a crash in here leaves the note, and the same again finishes it
//! ```
//!
//! Between rewriting and telling nobody could find the clicks again: tables that are built meanwhile
//! have no trace of who made them. So they are noted first.

use hoplog_events::click::ErasedClickRecord;
use hoplog_events::link::LinkKey;
use hoplog_events::position::{Position, Sequence};
use hoplog_projections::clicks;
use hoplog_projections::erasures::Begun;
use hoplog_projections::read_models::NoBuilds;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{App, ErasureError};
use crate::commands::EraseError;
use crate::commands::erase_clicks::{AnonymousClick, Asked};
use crate::execute::load_link_at;
use crate::webhooks::erasure::Erased;

/// What an erasure has set out to do, as it is noted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Plan {
    /// Clicks get anonymous: at most as many as one event tells of.
    Clicks {
        /// Who asked for it.
        actor: Box<str>,
        /// In which request.
        request: Box<str>,
        /// Where each click's event is, and what is told of it; in the order of the log.
        clicks: Vec<(Sequence, ErasedClickRecord)>,
    },
    /// What people wrote in a link that has ended goes.
    Link(LinkKey),
}

impl Plan {
    pub(super) fn clicks(asked: &Asked, clicks: &[AnonymousClick]) -> Self {
        let clicks = clicks.iter().map(|click| (click.sequence, click.record.clone()));
        Self::Clicks {
            actor: asked.actor.clone(),
            request: asked.request.clone(),
            clicks: clicks.collect(),
        }
    }
}

impl App {
    /// Notes what is about to be done. Gives the id of the note.
    pub(super) async fn begin_erasure(&self, plan: &Plan) -> Result<Uuid, ErasureError> {
        let written = serde_json::to_string(plan);
        let plan = written.map_err(|error| EraseError::Unavailable(error.to_string()))?;
        let begun = Begun { id: Uuid::now_v7(), log: self.log.id(), plan };
        self.erasures.begin(&begun).await?;
        Ok(begun.id)
    }

    /// Makes clicks anonymous that are noted, and tells of it. Gives how many events were rewritten,
    /// and where it is told.
    pub(super) async fn complete_clicks(
        &self,
        id: Uuid,
        asked: &Asked,
        clicks: &[AnonymousClick],
        no_builds: &NoBuilds,
    ) -> Result<(usize, Position), ErasureError> {
        // Of messages that were delivered long ago there are copies, too.
        self.webhooks.deliveries.mark().await?;
        let events = self.commands.rewrite_clicks(clicks).await?;
        let records = clicks.iter().map(|click| click.record.clone());
        self.webhooks.erase(&Erased::clicks(records)).await?;
        // Tables that are being built pass the event over: what they are made of has to be read
        // after the log was rewritten.
        if !no_builds.is_kept().await? {
            return Err(ErasureError::Building(clicks::NAME));
        }
        let told = self.commands.tell_erased(asked, id, clicks).await?;
        self.erasures.end(id).await?;
        Ok((events, told))
    }

    /// Brings everything to its end that was begun, by whomever.
    ///
    /// # Errors
    /// See [`ErasureError`]. What could not be finished is begun still.
    pub(super) async fn finish_erasures(&self) -> Result<(), ErasureError> {
        let mut has_clicks = false;
        for (id, plan) in self.begun().await? {
            match plan {
                Plan::Clicks { .. } => has_clicks = true,
                Plan::Link(key) => {
                    if let Err(error) = self.finish_link(id, &key).await {
                        tracing::warn!(%error, %key, "an erasure is not finished; trying again");
                    }
                }
            }
        }
        if !has_clicks {
            return Ok(());
        }
        // Whoever erases clicks just now is waited for: what he has begun is his, and done then.
        let no_builds = self.read_models.keep_from_building(clicks::NAME).await?;
        let finished = self.finish_clicks(&no_builds).await;
        if let Err(error) = no_builds.end().await {
            tracing::warn!(%error, "tables of clicks can't be built for some seconds");
        }
        finished.map(drop)
    }

    /// Finishes what was begun of clicks, for who sees to it that nothing is built. Gives where the last
    /// of it is told.
    pub(super) async fn finish_clicks(
        &self,
        no_builds: &NoBuilds,
    ) -> Result<Option<Position>, ErasureError> {
        let mut told: Option<Position> = None;
        for (id, plan) in self.begun().await? {
            let Plan::Clicks { actor, request, clicks } = plan else { continue };
            tracing::info!(%id, "an erasure that was begun is finished");
            let asked = Asked { actor, request, now: self.clock.now() };
            let clicks: Vec<_> = clicks
                .into_iter()
                .map(|(sequence, record)| AnonymousClick { sequence, record })
                .collect();
            match self.complete_clicks(id, &asked, &clicks, no_builds).await {
                Ok((_, position)) => {
                    told = told.into_iter().chain([position]).max_by_key(|it| it.sequence);
                }
                // There is no such click on this log any more.
                Err(ErasureError::Log(error @ EraseError::Moved)) => {
                    tracing::error!(%id, %error, "an erasure can't be finished; ask for it again");
                    self.erasures.end(id).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(told)
    }

    async fn finish_link(&self, id: Uuid, key: &LinkKey) -> Result<(), ErasureError> {
        let found = load_link_at(self.log.as_ref(), key).await.map_err(EraseError::from)?;
        if let Some((link, position)) = found.filter(|(link, _)| link.is_erased) {
            let rewrites = self.commands.link_rewrites(key).await?;
            self.complete_link(link, position, rewrites).await?;
        }
        Ok(self.erasures.end(id).await?)
    }

    /// All that was begun on this log.
    async fn begun(&self) -> Result<Vec<(Uuid, Plan)>, ErasureError> {
        let (mut after, mut all) = (Uuid::nil(), Vec::new());
        while let Some(Begun { id, log, plan }) = self.erasures.next(after).await? {
            after = id;
            if log != self.log.id() {
                tracing::warn!(%id, %log, "an erasure of another log is not finished on this one");
                self.erasures.end(id).await?;
                continue;
            }
            let plan = serde_json::from_str(&plan);
            let unknown = |error| EraseError::Unavailable(format!("erasure {id}: {error}"));
            all.push((id, plan.map_err(unknown)?));
        }
        Ok(all)
    }
}
