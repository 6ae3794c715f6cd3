//! The cache that all nodes share: where links lead, and how often they were clicked. Redis holds
//! nothing that can't be emptied at any moment; see `docs/decisions` for why nothing stale is
//! read from it.
//!
//! | key | value | version |
//! |---|---|---|
//! | `hoplog:<log>:l1.1:<domain>/<code>` | a link, see [`entry`] | the last event of topic LINKS that it accounts for |
//! | `hoplog:<log>:c1.1:<domain>/<code>` | its clicks so far | the last event of topic CLICKS that they account for |
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
use crate::cache::{Level2, Level2Error, Space, Write};

mod entry;
mod writer;

pub use writer::SharedCacheWriter;

/// How long an entry lives if nobody writes it again.
const TTL: Duration = Duration::from_hours(1);

/// How many commits may wait to be written: about ten seconds' worth.
const COMMITS_MAX: usize = 64;

/// How many loaded links may wait to be written.
const LOADED_MAX: usize = 4_096;

/// A link that was loaded from its source.
#[derive(Debug)]
struct Loaded {
    target: Arc<Target>,
    as_of: Sequence,
}

/// What this node reads from the shared cache, and hands over to be written.
#[derive(Debug, Clone)]
pub struct SharedCache {
    level2: Arc<Level2>,
    links: Space,
    totals: Space,
    commits: mpsc::Sender<Commit>,
    loaded: mpsc::Sender<Loaded>,
}

impl SharedCache {
    /// The entries of a log, and the task that writes them.
    #[must_use]
    pub fn new(level2: Arc<Level2>, log: LogId) -> (Self, SharedCacheWriter) {
        // The random half of the id.
        let log = log.0.as_u64_pair().1;
        let space = |prefix: String| Space::new(Arc::clone(&level2), &prefix, TTL);
        let links = space(format!("hoplog:{log:016x}:l1.{}:", link_directory::VERSION));
        let totals = space(format!("hoplog:{log:016x}:c1.{}:", click_statistics::VERSION));
        let (commits, committed) = mpsc::channel(COMMITS_MAX);
        let (loaded, offered) = mpsc::channel(LOADED_MAX);
        let shared = Self { level2, links, totals, commits, loaded };
        let writer = SharedCacheWriter::new(&shared, committed, offered);
        (shared, writer)
    }

    /// The connection.
    #[must_use]
    pub fn level2(&self) -> &Level2 {
        &self.level2
    }

    /// A link, and the last event that the entry accounts for. Whoever asks has to judge whether
    /// that is enough. What can't be read is not there.
    pub async fn link(&self, key: &LinkKey) -> Option<(Target, Sequence)> {
        let entry = self.links.get(&key.to_string()).await.ok().flatten()?;
        let target = entry::decode_link(key, &entry.value)?;
        Some((target, Sequence(entry.version)))
    }

    /// Hands over a link that was loaded from its source, to be written if there is time.
    pub fn offer(&self, target: Arc<Target>, as_of: Sequence) {
        if self.loaded.try_send(Loaded { target, as_of }).is_err() {
            dropped("loaded");
        }
    }

    /// Writes a link now, in the place of whatever is older.
    ///
    /// # Errors
    /// When Redis can't be reached: what is there lives for an hour at most.
    pub async fn put(&self, target: &Target, as_of: Sequence) -> Result<(), Level2Error> {
        let write = link_write(target, as_of);
        self.links.set_if_newer(write.as_slice()).await.map(drop)
    }

    /// The clicks of a link, if the entry accounts for everything up to a position of topic CLICKS.
    pub async fn totals(&self, key: &LinkKey, at_least: Sequence) -> Option<ClickTotals> {
        let entry = self.totals.get(&key.to_string()).await.ok().flatten()?;
        let is_new_enough = Sequence(entry.version) >= at_least;
        entry::decode_totals(&entry.value).filter(|_| is_new_enough)
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

fn link_write(target: &Target, as_of: Sequence) -> Option<Write> {
    let value = entry::encode_link(target)?;
    Some(Write::value(target.key.to_string(), as_of.0, &value))
}

fn totals_write(key: &LinkKey, totals: ClickTotals, as_of: Sequence) -> Write {
    Write::value(key.to_string(), as_of.0, &entry::encode_totals(totals))
}

#[cfg(test)]
mod tests;
