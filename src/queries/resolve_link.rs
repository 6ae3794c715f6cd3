//! Where a code leads: the question every redirect asks.
//!
//! ```text
//! cache (this process) ──miss──► shared cache ──miss or too old──► read model
//!                                                                      │ behind or unknown
//!                                                                      └► the link's own events
//! ```
//!
//! A command of this node writes its outcome into the cache before it is answered;
//! [`LinkResolver::follow`] drops what other nodes changed. A read model that has not seen a change
//! yet is noticed, because every change is remembered until it has, and then the log itself is asked;
//! `recent` says what of the shared cache is believed. A code that nobody knows is remembered as such
//! for a moment, so that guessing codes does not reach the database. Something stale is served only
//! while neither read model nor log answers.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use hoplog_events::position::{Position, Sequence, Version};
use hoplog_projections::link_directory::LinkDirectory;

pub use crate::cache::AtHand;
use crate::cache::{
    CacheOptions, Found, Level2Error, LoadError, Loaded, SharedLevel, TwoLevelCache, Witness,
};
use crate::domain::link::Link;

mod follow;
mod patience;
mod recent;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod warm;

pub use follow::READ_BACK_EVENTS;
pub use recent::Era;
use source::LinkSource;
pub use target::{LinkPath, Target};

/// How many links this process keeps at hand; about 500 bytes each.
const CACHED_LINKS_MAX: usize = 100_000;

/// How long somebody waits for the read model and the log where there is something stale to serve.
const SOFT_TIMEOUT: Duration = Duration::from_secs(1);

/// Links by their keys, in this process and in Redis.
pub type LinkCache = TwoLevelCache<LinkKey, Arc<Target>>;

/// Neither cache nor read model nor log could answer.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Try again later; this is not "not found".
    #[error("the link can't be looked up: {0}")]
    Unavailable(String),
}

/// Where a code leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The link.
    pub target: Arc<Target>,
    /// It may have changed: nobody could be asked.
    pub is_stale: bool,
}

/// Answers where codes lead.
#[derive(Debug)]
pub struct LinkResolver {
    cache: LinkCache,
    source: Arc<LinkSource>,
}

impl LinkResolver {
    /// A resolver with an empty cache of its own, and perhaps one that it shares with others.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        directory: LinkDirectory,
        shared: Option<SharedLevel<LinkKey, Arc<Target>>>,
    ) -> Self {
        let source = Arc::new(LinkSource::new(log, directory, shared.is_some()));
        let mut options = CacheOptions::new("links", CACHED_LINKS_MAX);
        options.soft_timeout = SOFT_TIMEOUT;
        let witness: Arc<dyn Witness<LinkKey>> = Arc::<LinkSource>::clone(&source);
        Self { cache: LinkCache::new(options, shared, witness), source }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &LinkCache {
        &self.cache
    }

    /// What this process has at hand of a code.
    #[must_use]
    pub fn at_hand(&self, path: LinkPath<'_>, now: DateTime<Utc>) -> AtHand<Arc<Target>> {
        self.cache.get(&path, millis(now))
    }

    /// Where a code leads; `None`: there is no such link.
    ///
    /// # Errors
    /// When nobody can be asked, which must not be mistaken for "no such link".
    pub async fn resolve(
        &self,
        path: LinkPath<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Resolved>, ResolveError> {
        match self.at_hand(path, now) {
            AtHand::Value(target) => Ok(Some(Resolved { target, is_stale: false })),
            AtHand::Absent => Ok(None),
            AtHand::Nothing => match path.key() {
                Some(key) => Box::pin(self.look_up(&key, now)).await,
                None => Ok(None),
            },
        }
    }

    /// The same of what is not at hand.
    ///
    /// # Errors
    /// When nobody can be asked, which must not be mistaken for "no such link".
    pub async fn look_up(
        &self,
        key: &LinkKey,
        now: DateTime<Utc>,
    ) -> Result<Option<Resolved>, ResolveError> {
        self.load(key, millis(now)).await
    }

    async fn load(&self, key: &LinkKey, now_ms: u64) -> Result<Option<Resolved>, ResolveError> {
        let (source, asked) = (Arc::clone(&self.source), key.clone());
        let load = move || {
            let (source, asked) = (Arc::clone(&source), asked.clone());
            async move { source.look_up(&asked).await }
        };
        let Found { value, is_stale, .. } = self.cache.get_or_load(key, now_ms, load).await?;
        Ok(value.map(|target| Resolved { target, is_stale }))
    }

    /// Of which log it is what is done from now on. To be asked before a command is begun.
    #[must_use]
    pub fn era(&self) -> Era {
        self.source.recent().era()
    }

    /// Takes over what a command of this node, begun in an era, has just made of a link: unless the log was
    /// put back since, and has no such change.
    pub fn remember(&self, era: Era, link: Link, position: Position, now: DateTime<Utc>) {
        let (key, sequence) = (link.key.clone(), position.sequence);
        // Before it is asked: what is put back after that is dropped from the cache later.
        let stamp = self.cache.stamp();
        if self.source.note_change(era, &key, link.version, sequence) {
            let loaded = Loaded::value(Arc::new(Target::from(link)), sequence.0);
            self.cache.fill(&key, loaded, stamp, None, millis(now));
        }
    }

    /// Writes a link to the cache that all nodes share, if there is one, in the place of what is older.
    ///
    /// # Errors
    /// When it does not take it: it is kept here and written later.
    pub async fn share(
        &self,
        link: Link,
        position: Position,
        now: DateTime<Utc>,
    ) -> Result<(), Level2Error> {
        let (key, sequence) = (link.key.clone(), position.sequence);
        let loaded = loaded(Arc::new(Target::from(link)), sequence, sequence);
        self.cache.share_many(&[(key, loaded)], millis(now)).await
    }

    /// The least version of a link that the read model must have to be believed: the newest that
    /// this node has seen. A read model that lacks events from before this node followed the log
    /// is not believed at all.
    #[must_use]
    pub fn least_believed(&self, key: &LinkKey) -> Version {
        self.source.least_believed(key)
    }
}

/// Times before 1970 are 1970.
pub(crate) fn millis(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp_millis()).unwrap_or_default()
}

/// A link as it is cached: as of an event that may be later than its last change.
pub(crate) fn loaded(
    target: Arc<Target>,
    changed: Sequence,
    as_of: Sequence,
) -> Loaded<Arc<Target>> {
    // Its end is looked at whenever it is served: an expired link is answered differently from none.
    Loaded::value(target, changed.0).as_of(as_of.0)
}

impl From<LoadError> for ResolveError {
    fn from(error: LoadError) -> Self {
        ResolveError::Unavailable(error.to_string())
    }
}
