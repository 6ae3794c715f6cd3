//! The task that writes into the shared cache: after commits, and what was loaded.

use std::collections::BTreeSet;

use hoplog_events::link::LinkKey;
use hoplog_projections::DatabaseError;
use hoplog_projections::click_statistics::{self, ClickStatistics};
use hoplog_projections::commit::Commit;
use hoplog_projections::link_directory::{LINKS_PER_STATEMENT_MAX, LinkDirectory};
use tokio::sync::mpsc;

use super::{COMMITS_MAX, Loaded, SharedCache, dropped, link_write, totals_write};
use crate::cache::{Level2Error, Space, Write};
use crate::queries::resolve_link::Target;

/// How many loaded links are written at once.
const LOADED_AT_ONCE_MAX: usize = 100;

/// Writes what a [`SharedCache`] is told of. What can't be written is dropped, never kept for
/// later: a later commit or load writes something newer.
#[derive(Debug)]
pub struct SharedCacheWriter {
    links: Space,
    totals: Space,
    commits: mpsc::Receiver<Commit>,
    loaded: mpsc::Receiver<Loaded>,
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    /// It is dropped.
    #[error(transparent)]
    Level2(#[from] Level2Error),
    /// It is dropped.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl SharedCacheWriter {
    pub(super) fn new(
        shared: &SharedCache,
        commits: mpsc::Receiver<Commit>,
        loaded: mpsc::Receiver<Loaded>,
    ) -> Self {
        Self { links: shared.links.clone(), totals: shared.totals.clone(), commits, loaded }
    }

    /// Writes for as long as somebody may hand something over. What is written after a commit is
    /// read from the read models, so that it is whole, with the position it accounts for.
    pub async fn run(mut self, directory: LinkDirectory, statistics: ClickStatistics) {
        loop {
            let (mut commits, mut loaded) = (Vec::new(), Vec::new());
            let taken = tokio::select! {
                taken = self.commits.recv_many(&mut commits, COMMITS_MAX) => taken,
                taken = self.loaded.recv_many(&mut loaded, LOADED_AT_ONCE_MAX) => taken,
            };
            if taken == 0 {
                return;
            }
            if let Err(error) = self.write_loaded(&loaded).await {
                tracing::debug!(%error, "loaded links were not written to the shared cache");
                dropped("loaded");
            }
            if let Err(error) = self.write_committed(commits, &directory, &statistics).await {
                tracing::debug!(%error, "changes were not written to the shared cache");
                dropped("committed");
            }
        }
    }

    async fn write_loaded(&self, loaded: &[Loaded]) -> Result<(), WriteError> {
        let writes = loaded.iter().filter_map(|loaded| link_write(&loaded.target, loaded.as_of));
        let writes: Vec<Write> = writes.collect();
        self.links.set_if_newer(&writes).await?;
        Ok(())
    }

    async fn write_committed(
        &self,
        commits: Vec<Commit>,
        directory: &LinkDirectory,
        statistics: &ClickStatistics,
    ) -> Result<(), WriteError> {
        if self.links.is_away() {
            // Nothing is read that can't be written.
            return if commits.is_empty() { Ok(()) } else { Err(Level2Error::Away.into()) };
        }
        // Links that changed in several commits are written once.
        let (mut changed, mut clicked) = (BTreeSet::new(), BTreeSet::new());
        for commit in commits {
            let is_clicks = commit.projection == click_statistics::NAME;
            if is_clicks { &mut clicked } else { &mut changed }.extend(commit.links);
        }
        let changed: Vec<LinkKey> = changed.into_iter().collect();
        for keys in changed.chunks(LINKS_PER_STATEMENT_MAX) {
            let rows = directory.get_as_of(keys).await?.into_iter();
            let write = |(row, as_of)| link_write(&Target::from(row), as_of);
            let writes: Vec<Write> = rows.filter_map(write).collect();
            self.links.set_if_newer(&writes).await?;
        }
        let clicked: Vec<LinkKey> = clicked.into_iter().collect();
        for keys in clicked.chunks(LINKS_PER_STATEMENT_MAX) {
            let totals = statistics.totals_as_of(keys).await?.into_iter();
            let write = |(key, (totals, as_of))| totals_write(&key, totals, as_of);
            let writes: Vec<Write> = totals.map(write).collect();
            self.totals.set_if_newer(&writes).await?;
        }
        Ok(())
    }
}
