//! The block lists of the operator: read at the start, and again when they change.
//!
//! Each source has a list of its own, and is read by itself. One that can't be read keeps the list that it had; that is
//! told in the log, in metrics and by `/health/ready`. Whoever decides takes the lists that are there; nobody waits for a
//! reading, and no source for another one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::domain::blocklist::{BlockList, BlockLists};

mod read;
mod source;
#[cfg(test)]
mod tests;

use read::{Reading, ReadingError, Version};
pub use source::{Source, SourceError};

/// How soon a source is asked again that could not be read at the start, at most.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How long a server has for all of a list.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long it has while the start waits.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// To what part of it a list shrinks that is told: who feeds it may have lost the rest.
const SHRUNK_TO: usize = 10;

/// Where the lists are.
#[derive(Debug, Clone, Default)]
pub struct BlockListSettings {
    /// What lists.
    pub sources: Vec<Source>,
    /// How often they are looked at.
    pub reload: Duration,
}

/// Correct the file, or the setting.
#[derive(Debug, thiserror::Error)]
#[error("{place} can't be read: {reason}")]
pub struct BlockListError {
    place: Box<str>,
    reason: String,
}

/// The lists as they are now.
#[derive(Debug, Default)]
pub struct LiveBlockLists {
    settings: BlockListSettings,
    current: ArcSwap<BlockLists>,
    /// How often they have changed.
    changes: AtomicU64,
    /// What is known of each source.
    known: Mutex<Vec<Known>>,
}

/// What is known of a source.
#[derive(Debug, Default)]
struct Known {
    list: Arc<BlockList>,
    /// What it was read of; `None`: it never was.
    version: Option<Version>,
    failed: Option<String>,
    /// How the list is much shorter than the one before.
    shrunk: Option<String>,
}

impl LiveBlockLists {
    /// Reads all lists for the first time.
    ///
    /// # Errors
    /// When a file can't be read. A URL may come later: redirects do not wait long for somebody else's server.
    pub async fn open(settings: BlockListSettings) -> Result<Self, BlockListError> {
        let known = settings.sources.iter().map(|_| Known::default()).collect();
        let lists = Self { settings, known: Mutex::new(known), ..Self::default() };
        lists.read_all(START_PATIENCE).await;
        for (source, known) in lists.settings.sources.iter().zip(&*lists.known()) {
            if let (Source::File(_), Some(reason)) = (source, &known.failed) {
                return Err(BlockListError { place: source.name(), reason: reason.clone() });
            }
        }
        Ok(lists)
    }

    /// Where no link may lead now.
    #[must_use]
    pub fn current(&self) -> Arc<BlockLists> {
        self.current.load_full()
    }

    /// A number that is another one whenever the lists have changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// How often the lists are looked at: so long another node may have one of before.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.settings.reload
    }

    /// `ok`, or what can't be read or is much shorter than it was; `None`: there are no lists.
    #[must_use]
    pub fn status(&self) -> Option<String> {
        if self.settings.sources.is_empty() {
            return None;
        }
        let known = self.known();
        let told: Vec<_> = self.settings.sources.iter().zip(&*known).filter_map(told).collect();
        Some(if told.is_empty() { "ok".to_owned() } else { told.join("; ") })
    }

    /// Reads each list again in its time, and all at each signal, for as long as this is polled.
    pub async fn keep(&self, hangups: Option<Signal>) {
        let (hung_up, asked) = watch::channel(());
        let sources = 0..self.settings.sources.len();
        let kept = join_all(sources.map(|place| self.keep_one(place, asked.clone())));
        let told = async {
            if let Some(mut signal) = hangups {
                while signal.recv().await.is_some() {
                    hung_up.send_replace(());
                }
            }
        };
        tokio::join!(kept, told);
    }

    async fn keep_one(&self, place: usize, mut asked: watch::Receiver<()>) {
        loop {
            let is_missing = self.known().get(place).is_some_and(|known| known.version.is_none());
            let reload = self.settings.reload;
            let wait = if is_missing { reload.min(RETRY_INTERVAL) } else { reload };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                Ok(()) = asked.changed() => {}
            }
            self.read_again(place, PATIENCE).await;
        }
    }

    async fn read_all(&self, patience: Duration) {
        let sources = 0..self.settings.sources.len();
        join_all(sources.map(|place| self.read_again(place, patience))).await;
    }

    /// Reads a source, and takes its list as soon as it is there.
    async fn read_again(&self, place: usize, patience: Duration) {
        let Some(source) = self.settings.sources.get(place) else { return };
        let version = self.known().get(place).and_then(|known| known.version.clone());
        let reading = source.read(version.as_ref(), patience).await;
        let mut all = self.known();
        let Some(known) = all.get_mut(place) else { return };
        let (outcome, has_changed) = note(source, known, reading);
        metrics::counter!("hoplog_blocklist_reads_total", "outcome" => outcome).increment(1);
        if has_changed {
            let lists = BlockLists::of(all.iter().map(|known| Arc::clone(&known.list)));
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            metrics::gauge!("hoplog_blocklist_entries").set(lists.len() as f64);
            self.current.store(Arc::new(lists));
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Never held while something is read.
    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an operator should know of a source.
fn told((source, known): (&Source, &Known)) -> Option<String> {
    let reason = known.failed.as_ref().or(known.shrunk.as_ref())?;
    Some(format!("{}: {reason}", source.name()))
}

/// What became of a reading, and whether the list is another one now.
fn note(
    source: &Source,
    known: &mut Known,
    reading: Result<Option<Reading>, ReadingError>,
) -> (&'static str, bool) {
    match reading {
        Ok(None) => {
            known.failed = None;
            ("unchanged", false)
        }
        Ok(Some(reading)) => ("done", take(source, known, reading)),
        Err(error) => {
            tracing::error!(source = %source.name(), %error, "a block list can't be read; the one before stays in use");
            known.failed = Some(error.to_string());
            ("failed", false)
        }
    }
}

/// Whether the list is another one now.
fn take(source: &Source, known: &mut Known, Reading { list, version, bad }: Reading) -> bool {
    let (entries, bytes, before) = (list.len(), list.bytes(), known.list.len());
    tracing::info!(source = %source.name(), entries, bytes, bad_lines = bad, "a block list was read");
    known.failed = None;
    known.version = Some(version);
    if known.list == list {
        return false;
    }
    known.list = list;
    let has_shrunk = entries.saturating_mul(SHRUNK_TO) < before;
    if has_shrunk {
        tracing::warn!(source = %source.name(), entries, before, "a block list is much shorter than it was");
    }
    known.shrunk = has_shrunk.then(|| format!("it has {entries} entries, and had {before} before"));
    true
}
