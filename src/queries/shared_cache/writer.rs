//! The task that writes into the shared cache after commits.

use std::collections::BTreeSet;
use std::sync::Arc;

use hoplog_events::link::LinkKey;
use hoplog_events::position::{Sequence, Version};
use hoplog_projections::DatabaseError;
use hoplog_projections::click_statistics::{self, ClickStatistics};
use hoplog_projections::commit::Commit;
use hoplog_projections::link_directory::{LINKS_PER_STATEMENT_MAX, LinkDirectory, LinkRow};
use tokio::sync::mpsc;

use super::{COMMITS_MAX, dropped, totals_write};
use crate::cache::{Level2Error, Loaded, Space, Write};
use crate::clock::Clock;
use crate::queries::resolve_link::{LinkCache, Target, loaded, millis};

/// Writes what a [`SharedCache`](super::SharedCache) is told of. Links that can't be written are kept by
/// the cache until they can; of clicks a later commit writes something newer.
#[derive(Debug)]
pub struct SharedCacheWriter {
    totals: Space,
    commits: mpsc::Receiver<Commit>,
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
    pub(super) fn new(totals: Space, commits: mpsc::Receiver<Commit>) -> Self {
        Self { totals, commits }
    }

    /// Writes for as long as somebody may hand something over. What is written after a commit is
    /// read from the read models, so that it is whole, with the position it accounts for.
    pub async fn run(
        mut self,
        directory: LinkDirectory,
        statistics: ClickStatistics,
        (links, clock): (LinkCache, Clock),
    ) {
        loop {
            let mut commits = Vec::new();
            if self.commits.recv_many(&mut commits, COMMITS_MAX).await == 0 {
                return;
            }
            // Links that changed in several commits are written once.
            let (mut changed, mut clicked) = (BTreeSet::new(), BTreeSet::new());
            for commit in commits {
                let is_clicks = commit.projection == click_statistics::NAME;
                if is_clicks { &mut clicked } else { &mut changed }.extend(commit.links);
            }
            let now_ms = millis(clock.now());
            let links = write_links(changed, &directory, &links, now_ms).await;
            let totals = self.write_totals(clicked, &statistics).await;
            for error in [links, totals].into_iter().filter_map(Result::err) {
                tracing::debug!(%error, "changes were not written to the shared cache");
                dropped("committed");
            }
        }
    }

    async fn write_totals(
        &self,
        clicked: BTreeSet<LinkKey>,
        statistics: &ClickStatistics,
    ) -> Result<(), WriteError> {
        if self.totals.is_away() && !clicked.is_empty() {
            // Nothing is read that can't be written.
            return Err(Level2Error::Away.into());
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

/// Changes also while Redis is away: what stands there is older, and has to be replaced before it is
/// read. Of a link that was just created nothing older can stand there.
async fn write_links(
    changed: BTreeSet<LinkKey>,
    directory: &LinkDirectory,
    links: &LinkCache,
    now_ms: u64,
) -> Result<(), WriteError> {
    let changed: Vec<LinkKey> = changed.into_iter().collect();
    let mut outcome = Ok(());
    for keys in changed.chunks(LINKS_PER_STATEMENT_MAX) {
        let rows = directory.get_as_of(keys).await?.into_iter();
        let (new, changed): (Vec<_>, Vec<_>) = rows.partition(|(row, _)| row.version == Version(1));
        let written = links.share_many(&entries(changed), now_ms).await;
        let offered = links.offer_many(&entries(new), now_ms).await;
        outcome = outcome.and(written).and(offered);
    }
    Ok(outcome?)
}

fn entries(rows: Vec<(LinkRow, Sequence)>) -> Vec<(LinkKey, Loaded<Arc<Target>>)> {
    let entry = |(row, as_of): (LinkRow, Sequence)| {
        let (key, changed) = (row.key.clone(), row.sequence);
        (key, loaded(Arc::new(Target::from(row)), changed, as_of))
    };
    rows.into_iter().map(entry).collect()
}
