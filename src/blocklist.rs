//! The block lists of the operator: read at the start, and again when they change.
//!
//! Each source has a list of its own. One that can't be read keeps the list that it had; that is told in the log, in
//! metrics and by `/health/ready`. Whoever decides takes the lists that are there; nobody waits for a reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::signal::unix::Signal;
use tokio::sync::Mutex;

use crate::domain::blocklist::{BlockList, BlockLists};

mod read;
mod source;
#[cfg(test)]
mod tests;

use read::{Reading, Version};
pub use source::{Source, SourceError};

/// How soon a source is asked again that could not be read at the start, at most.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How long a server has for all of a list.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long it has while the start waits.
const START_PATIENCE: Duration = Duration::from_secs(5);

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
    /// What can't be read, and why.
    failed: ArcSwapOption<String>,
    /// How often they have changed.
    changes: AtomicU64,
    /// What is known of each source; held while they are read.
    known: Mutex<Vec<Known>>,
}

/// What is known of a source.
#[derive(Debug, Default)]
struct Known {
    list: Arc<BlockList>,
    /// What it was read of; `None`: it never was.
    version: Option<Version>,
    failed: Option<String>,
}

impl LiveBlockLists {
    /// Reads all lists for the first time.
    ///
    /// # Errors
    /// When a file can't be read. A URL may come later: redirects do not wait long for somebody else's server.
    pub async fn open(settings: BlockListSettings) -> Result<Self, BlockListError> {
        let known = settings.sources.iter().map(|_| Known::default()).collect();
        let lists = Self { settings, known: Mutex::new(known), ..Self::default() };
        lists.read_again(START_PATIENCE).await;
        for (source, known) in lists.settings.sources.iter().zip(&*lists.known.lock().await) {
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

    /// `ok`, or what can't be read; `None`: there are no lists.
    #[must_use]
    pub fn status(&self) -> Option<String> {
        if self.settings.sources.is_empty() {
            return None;
        }
        Some(self.failed.load_full().map_or_else(|| "ok".to_owned(), |failed| (*failed).clone()))
    }

    /// Reads the lists again in their time, and at each signal, for as long as this is polled.
    pub async fn keep(&self, mut hangups: Option<Signal>) {
        loop {
            let is_missing = self.known.lock().await.iter().any(|known| known.version.is_none());
            let reload = self.settings.reload;
            let wait = if is_missing { reload.min(RETRY_INTERVAL) } else { reload };
            let hangup = async {
                match &mut hangups {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = hangup => {}
            }
            self.read_again(PATIENCE).await;
        }
    }

    async fn read_again(&self, patience: Duration) {
        let mut known = self.known.lock().await;
        let mut has_changed = false;
        for (source, known) in self.settings.sources.iter().zip(known.iter_mut()) {
            let outcome = match source.read(known.version.as_ref(), patience).await {
                Ok(None) => {
                    known.failed = None;
                    "unchanged"
                }
                Ok(Some(reading)) => {
                    has_changed |= take(source, known, reading);
                    "done"
                }
                Err(error) => {
                    tracing::error!(source = %source.name(), %error, "a block list can't be read; the one before stays in use");
                    known.failed = Some(error.to_string());
                    "failed"
                }
            };
            metrics::counter!("hoplog_blocklist_reads_total", "outcome" => outcome).increment(1);
        }
        self.tell_of_failures(&known);
        if has_changed {
            let lists = BlockLists::of(known.iter().map(|known| Arc::clone(&known.list)));
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            metrics::gauge!("hoplog_blocklist_entries").set(lists.len() as f64);
            self.current.store(Arc::new(lists));
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn tell_of_failures(&self, known: &[Known]) {
        let sources = self.settings.sources.iter().zip(known);
        let failed: Vec<_> = sources
            .filter_map(|(source, known)| {
                Some(format!("{}: {}", source.name(), known.failed.as_ref()?))
            })
            .collect();
        let failed = (!failed.is_empty()).then(|| Arc::new(failed.join("; ")));
        self.failed.store(failed);
    }
}

/// Whether the list is another one now.
fn take(source: &Source, known: &mut Known, Reading { list, version, bad }: Reading) -> bool {
    let (entries, bytes) = (list.len(), list.bytes());
    tracing::info!(source = %source.name(), entries, bytes, bad_lines = bad, "a block list was read");
    known.failed = None;
    known.version = Some(version);
    let is_new = known.list != list;
    if is_new {
        known.list = list;
    }
    is_new
}
