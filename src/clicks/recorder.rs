//! The click recorder: many redirects hand over visits, a batch at a time reaches the log.
//!
//! A visit joins the batch that is open; two flushers take turns in closing it and appending it,
//! so that the next batch is gathered while one is being fsynced. Everybody in a batch waits for
//! one flag instead of a channel each.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoplog_events::log::EventLog;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::enrichment::Enricher;
use super::visit::Visit;
use crate::clock::Clock;
use crate::config::ClicksAck;

pub(crate) mod flush;
#[cfg(test)]
mod tests;

use flush::Flusher;

/// Visits that may wait for the log; further redirects wait for a place.
pub const QUEUE_VISITS_MAX: usize = 65_536;

/// How long a redirect waits for a place in the queue before it is refused.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// Batches on their way to the log at the same time.
const FLUSHERS: usize = 2;

/// How long visits are gathered when nobody waits for the disk: what a `kill -9` can cost.
const QUEUED_FLUSH_INTERVAL: Duration = Duration::from_millis(20);

/// Visits that end the gathering early.
const QUEUED_FLUSH_VISITS: usize = 2_000;

/// Why a visit was not recorded. Its redirect must not be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Try again later: the log can't be written, or the queue does not get shorter.
    #[error("clicks can't be recorded right now")]
    Unavailable,
}

const OPEN: u8 = 0;
const DURABLE: u8 = 1;
const FAILED: u8 = 2;

/// How a batch ended, for everybody who waits for it.
#[derive(Debug, Default)]
struct Fate {
    state: AtomicU8,
    decided: Notify,
}

impl Fate {
    fn decide(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.decided.notify_waiters();
    }

    async fn wait(&self) -> Result<(), RecordError> {
        loop {
            let decided = self.decided.notified();
            match self.state.load(Ordering::Acquire) {
                OPEN => decided.await,
                DURABLE => return Ok(()),
                _ => return Err(RecordError::Unavailable),
            }
        }
    }
}

/// The batch that visits join.
#[derive(Debug, Default)]
struct Batch {
    visits: Vec<Visit>,
    fate: Arc<Fate>,
}

/// What recorder and flushers share.
#[derive(Debug)]
struct Shared {
    open: Mutex<Batch>,
    /// Places in the queue.
    places: Semaphore,
    /// There is something to flush, or no longer anything to wait for.
    wake: Notify,
    closing: CancellationToken,
}

impl Shared {
    /// Closes the open batch and begins another.
    fn take(&self) -> Batch {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // The next batch is probably as large as this one.
        let visits = Vec::with_capacity(open.visits.len());
        std::mem::replace(&mut *open, Batch { visits, fate: Arc::default() })
    }

    fn waiting(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).visits.len()
    }
}

/// Records clicks. Close it to flush what is queued.
#[derive(Debug)]
pub struct ClickRecorder {
    shared: Arc<Shared>,
    ack: ClicksAck,
    flushers: Mutex<Vec<JoinHandle<()>>>,
}

impl ClickRecorder {
    /// A recorder that appends to a log.
    #[must_use]
    pub fn start(
        log: &Arc<dyn EventLog>,
        enricher: &Arc<Enricher>,
        clock: &Clock,
        ack: ClicksAck,
    ) -> Self {
        let shared = Arc::new(Shared {
            open: Mutex::default(),
            places: Semaphore::new(QUEUE_VISITS_MAX),
            wake: Notify::new(),
            closing: CancellationToken::new(),
        });
        let flushers = (0..FLUSHERS).map(|partition| {
            let (shared, enricher) = (Arc::clone(&shared), Arc::clone(enricher));
            let flusher = Flusher {
                shared,
                log: Arc::clone(log),
                enricher,
                clock: clock.clone(),
                ack,
                partition,
            };
            tokio::spawn(flusher.run())
        });
        let flushers = Mutex::new(flushers.collect());
        Self { shared, ack, flushers }
    }

    /// Records a visit. Resolves when it is as safe as the settings ask for: on the log, or in
    /// the queue.
    ///
    /// # Errors
    /// When it is not, and the redirect must not be answered.
    pub async fn record(&self, visit: Visit) -> Result<(), RecordError> {
        self.take_place().await?;
        let fate = {
            let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.visits.push(visit);
            Arc::clone(&open.fate)
        };
        self.shared.wake.notify_one();
        match self.ack {
            ClicksAck::Durable => fate.wait().await,
            ClicksAck::Queued => Ok(()),
        }
    }

    async fn take_place(&self) -> Result<(), RecordError> {
        if self.shared.closing.is_cancelled() {
            return Err(RecordError::Unavailable);
        }
        if let Ok(place) = self.shared.places.try_acquire() {
            place.forget();
            return Ok(());
        }
        match timeout(PLACE_TIMEOUT, self.shared.places.acquire()).await {
            Ok(Ok(place)) => {
                place.forget();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(RecordError::Unavailable),
        }
    }

    /// Flushes what is queued and stops. Later visits are refused.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        let flushers =
            std::mem::take(&mut *self.flushers.lock().unwrap_or_else(PoisonError::into_inner));
        for flusher in flushers {
            let _ = flusher.await;
        }
    }
}
