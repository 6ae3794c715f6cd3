//! What builds of several projections read of a topic at the same time: read and decoded once.
//!
//! ```text
//! clicks            ─────► batch 7 ─┐
//! click_statistics  ─────► batch 7 ─┼─ kept until all that come by have taken it
//! top_links         ───────► batch 8, waits a while before it reads batch 9
//! ```
//!
//! No build needs another one: who finds nothing kept reads by itself, and nobody waits for one that
//! stands still, or that is not about to take what he has left behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::{Sequence, Topic};
use tokio::sync::{Notify, OnceCell};

use crate::runner::{Batch, WorkerError};

/// How many batches of a topic are kept for those who are behind.
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

    /// Its last event; `None`: it is not read yet.
    fn end(&self) -> Option<Sequence> {
        self.batch.get()?.events().last().map(|event| event.position.sequence)
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
        let batch = Arc::default();
        if self.kept.iter().filter(|kept| kept.from.topic == from.topic).count() >= KEPT_MAX {
            let wanted = self.wanted(build, from.topic, patience);
            if wanted.iter().any(|kept| kept.end() == Some(from.after)) {
                return None;
            }
            let wanted: Vec<Begin> = wanted.into_iter().map(|kept| kept.from).collect();
            let is_left =
                |kept: &Kept| kept.from.topic == from.topic && !wanted.contains(&kept.from);
            // Who would take it stands still, or is further behind than anything that is kept.
            let Some(left) = self.kept.iter().position(is_left) else {
                // All places are for builds that are elsewhere: it is read for this one alone.
                return Some(batch);
            };
            self.kept.remove(left);
        }
        self.kept.push(Kept { from, begun: Instant::now(), batch: Arc::clone(&batch) });
        Some(batch)
    }

    /// What is kept of a topic and is about to be taken by other builds than this one.
    fn wanted(&self, by_others_than: u64, topic: Topic, patience: Duration) -> Vec<&Kept> {
        let others = self.builds.iter().filter(|(build, standing)| {
            **build != by_others_than
                && standing.topic == topic
                && standing.moved.elapsed() < patience
        });
        others.flat_map(|(_, standing)| self.way_of(standing)).collect()
    }

    /// The batches that are kept from where a build is on, one after the other.
    fn way_of<'a>(&'a self, standing: &'a Standing) -> impl Iterator<Item = &'a Kept> {
        let next = move |after| {
            let from = |kept: &Kept| Begin { topic: standing.topic, after, ..kept.from };
            self.kept.iter().find(|kept| kept.is_for(standing, from(kept)))
        };
        std::iter::successors(next(standing.after), move |kept| kept.end().and_then(next))
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
