//! The click recorder: many redirects hand over visits, a batch at a time reaches the log.
//!
//! A visit joins the batch that is open; two flushers take turns in closing it and appending it,
//! so that the next batch is gathered while one is being fsynced. Everybody in a batch waits for
//! one flag instead of a channel each.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoplog_events::click::ClicksData;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::enrichment::Enricher;
use super::lane::deliver::deliver;
use super::lane::{Lane, Outlet};
use super::spool::Spool;
use super::visit::Visit;
use crate::clock::Clock;
use crate::config::ClicksAck;

mod flush;
#[cfg(test)]
pub(super) mod tests;

use flush::Flusher;

/// Visits that may wait for the log; further redirects wait for a place.
pub const QUEUE_VISITS_MAX: usize = 65_536;

/// How long a redirect waits for a place in the queue before it is refused.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// Batches on their way to the log at the same time.
const FLUSHERS: u32 = 2;

/// How long visits are gathered when nobody waits for the disk: what a `kill -9` can cost.
const QUEUED_FLUSH_INTERVAL: Duration = Duration::from_millis(20);

/// Visits that end the gathering early.
const GATHERED_VISITS_MAX: usize = 2_000;

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

/// Records clicks. Close it to flush what is queued; dropping it ends its tasks where they are.
#[derive(Debug)]
pub struct ClickRecorder {
    shared: Arc<Shared>,
    ack: ClicksAck,
    flushers: Mutex<JoinSet<()>>,
    deliverers: Mutex<JoinSet<()>>,
    spool: Option<Arc<Spool>>,
}

impl ClickRecorder {
    /// A recorder that writes to an outlet, and delivers what its spool holds.
    #[must_use]
    pub fn start(outlet: &Outlet, enricher: &Arc<Enricher>, clock: &Clock, ack: ClicksAck) -> Self {
        let shared = Arc::new(Shared {
            open: Mutex::default(),
            places: Semaphore::new(QUEUE_VISITS_MAX),
            wake: Notify::new(),
            closing: CancellationToken::new(),
        });
        let (mut flushers, mut deliverers) = (JoinSet::new(), JoinSet::new());
        for number in lanes(outlet) {
            let lane = Arc::new(Lane::new(number, outlet, clock));
            if let Some(spool) = &outlet.spool {
                deliverers.spawn(deliver(Arc::clone(&lane), Arc::clone(spool)));
            }
            if number < FLUSHERS {
                let flusher = Flusher {
                    shared: Arc::clone(&shared),
                    lane,
                    refuse_after: outlet.bounds.refuse_after,
                    enricher: Arc::clone(enricher),
                    clock: clock.clone(),
                    ack,
                    data: ClicksData::default(),
                };
                flushers.spawn(flusher.run());
            }
        }
        let (flushers, deliverers) = (Mutex::new(flushers), Mutex::new(deliverers));
        Self { shared, ack, flushers, deliverers, spool: outlet.spool.clone() }
    }

    /// Records a visit. Resolves when it is as safe as the settings ask for: on the log, or in
    /// the queue.
    ///
    /// # Errors
    /// When it is not, and the redirect must not be answered.
    pub async fn record(&self, visit: Visit) -> Result<(), RecordError> {
        if !self.take_place()? {
            // Boxed: hardly anybody waits, and everybody would carry what waiting takes.
            Box::pin(self.wait_for_place()).await?;
        }
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

    /// Whether half of the queue is taken: what is worth less than a click goes elsewhere.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.shared.places.available_permits() < QUEUE_VISITS_MAX / 2
    }

    /// A place in the queue, if there is one at once.
    fn take_place(&self) -> Result<bool, RecordError> {
        if self.shared.closing.is_cancelled() {
            return Err(RecordError::Unavailable);
        }
        let place = self.shared.places.try_acquire();
        Ok(place.is_ok_and(|place| {
            place.forget();
            true
        }))
    }

    async fn wait_for_place(&self) -> Result<(), RecordError> {
        match timeout(PLACE_TIMEOUT, self.shared.places.acquire()).await {
            Ok(Ok(place)) => {
                place.forget();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(RecordError::Unavailable),
        }
    }

    /// Flushes what is queued, to the log or to the spool, and stops. Later visits are refused.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        let take = |tasks: &Mutex<JoinSet<()>>| {
            std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let mut flushers = take(&self.flushers);
        while flushers.join_next().await.is_some() {}
        // What still waits is delivered after the next start.
        let mut deliverers = take(&self.deliverers);
        deliverers.shutdown().await;
        if let Some(spool) = &self.spool {
            spool.close().await;
        }
    }
}

/// A lane for each flusher, and for what a version with more of them left in the spool.
fn lanes(outlet: &Outlet) -> impl Iterator<Item = u32> {
    let found = outlet.spool.iter().flat_map(|spool| spool.found());
    let left: Vec<u32> =
        found.map(|backlog| backlog.lane).filter(|lane| *lane >= FLUSHERS).collect();
    (0..FLUSHERS).chain(left)
}
