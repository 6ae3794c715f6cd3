//! What builds of several projections read of a topic at the same time: read and decoded once.
//!
//! ```text
//! clicks            ─────► batch 7 ─┐
//! click_statistics  ─────► batch 7 ─┼─ kept until all that come by have taken it
//! top_links         ───────► batch 8, waits a while before it reads batch 9
//! ```
//!
//! No build needs another one: who finds nothing kept reads by itself, and nobody waits for one that
//! stands still.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::{Sequence, Topic};
use tokio::sync::{Notify, OnceCell};

use crate::runner::{Batch, WorkerError};

/// How many batches are kept for those who are behind.
const KEPT_MAX: usize = 2;

/// How long a build waits for one that is behind and does not come nearer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read for builds of this process.
#[derive(Debug)]
pub(crate) struct SharedReads {
    state: Mutex<State>,
    moved: Notify,
    patience: Duration,
}

impl Default for SharedReads {
    fn default() -> Self {
        Self::new(PATIENCE)
    }
}

#[derive(Debug, Default)]
struct State {
    builds: BTreeMap<u64, Standing>,
    kept: Vec<Kept>,
    last: u64,
}

/// How far a build has read.
#[derive(Debug)]
struct Standing {
    topic: Topic,
    begun: Instant,
    after: Sequence,
    moved: Instant,
}

/// A batch, or one that somebody is reading.
#[derive(Debug)]
struct Kept {
    from: Begin,
    /// Before it was read.
    begun: Instant,
    batch: Arc<OnceCell<Batch>>,
}

/// Where a batch begins, and how large it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) topic: Topic,
    pub(super) after: Sequence,
    pub(super) bytes_wanted: usize,
}

/// The part of one build; it ends with this.
#[derive(Debug)]
pub(super) struct Reading {
    shared: Arc<SharedReads>,
    build: u64,
}

impl SharedReads {
    fn new(patience: Duration) -> Self {
        Self { state: Mutex::default(), moved: Notify::new(), patience }
    }

    /// A build that begins now: it gets nothing that was read before, as an erasure may have
    /// rewritten that.
    pub(super) fn begin(self: &Arc<Self>, topic: Topic, after: Sequence) -> Reading {
        let mut state = self.lock();
        state.last += 1;
        let (build, now) = (state.last, Instant::now());
        state.builds.insert(build, Standing { topic, begun: now, after, moved: now });
        Reading { shared: Arc::clone(self), build }
    }

    /// Nothing panics while it is held; if it did, what is kept is of no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether it begins there, and was read after a build began.
    fn is_for(&self, standing: &Standing, from: Begin) -> bool {
        self.from == from && self.begun >= standing.begun
    }
}

impl State {
    /// The batch that begins there, or a place for it; `None`: somebody who is behind comes first.
    fn take(
        &mut self,
        build: u64,
        from: Begin,
        patience: Duration,
    ) -> Option<Arc<OnceCell<Batch>>> {
        self.reach(build, from.after);
        let standing = self.builds.get(&build)?;
        if let Some(kept) = self.kept.iter().find(|kept| kept.is_for(standing, from)) {
            return Some(Arc::clone(&kept.batch));
        }
        // What a build read before this one began is of no use to those that begin later.
        self.kept.retain(|kept| kept.from != from);
        if self.kept.len() >= KEPT_MAX {
            if self.is_followed(build, patience) {
                return None;
            }
            // Those who are behind stand still, or are further behind than anything that is kept.
            self.kept.remove(0);
        }
        let batch = Arc::default();
        self.kept.push(Kept { from, begun: Instant::now(), batch: Arc::clone(&batch) });
        Some(batch)
    }

    /// Whether another build than this one goes on with a batch that is kept.
    fn is_followed(&self, by_others_than: u64, patience: Duration) -> bool {
        let mut others = self.builds.iter().filter(|(build, _)| **build != by_others_than);
        others.any(|(_, standing)| {
            let is_next = |kept: &Kept| {
                let from = Begin { topic: standing.topic, after: standing.after, ..kept.from };
                kept.is_for(standing, from)
            };
            standing.moved.elapsed() < patience && self.kept.iter().any(is_next)
        })
    }

    /// Notes how far a build is, and drops what nobody will take.
    fn reach(&mut self, build: u64, after: Sequence) {
        if let Some(standing) = self.builds.get_mut(&build)
            && standing.after != after
        {
            (standing.after, standing.moved) = (after, Instant::now());
        }
        self.drop_taken();
    }

    fn drop_taken(&mut self) {
        let builds = &self.builds;
        self.kept.retain(|kept| {
            let wants = |standing: &Standing| {
                standing.topic == kept.from.topic && standing.after <= kept.from.after
            };
            builds.values().any(wants)
        });
    }

    fn forget(&mut self, from: Begin) {
        self.kept.retain(|kept| kept.from != from);
    }
}

impl Reading {
    /// The batch that begins there: what another build has read, or what `read` gives.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) async fn batch(
        &self,
        from: Begin,
        read: impl Future<Output = Result<Vec<RecordedEvent>, WorkerError>> + Send,
    ) -> Result<Batch, WorkerError> {
        let place = self.place(from).await;
        let batch = place.get_or_try_init(|| async { read.await.map(Batch::from) }).await.cloned();
        let mut state = self.shared.lock();
        match batch.as_ref().ok().and_then(|batch| batch.events().last()) {
            Some(last) => state.reach(self.build, last.position.sequence),
            // There may be more the next time.
            None => state.forget(from),
        }
        drop(state);
        self.shared.moved.notify_waiters();
        batch
    }

    async fn place(&self, from: Begin) -> Arc<OnceCell<Batch>> {
        loop {
            let moved = self.shared.moved.notified();
            tokio::pin!(moved);
            // From here on no call is missed.
            moved.as_mut().enable();
            if let Some(place) = self.shared.lock().take(self.build, from, self.shared.patience) {
                return place;
            }
            // Both outcomes are fine: somebody moved, or somebody does not.
            let _ = tokio::time::timeout(self.shared.patience, moved).await;
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.builds.remove(&self.build);
        state.drop_taken();
        drop(state);
        self.shared.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
