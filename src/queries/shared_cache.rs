//! The cache that all nodes share: where links lead, and how often they were clicked. Redis holds
//! nothing that can't be emptied at any moment; see `docs/decisions` for why nothing stale is
//! read from it.
//!
//! | key | value | version |
//! |---|---|---|
//! | `hoplog:<log>:l7.8:<domain>/<code>` | a link, see [`entry`] and the cache's `shared` | the last event of topic LINKS that it accounts for |
//! | `hoplog:<log>:c1.5:<domain>/<code>` | its clicks so far | the last event of topic CLICKS that they account for |
//!
//! A position means nothing in another log, so a log's entries are its own. The numbers behind the
//! letter are the versions of the value's form and of the read model it comes from.

use std::sync::Arc;
use std::time::Duration;

use hoplog_events::link::LinkKey;
use hoplog_events::position::{LogId, Sequence};
use hoplog_projections::click_statistics::{self, ClickTotals};
use hoplog_projections::commit::{Commit, CommitListener};
use hoplog_projections::link_directory;
use tokio::sync::mpsc;

use super::resolve_link::Target;
use crate::cache::{Level2, SharedLevel, Space, Write};

mod entry;
mod writer;

pub use writer::SharedCacheWriter;

/// How long an entry lives if nobody writes it again.
const TTL: Duration = Duration::from_hours(1);

/// How many commits may wait to be written: about ten seconds' worth.
const COMMITS_MAX: usize = 64;

/// Where links are shared.
pub type SharedLinks = SharedLevel<LinkKey, Arc<Target>>;

/// What this node reads from the shared cache, and hands over to be written.
#[derive(Debug, Clone)]
pub struct SharedCache {
    level2: Arc<Level2>,
    links: SharedLinks,
    totals: Space,
    commits: mpsc::Sender<Commit>,
}

impl SharedCache {
    /// The entries of a log, and the task that writes them.
    #[must_use]
    pub fn new(level2: Arc<Level2>, log: LogId) -> (Self, SharedCacheWriter) {
        // The random half of the id.
        let log = log.0.as_u64_pair().1;
        let prefix = format!("hoplog:{log:016x}:l7.{}:", link_directory::VERSION);
        let links = SharedLinks::new(&level2, &prefix, TTL, Arc::new(entry::LinkForm));
        let prefix = format!("hoplog:{log:016x}:c1.{}:", click_statistics::VERSION);
        let totals = Space::new(Arc::clone(&level2), &prefix, TTL);
        let (commits, committed) = mpsc::channel(COMMITS_MAX);
        let writer = SharedCacheWriter::new(totals.clone(), committed);
        (Self { level2, links, totals, commits }, writer)
    }

    /// The connection.
    #[must_use]
    pub fn level2(&self) -> &Level2 {
        &self.level2
    }

    /// Where links are shared: the second level of a cache of links.
    #[must_use]
    pub fn links(&self) -> &SharedLinks {
        &self.links
    }

    /// The clicks of a link, if the entry accounts for everything up to a position of topic CLICKS.
    pub async fn totals(&self, key: &LinkKey, at_least: Sequence) -> Option<ClickTotals> {
        let entry = self.totals.get(&key.to_string()).await.ok().flatten()?;
        let is_new_enough = Sequence(entry.version) >= at_least;
        entry::decode_totals(&entry.value?).filter(|_| is_new_enough)
    }
}

impl CommitListener for SharedCache {
    /// What finds no place in the queue is not written. Nobody is misled by that: what an entry
    /// accounts for stands in it.
    fn committed(&self, commit: Commit) {
        let is_shared = [link_directory::NAME, click_statistics::NAME].contains(&commit.projection);
        if is_shared && self.commits.try_send(commit).is_err() {
            dropped("committed");
        }
    }
}

/// Counts what was not handed over.
fn dropped(what: &'static str) {
    metrics::counter!("hoplog_shared_cache_dropped_total", "what" => what).increment(1);
}

fn totals_write(key: &LinkKey, totals: ClickTotals, as_of: Sequence) -> Write {
    Write::value(key.to_string(), as_of.0, &entry::encode_totals(totals))
}

#[cfg(test)]
mod tests;
