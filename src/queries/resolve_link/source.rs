//! Who is asked for a link that is not in the cache: the read model if it can be believed, the log
//! otherwise.

use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use hoplog_events::position::{Sequence, Version};
use hoplog_projections::DatabaseError;
use hoplog_projections::link_directory::{LinkDirectory, LinkRow};

use super::follow::Followed;
use super::patience::Patience;
use super::recent::{Era, RecentChanges};
use super::{Target, loaded};
use crate::cache::{Loaded, SourceAway, Witness};
use crate::execute::load_link_at;

/// The read model, the log, and what this node knows of changes.
#[derive(Debug)]
pub(super) struct LinkSource {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) directory: LinkDirectory,
    pub(super) has_shared_cache: bool,
    /// The changes that others may not have seen.
    recent: Mutex<RecentChanges>,
    /// Since where changes are followed.
    pub(super) followed: Followed,
    patience: Patience,
}

/// A link that was loaded, and its version.
type LoadedLink = (Loaded<Arc<Target>>, Version);

impl LinkSource {
    pub(super) fn new(
        log: Arc<dyn EventLog>,
        directory: LinkDirectory,
        has_shared_cache: bool,
    ) -> Self {
        let recent = Mutex::new(RecentChanges::new(has_shared_cache));
        let (followed, patience) = (Followed::default(), Patience::default());
        Self { log, directory, has_shared_cache, recent, followed, patience }
    }

    /// A link, as new as this node knows of.
    pub(super) async fn look_up(&self, key: &LinkKey) -> Result<Loaded<Arc<Target>>, SourceAway> {
        let era = self.recent().era();
        let (loaded, version) = match self.ask_directory(key).await {
            Some(found) => found,
            // Not there, behind, or away: the log knows.
            None => self.ask_log(key).await?,
        };
        // A change that arrived while this was loaded is in `recent`.
        let (loaded, version) = if version < self.recent().newest(key) {
            self.ask_log(key).await?
        } else {
            (loaded, version)
        };
        self.note_ahead(era, key, version, Sequence(loaded.position));
        Ok(loaded)
    }

    /// What a source has seen before this node has read it: whoever is shown it is shown nothing older
    /// afterwards, whatever others have written. Not what was asked of a log that was put back since.
    pub(super) fn note_ahead(&self, era: Era, key: &LinkKey, version: Version, changed: Sequence) {
        let mut recent = self.recent();
        if era == recent.era() && changed > recent.reached() && version > Version::NONE {
            recent.note(key, version, changed);
        }
    }

    /// What the read model has, if it can be believed. One that does not answer is left alone for a
    /// while: the log knows, too.
    async fn ask_directory(&self, key: &LinkKey) -> Option<LoadedLink> {
        let asked = self.patience.may_ask(Instant::now())?;
        let row = self.row(key).await;
        self.patience.answered(&asked, row.is_ok(), Instant::now());
        let (row, as_of) = row.ok()??;
        let (changed, version) = (row.sequence, row.version);
        if version < self.least_believed(key) {
            return None;
        }
        Some((loaded(Arc::new(Target::from(row)), changed, as_of), version))
    }

    /// What a row accounts for is needed only where others are told.
    async fn row(&self, key: &LinkKey) -> Result<Option<(LinkRow, Sequence)>, DatabaseError> {
        if self.has_shared_cache {
            return Ok(self.directory.get_as_of(slice::from_ref(key)).await?.pop());
        }
        let row = self.directory.get(key).await?;
        Ok(row.map(|row| (row.sequence, row)).map(|(sequence, row)| (row, sequence)))
    }

    async fn ask_log(&self, key: &LinkKey) -> Result<LoadedLink, SourceAway> {
        let found = load_link_at(self.log.as_ref(), key).await;
        let Some((link, last)) = found.map_err(|error| SourceAway(error.to_string()))? else {
            return Ok((Loaded::absent(0), Version::NONE));
        };
        let version = link.version;
        Ok((loaded(Arc::new(Target::from(link)), last.sequence, last.sequence), version))
    }

    /// A change that somebody has made. `false`: in a log that was put back since.
    pub(super) fn note_change(
        &self,
        era: Era,
        key: &LinkKey,
        version: Version,
        sequence: Sequence,
    ) -> bool {
        let mut recent = self.recent();
        let is_of_this_log = era == recent.era();
        if is_of_this_log {
            recent.note(key, version, sequence);
        }
        is_of_this_log
    }

    pub(super) fn least_believed(&self, key: &LinkKey) -> Version {
        // In this order: what is forgotten between the two makes the read model lack something.
        let newest = self.recent().newest(key);
        if self.followed.is_behind(self.directory.applied()) { newest } else { Version(u64::MAX) }
    }

    /// What a panic elsewhere left is still whole: one change more or less.
    pub(super) fn recent(&self) -> MutexGuard<'_, RecentChanges> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness<LinkKey> for LinkSource {
    fn newest(&self, key: &LinkKey) -> u64 {
        self.recent().newest_position(key).0
    }

    fn believes(&self, key: &LinkKey, position: u64, as_of: u64) -> bool {
        let is_vouched_for = self.recent().vouches_for(key, Sequence(position), Sequence(as_of));
        // Asked for last: what is judged by the memory of a log that was put back is not believed.
        is_vouched_for && !self.followed.distrusts()
    }
}
