//! Where a code leads: the question every redirect asks.
//!
//! ```text
//! cache (this process) ──miss──► read model ──behind or unknown──► the link's own events
//! ```
//!
//! Nothing stale is served. A command of this node writes its outcome into the cache before it
//! is answered; [`LinkResolver::follow`] drops what other nodes changed. A read model that has
//! not seen a change yet is noticed, because every change is remembered until it has, and then
//! the log itself is asked. A code that nobody knows is remembered as such for a moment, so that
//! guessing codes does not reach the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::{Destination, LinkKey, LinkState, OwnerId, RedirectStatus};
use hoplog_events::log::{EventLog, Subscription};
use hoplog_events::position::{Position, Sequence, Version};
use hoplog_projections::link_directory::{LinkDirectory, LinkRow};
use quick_cache::Equivalent;

use crate::cache::Level1;
use crate::clock::Clock;
use crate::domain::link::Link;
use crate::execute::{ExecuteError, load_link};

/// How many links this process keeps at hand; about 500 bytes each.
const CACHED_LINKS_MAX: usize = 100_000;

/// How long an unknown code is remembered as unknown.
const UNKNOWN_TTL: Duration = Duration::from_secs(1);

/// How long to wait before a log that can't be read is tried again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// How many changes are remembered before those that the read model has seen are dropped.
const RECENT_CHANGES_SWEEP: usize = 1_024;

/// What a redirect needs to know of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The link.
    pub key: LinkKey,
    /// Whose it is.
    pub owner: OwnerId,
    /// Where it leads.
    pub url: Destination,
    /// The same as bytes, to be sent without a copy.
    pub location: Bytes,
    /// The status of the redirect.
    pub redirect: RedirectStatus,
    /// Whether it is served at all.
    pub state: LinkState,
    /// From this instant on it is not.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// How many events it is the sum of.
    pub version: Version,
}

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

/// A link's identity as it stands in a request, to look up without allocating.
#[derive(Debug, Clone, Copy, Hash)]
pub struct LinkPath<'a> {
    /// The domain.
    pub domain: &'a str,
    /// The code.
    pub code: &'a str,
}

impl Equivalent<LinkKey> for LinkPath<'_> {
    fn equivalent(&self, key: &LinkKey) -> bool {
        self.code == key.code.as_str() && self.domain == key.domain.as_str()
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
    /// The last change of links that the read model may not have seen yet.
    recent: Mutex<HashMap<LinkKey, (Version, Sequence)>>,
}

impl LinkResolver {
    /// A resolver with an empty cache.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, directory: LinkDirectory, clock: Clock) -> Self {
        let cache = Level1::new(CACHED_LINKS_MAX);
        Self { log, directory, clock, cache, recent: Mutex::default() }
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
        self.load(&LinkKey { domain, code }).await
    }

    async fn load(&self, key: &LinkKey) -> Result<Option<Arc<Target>>, ResolveError> {
        // What is here now, if anything, is an outdated "unknown" (version 0).
        self.cache.invalidate(key, 1);
        let known = self.cache.get_or_load(key, self.look_up(key)).await?;
        // A change that arrived while this was loaded is in `recent` before it drops entries:
        // either it dropped this one or it is seen here.
        if known.version() < self.newest_version(key) {
            let (version, known) = self.ask_log(key).await?;
            self.cache.put_if_newer(key, version.0, known.clone()).await;
            return Ok(known.target());
        }
        Ok(known.target())
    }

    async fn look_up(&self, key: &LinkKey) -> Result<(u64, Known), ResolveError> {
        match self.directory.get(key).await {
            Ok(Some(row)) if row.version >= self.newest_version(key) => {
                Ok((row.version.0, Known::Link(Arc::new(Target::from(row)))))
            }
            // Not there, behind, or away: the log knows.
            Ok(_) | Err(_) => self.ask_log(key).await.map(|(version, known)| (version.0, known)),
        }
    }

    async fn ask_log(&self, key: &LinkKey) -> Result<(Version, Known), ResolveError> {
        let link = load_link(self.log.as_ref(), key).await?;
        Ok(match link {
            Some(link) => (link.version, Known::Link(Arc::new(Target::from(link)))),
            None => (Version::NONE, Known::Unknown { until: self.clock.now() + UNKNOWN_TTL }),
        })
    }

    /// Takes over what a command of this node has just made of a link.
    pub async fn remember(&self, link: Link, position: Position) {
        self.note_change(&link.key, link.version, position.sequence);
        let key = link.key.clone();
        let version = link.version.0;
        self.cache.put_if_newer(&key, version, Known::Link(Arc::new(Target::from(link)))).await;
    }

    /// Drops what other nodes change, for as long as it is polled.
    ///
    /// # Errors
    /// Never; a log that can't be read is tried again.
    pub async fn follow(&self, mut changes: Box<dyn Subscription>) {
        loop {
            match changes.next().await {
                Ok(events) => events.iter().for_each(|event| self.invalidate(event)),
                Err(error) => {
                    // What was missed is unknown: nothing here can be vouched for.
                    tracing::warn!(%error, "link changes can't be read; the cache is dropped");
                    self.cache.clear();
                    tokio::time::sleep(FOLLOW_PAUSE).await;
                }
            }
            self.forget_what_was_projected();
        }
    }

    fn invalidate(&self, event: &RecordedEvent) {
        let Ok(key) = event.stream.key().parse::<LinkKey>() else { return };
        self.note_change(&key, event.version, event.position.sequence);
        self.cache.invalidate(&key, event.version.0);
    }

    fn note_change(&self, key: &LinkKey, version: Version, sequence: Sequence) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let change = recent.entry(key.clone()).or_insert((version, sequence));
        *change = (*change).max((version, sequence));
    }

    /// The newest version of a link that this node has seen, as far as the read model may not
    /// have it yet.
    pub fn newest_version(&self, key: &LinkKey) -> Version {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(key).map_or(Version::NONE, |(version, _)| *version)
    }

    fn forget_what_was_projected(&self) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_CHANGES_SWEEP {
            let projected = self.directory.applied();
            recent.retain(|_, (_, sequence)| *sequence > projected);
        }
    }
}

impl From<Link> for Target {
    fn from(link: Link) -> Self {
        Target {
            location: Bytes::copy_from_slice(link.url.as_str().as_bytes()),
            key: link.key,
            owner: link.owner,
            url: link.url,
            redirect: link.redirect,
            state: link.state,
            expires_at: link.expires_at,
            created_at: link.created_at,
            version: link.version,
        }
    }
}

impl From<LinkRow> for Target {
    fn from(row: LinkRow) -> Self {
        Target::from(Link::from(row))
    }
}

impl From<ExecuteError> for ResolveError {
    fn from(error: ExecuteError) -> Self {
        ResolveError::Unavailable(error.to_string())
    }
}
