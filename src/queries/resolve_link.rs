//! Where a code leads: the question every redirect asks.
//!
//! ```text
//! cache (this process) ──miss──► shared cache ──miss or too old──► read model
//!                                                                      │ behind or unknown
//!                                                                      └► the link's own events
//! ```
//!
//! Nothing stale is served. A command of this node writes its outcome into the cache before it
//! is answered; [`LinkResolver::follow`] drops what other nodes changed. A read model that has
//! not seen a change yet is noticed, because every change is remembered until it has, and then
//! the log itself is asked; `recent` says what of the shared cache is believed. A code that nobody knows is remembered as such for a moment, so that
//! guessing codes does not reach the database.

use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use hoplog_events::position::{Position, Sequence, Version};
use hoplog_projections::link_directory::LinkDirectory;

use crate::cache::Level1;
use crate::clock::Clock;
use crate::domain::link::Link;
use crate::execute::{ExecuteError, load_link_at};
use crate::queries::shared_cache::SharedCache;

mod follow;
mod patience;
mod recent;
mod target;
#[cfg(test)]
mod tests;

use follow::Followed;
pub use follow::READ_BACK_EVENTS;
use patience::Patience;
use recent::RecentChanges;
pub use target::{LinkPath, Target};

/// How many links this process keeps at hand; about 500 bytes each.
const CACHED_LINKS_MAX: usize = 100_000;

/// How long an unknown code is remembered as unknown.
const UNKNOWN_TTL: Duration = Duration::from_secs(1);

/// A code that leads somewhere, or is known to lead nowhere for now.
#[derive(Debug, Clone)]
enum Known {
    Link(Arc<Target>),
    Unknown { until: DateTime<Utc> },
}

impl Known {
    fn version(&self) -> Version {
        match self {
            Known::Link(target) => target.version,
            Known::Unknown { .. } => Version::NONE,
        }
    }

    fn target(self) -> Option<Arc<Target>> {
        match self {
            Known::Link(target) => Some(target),
            Known::Unknown { .. } => None,
        }
    }
}

/// Neither cache nor read model nor log could answer.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Try again later; this is not "not found".
    #[error("the link can't be looked up: {0}")]
    Unavailable(String),
}

/// Answers where codes lead.
#[derive(Debug)]
pub struct LinkResolver {
    log: Arc<dyn EventLog>,
    directory: LinkDirectory,
    clock: Clock,
    cache: Level1<LinkKey, Known>,
    shared: Option<SharedCache>,
    /// The changes that others may not have seen.
    recent: Mutex<RecentChanges>,
    /// Since where changes are followed.
    followed: Followed,
    patience: Patience,
}

impl LinkResolver {
    /// A resolver with an empty cache of its own, and perhaps one that it shares with others.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        directory: LinkDirectory,
        shared: Option<SharedCache>,
        clock: Clock,
    ) -> Self {
        let cache = Level1::new(CACHED_LINKS_MAX);
        let recent = Mutex::new(RecentChanges::new(shared.is_some()));
        let (followed, patience) = (Followed::default(), Patience::default());
        Self { log, directory, clock, cache, shared, recent, followed, patience }
    }

    /// Where a code leads; `None`: there is no such link.
    ///
    /// # Errors
    /// When nobody can be asked, which must not be mistaken for "no such link".
    pub async fn resolve(&self, path: LinkPath<'_>) -> Result<Option<Arc<Target>>, ResolveError> {
        match self.cache.get(&path) {
            Some(Known::Link(target)) => return Ok(Some(target)),
            Some(Known::Unknown { until }) if until > self.clock.now() => return Ok(None),
            Some(Known::Unknown { .. }) | None => {}
        }
        let (Ok(domain), Ok(code)) = (path.domain.parse(), path.code.parse()) else {
            return Ok(None);
        };
        Box::pin(self.load(&LinkKey { domain, code })).await
    }

    async fn load(&self, key: &LinkKey) -> Result<Option<Arc<Target>>, ResolveError> {
        // What is here now, if anything, is an outdated "unknown" (version 0).
        self.cache.invalidate(key, 1);
        let known = self.cache.get_or_load(key, self.look_up(key)).await?;
        // A change that arrived while this was loaded is in `recent` before it drops entries:
        // either it dropped this one or it is seen here.
        if known.version() < self.recent().newest(key) {
            let (version, known) = self.ask_log(key).await?;
            self.cache.put_if_newer(key, version.0, known.clone()).await;
            return Ok(known.target());
        }
        Ok(known.target())
    }

    async fn look_up(&self, key: &LinkKey) -> Result<(u64, Known), ResolveError> {
        if let Some(target) = self.ask_shared(key).await {
            return Ok((target.version.0, Known::Link(Arc::new(target))));
        }
        match self.ask_directory(key).await {
            Some(target) => Ok((target.version.0, Known::Link(target))),
            // Not there, behind, or away: the log knows.
            None => self.ask_log(key).await.map(|(version, known)| (version.0, known)),
        }
    }

    /// What others wrote down, if this node can tell that it still holds.
    async fn ask_shared(&self, key: &LinkKey) -> Option<Target> {
        let (target, as_of) = self.shared.as_ref()?.link(key).await?;
        let is_current = self.recent().is_current(key, target.version, as_of);
        is_current.then_some(target)
    }

    /// What the read model has, if it can be believed. One that does not answer is left alone for a
    /// while: the log knows, too.
    async fn ask_directory(&self, key: &LinkKey) -> Option<Arc<Target>> {
        if !self.patience.may_ask(Instant::now()) {
            return None;
        }
        let row = match &self.shared {
            None => self.directory.get(key).await.map(|row| row.zip(Some(Sequence::START))),
            Some(_) => {
                self.directory.get_as_of(slice::from_ref(key)).await.map(|mut rows| rows.pop())
            }
        };
        self.patience.answered(row.is_ok(), Instant::now());
        let (row, as_of) = row.ok()??;
        if row.version < self.least_believed(key) {
            return None;
        }
        let target = Arc::new(Target::from(row));
        if let Some(shared) = &self.shared {
            shared.offer(Arc::clone(&target), as_of);
        }
        Some(target)
    }

    async fn ask_log(&self, key: &LinkKey) -> Result<(Version, Known), ResolveError> {
        let Some((link, last)) = load_link_at(self.log.as_ref(), key).await? else {
            let until = self.clock.now() + UNKNOWN_TTL;
            return Ok((Version::NONE, Known::Unknown { until }));
        };
        let target = Arc::new(Target::from(link));
        if let Some(shared) = &self.shared {
            shared.offer(Arc::clone(&target), last.sequence);
        }
        Ok((target.version, Known::Link(target)))
    }

    /// Takes over what a command of this node has just made of a link.
    pub async fn remember(&self, link: Link, position: Position) {
        self.note_change(&link.key, link.version, position.sequence);
        let key = link.key.clone();
        let version = link.version.0;
        self.cache.put_if_newer(&key, version, Known::Link(Arc::new(Target::from(link)))).await;
    }

    fn note_change(&self, key: &LinkKey, version: Version, sequence: Sequence) {
        self.recent().note(key, version, sequence);
    }

    /// The least version of a link that the read model must have to be believed: the newest that
    /// this node has seen. A read model that lacks events from before this node followed the log
    /// is not believed at all.
    pub fn least_believed(&self, key: &LinkKey) -> Version {
        // In this order: what is forgotten between the two makes the read model lack something.
        let newest = self.recent().newest(key);
        if self.followed.is_behind(self.directory.applied()) { newest } else { Version(u64::MAX) }
    }

    /// What a panic elsewhere left is still whole: one change more or less.
    fn recent(&self) -> MutexGuard<'_, RecentChanges> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<ExecuteError> for ResolveError {
    fn from(error: ExecuteError) -> Self {
        ResolveError::Unavailable(error.to_string())
    }
}
