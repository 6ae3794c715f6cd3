//! Where clicks wait while the log is away: what is in the file, counted and told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use hoplog_events::spool::{
    Backlog, Lane as LaneNumber, SpoolError, SpoolFile, SpooledBatch, Ticket,
};
use tokio::sync::watch;

/// The spool of a node whose log is somewhere else.
#[derive(Debug)]
pub struct Spool {
    file: SpoolFile,
    waiting: Mutex<BTreeMap<LaneNumber, Waiting>>,
    /// Batches of all lanes.
    batches: watch::Sender<u64>,
    /// Whether the last attempt to deliver failed.
    away: AtomicBool,
    /// Whether the last batch was refused.
    full: AtomicBool,
    /// What was there at the start.
    found: Vec<Backlog>,
}

/// What waits in a lane.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    batches: u64,
    clicks: u64,
    since: DateTime<Utc>,
}

/// How the spool is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Batches that wait.
    pub batches: u64,
    /// Clicks in them.
    pub clicks: u64,
    /// Since when the oldest of them waits.
    pub since: Option<DateTime<Utc>>,
    /// Whether it takes no more: its bound is reached, or the disk fails.
    pub is_full: bool,
}

impl Spool {
    /// Opens the spool's file, or makes one that never holds more than `bytes_max`.
    ///
    /// # Errors
    /// See [`SpoolError`].
    pub async fn open(path: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        let file = SpoolFile::open(path, bytes_max).await?;
        let found = file.backlogs().await?;
        let waiting = found.iter().map(|lane| {
            let (batches, clicks, since) = (lane.batches, lane.clicks, lane.since);
            (lane.lane, Waiting { batches, clicks, since })
        });
        let spool = Self {
            file,
            waiting: Mutex::new(waiting.collect()),
            batches: watch::Sender::new(0),
            away: AtomicBool::new(false),
            full: AtomicBool::new(false),
            found,
        };
        spool.count(&spool.waiting());
        let SpoolStatus { batches, clicks, .. } = spool.status();
        if batches > 0 {
            tracing::warn!(batches, clicks, "the spool holds clicks of before the start");
        }
        Ok(spool)
    }

    /// How it is now.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        let waiting = self.waiting();
        SpoolStatus {
            batches: waiting.values().map(|lane| lane.batches).sum(),
            clicks: waiting.values().map(|lane| lane.clicks).sum(),
            since: waiting.values().map(|lane| lane.since).min(),
            is_full: self.full.load(Ordering::Relaxed),
        }
    }

    /// Sets the gauges.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
    pub fn measure(&self, now: DateTime<Utc>) {
        let status = self.status();
        let age = status.since.map_or(0, |since| (now - since).num_milliseconds().max(0));
        metrics::gauge!("hoplog_spool_batches").set(status.batches as f64);
        metrics::gauge!("hoplog_spool_clicks").set(status.clicks as f64);
        metrics::gauge!("hoplog_spool_oldest_seconds").set(age as f64 / 1_000.0);
    }

    /// Waits until nothing waits any more.
    pub async fn emptied(&self) {
        // The sender is here: waiting can't fail.
        let _ = self.batches.subscribe().wait_for(|batches| *batches == 0).await;
    }

    /// Whether the log is known to be away.
    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Notes whether the log could be reached. If so, the spool's fullness is of the past.
    pub(super) fn note_away(&self, is_away: bool) {
        self.away.store(is_away, Ordering::Relaxed);
        if !is_away {
            self.full.store(false, Ordering::Relaxed);
        }
    }

    /// What was in the file at the start.
    pub(super) fn found(&self) -> &[Backlog] {
        &self.found
    }

    /// Whether something of a lane waits.
    pub(super) fn has(&self, lane: LaneNumber) -> bool {
        self.waiting().contains_key(&lane)
    }

    /// Puts a batch behind those of its lane, durably.
    pub(super) async fn put(&self, batch: &SpooledBatch) -> Result<(), SpoolError> {
        let put = self.file.put(batch).await;
        let was_full = self.full.swap(put.is_err(), Ordering::Relaxed);
        if let Err(error) = &put
            && !was_full
        {
            tracing::error!(%error, "the spool takes no more clicks; make room on its disk");
        }
        put?;
        let clicks = u64::from(batch.clicks);
        let mut waiting = self.waiting();
        let lane = waiting.entry(batch.lane);
        let lane = lane.or_insert(Waiting { batches: 0, clicks: 0, since: batch.since });
        lane.batches += 1;
        lane.clicks += clicks;
        if self.count(&waiting) == 0 {
            tracing::warn!("the log is away: clicks go to the spool");
        }
        Ok(())
    }

    /// The first batch of a lane.
    pub(super) async fn first(
        &self,
        lane: LaneNumber,
    ) -> Result<Option<(Ticket, SpooledBatch)>, SpoolError> {
        let first = self.file.first(lane).await?;
        let mut waiting = self.waiting();
        if let (Some(waiting), Some((_, batch))) = (waiting.get_mut(&lane), &first) {
            waiting.since = batch.since;
        }
        Ok(first)
    }

    /// Takes a batch that is on the log out of the file. It still counts until it is
    /// [`forgotten`](Self::forget).
    pub(super) async fn remove(&self, ticket: Ticket) -> Result<(), SpoolError> {
        self.file.remove(ticket).await
    }

    /// Counts a removed batch no more; whether it was the last of its lane.
    pub(super) fn forget(&self, batch: &SpooledBatch) -> bool {
        let mut waiting = self.waiting();
        if let Some(lane) = waiting.get_mut(&batch.lane) {
            lane.batches = lane.batches.saturating_sub(1);
            lane.clicks = lane.clicks.saturating_sub(u64::from(batch.clicks));
        }
        waiting.retain(|_, lane| lane.batches > 0);
        self.full.store(false, Ordering::Relaxed);
        self.count(&waiting);
        !waiting.contains_key(&batch.lane)
    }

    /// Counts a lane no more of which the file has nothing.
    pub(super) fn forget_lane(&self, lane: LaneNumber) {
        let mut waiting = self.waiting();
        waiting.remove(&lane);
        self.count(&waiting);
    }

    /// Gives the disk back what is not used, once nothing waits.
    pub(super) async fn shrink_if_empty(&self) {
        if *self.batches.borrow() > 0 {
            return;
        }
        tracing::info!("the spool is delivered: clicks go to the log again");
        if let Err(error) = self.file.shrink().await {
            tracing::warn!(%error, "the spool's file could not be made smaller");
        }
    }

    /// Closes the file.
    pub(super) async fn close(&self) {
        self.file.close().await;
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<LaneNumber, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how many batches wait; how many did before.
    fn count(&self, waiting: &BTreeMap<LaneNumber, Waiting>) -> u64 {
        self.batches.send_replace(waiting.values().map(|lane| lane.batches).sum())
    }
}
