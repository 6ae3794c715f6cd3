//! What was begun is brought to its end: by whoever began it, else by whoever finds that it was not.
//!
//! ```text
//! noted ──► rewritten ──► kept messages ──► told ──► note gone
//!        a crash in here leaves the note, and the same again finishes it
//! ```
//!
//! Between rewriting and telling nobody could find the clicks again: tables that are built meanwhile
//! have no trace of who made them. So they are noted first. A note that can't be finished stays, and is in
//! no other's way.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::click::ErasedClickRecord;
use hoplog_events::link::LinkKey;
use hoplog_events::position::{LogId, Position, Sequence};
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
        /// Where each click's event is, and what is told of it; in the order of the log.
        clicks: Vec<(Sequence, ErasedClickRecord)>,
    },
    /// What people wrote in a link that has ended goes.
    Link(LinkKey),
}

/// What a note is about.
#[derive(Debug, PartialEq, Eq)]
enum Noted {
    Clicks,
    Link(LinkKey),
}

/// What became of clicks that were noted.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Where the last of it is told.
    pub(super) told: Option<Position>,
    /// What is not finished.
    pub(super) left: Vec<Left>,
}

/// A note of clicks that could not be finished.
#[derive(Debug)]
pub(super) struct Left {
    /// The place of each click's event in the log, the event, and its place in it.
    clicks: BTreeSet<(Sequence, Uuid, u32)>,
    /// Why.
    pub(super) error: ErasureError,
}

impl Left {
    fn new(clicks: &[AnonymousClick], error: ErasureError) -> Self {
        Self { clicks: clicks.iter().map(key).collect(), error }
    }

    /// Whether a click is in it.
    pub(super) fn has(&self, click: &AnonymousClick) -> bool {
        self.clicks.contains(&key(click))
    }
}

fn key(AnonymousClick { sequence, record }: &AnonymousClick) -> (Sequence, Uuid, u32) {
    (*sequence, record.event, record.place)
}

impl Plan {
    pub(super) fn clicks(asked: &Asked, clicks: &[AnonymousClick]) -> Self {
        let clicks = clicks.iter().map(|click| (click.sequence, click.record.clone()));
        Self::Clicks { actor: asked.actor.clone(), clicks: clicks.collect() }
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

    /// The clicks of a note, and who asked for it; `None`: it is done.
    pub(super) async fn noted_clicks(
        &self,
        id: Uuid,
    ) -> Result<Option<(Box<str>, Vec<AnonymousClick>)>, ErasureError> {
        let Some(Begun { plan, .. }) = self.erasures.get(id).await? else { return Ok(None) };
        let plan = serde_json::from_str(&plan);
        match plan.map_err(|error| EraseError::Unavailable(error.to_string()))? {
            Plan::Clicks { actor, clicks } => {
                let click = |(sequence, record)| AnonymousClick { sequence, record };
                Ok(Some((actor, clicks.into_iter().map(click).collect())))
            }
            Plan::Link(_) => Ok(None),
        }
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
        let events = self.commands.rewrite_clicks(clicks).await?;
        // Of messages that were delivered long ago there are copies, too. What can't be rewritten does not
        // let files be written anew each time that it is tried.
        self.webhooks.deliveries.mark().await?;
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

    /// Brings everything to its end that was begun so long ago, by whomever.
    ///
    /// # Errors
    /// See [`ErasureError`]. What could not be finished is begun still.
    pub(super) async fn finish_erasures(&self, age: Duration) -> Result<(), ErasureError> {
        let (mut has_clicks, mut failed) = (false, None);
        for (id, log, noted) in self.begun(age).await? {
            match noted {
                Noted::Clicks => has_clicks = true,
                Noted::Link(key) => {
                    if let Err(error) = self.finish_link(id, log, &key).await {
                        tracing::warn!(%id, %error, %key, "an erasure is not finished");
                        failed = Some(error);
                    }
                }
            }
        }
        // What is begun by who erases clicks just now is his, and done when he is.
        if has_clicks
            && let Some(no_builds) =
                self.read_models.keep_from_building_at_once(clicks::NAME).await?
        {
            let finished = self.finish_clicks(&no_builds).await;
            if let Err(error) = no_builds.end().await {
                tracing::warn!(%error, "tables of clicks can't be built for some seconds");
            }
            // Trying again soon is of no use where this log has another event.
            let errors = finished?.left.into_iter().map(|left| left.error);
            let is_to_be_tried =
                |error: &ErasureError| !matches!(error, ErasureError::Log(EraseError::Moved));
            failed = errors.filter(is_to_be_tried).last().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Finishes what was begun of clicks, for who sees to it that nothing is built.
    ///
    /// # Errors
    /// When it can't be told what was begun.
    pub(super) async fn finish_clicks(
        &self,
        no_builds: &NoBuilds,
    ) -> Result<Finished, ErasureError> {
        let mut finished = Finished::default();
        for (id, _, noted) in self.begun(Duration::ZERO).await? {
            if noted != Noted::Clicks {
                continue;
            }
            // Read again one by one: those of one visitor may be many.
            let Some((actor, clicks)) = self.noted_clicks(id).await? else { continue };
            let asked = Asked { actor, now: self.clock.now() };
            match self.complete_clicks(id, &asked, &clicks, no_builds).await {
                Ok((_, told)) => {
                    tracing::info!(%id, "an erasure that was begun is finished");
                    let all = finished.told.into_iter().chain([told]);
                    finished.told = all.max_by_key(|it| it.sequence);
                }
                Err(error) => {
                    tracing::warn!(%id, %error, "an erasure is not finished");
                    finished.left.push(Left::new(&clicks, error));
                }
            }
        }
        Ok(finished)
    }

    /// On any log: an import has the link as well. Of one that has not ended on its own log the note goes,
    /// as whoever began it was refused.
    async fn finish_link(&self, id: Uuid, log: LogId, key: &LinkKey) -> Result<(), ErasureError> {
        let found = load_link_at(self.log.as_ref(), key).await.map_err(EraseError::from)?;
        if let Some((link, position)) = found.filter(|(link, _)| link.is_erased) {
            let rewrites = self.commands.link_rewrites(key).await?;
            self.complete_link(link, position, rewrites).await?;
        } else if log != self.log.id() {
            tracing::warn!(%id, %log, %key, "an erasure of another log is not finished on this one");
            return Ok(());
        }
        Ok(self.erasures.end(id).await?)
    }

    /// All that was begun so long ago, as far as it can be finished here. The rest stays noted: another
    /// version can read it, or it is of clicks on another log.
    async fn begun(&self, age: Duration) -> Result<Vec<(Uuid, LogId, Noted)>, ErasureError> {
        let (mut after, mut all) = (Uuid::nil(), Vec::new());
        let begun_before = self.clock.now() - age;
        while let Some(Begun { id, log, plan }) = self.erasures.next(after).await? {
            after = id;
            if begun_at(id).is_some_and(|at| at > begun_before) {
                continue;
            }
            match serde_json::from_str(&plan) {
                Ok(Plan::Clicks { .. }) if log != self.log.id() => {
                    tracing::warn!(%id, %log, "an erasure of another log is not finished on this one");
                }
                Ok(Plan::Clicks { .. }) => all.push((id, log, Noted::Clicks)),
                Ok(Plan::Link(key)) => all.push((id, log, Noted::Link(key))),
                Err(error) => {
                    tracing::error!(%id, %error, "an erasure that was begun can't be read");
                }
            }
        }
        Ok(all)
    }
}

/// Ids say when they were made.
fn begun_at(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}
