//! One load: the second level, then the source.

use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};

use super::super::level2::Lease;
use super::desk::{Flying, Landed, Ticket};
use super::{Inner, LoadError, Loaded, SharedLevel, SourceAway, after};

/// How often the source is asked again because what it said was overtaken.
const ATTEMPTS: usize = 3;

/// How often is looked whether another node has loaded a hot key.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How to ask the source.
type Load<V> = Box<dyn Fn() -> BoxFuture<'static, Result<Loaded<V>, SourceAway>> + Send + Sync>;

/// What a load begins with.
struct Begin<V> {
    /// When it did, on two clocks.
    now_ms: u64,
    started: Instant,
    load: Load<V>,
}

impl<V> Begin<V> {
    fn now_ms(&self) -> u64 {
        after(self.now_ms, self.started.elapsed())
    }
}

impl<K, V> Inner<K, V>
where
    K: Eq + Hash + Clone + Display + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the load of a key, or begins one, which goes on whether anybody waits or not.
    pub(super) fn fly<F>(
        self: &Arc<Self>,
        key: &K,
        now_ms: u64,
        load: impl Fn() -> F + Send + Sync + 'static,
    ) -> Flying<V>
    where
        F: Future<Output = Result<Loaded<V>, SourceAway>> + Send + 'static,
    {
        let joined = self.desk.join(key, |ticket| {
            let (inner, key) = (Arc::clone(self), key.clone());
            let load: Load<V> = Box::new(move || load().boxed());
            let begin = Begin { now_ms, started: Instant::now(), load };
            async move { inner.load(&key, &begin, &ticket).await }.boxed()
        });
        if joined.is_first {
            let (inner, key, answer) = (Arc::clone(self), key.clone(), joined.answer.clone());
            let started = Instant::now();
            // Ends when the load does, which has a deadline.
            tokio::spawn(async move {
                let Ok(landed) = answer.await else { return };
                let lease = landed.lease.clone();
                inner.share(&key, landed, after(now_ms, started.elapsed())).await;
                give_back(lease.as_deref()).await;
            });
        } else {
            self.counts.coalesced.add_one();
        }
        joined.answer
    }

    async fn load(
        self: &Arc<Self>,
        key: &K,
        begin: &Begin<V>,
        ticket: &Ticket<K, V>,
    ) -> Result<Landed<V>, LoadError> {
        let Some(shared) = &self.shared else {
            return self.ask_source(key, begin, ticket).await;
        };
        if let Some(landed) = self.ask_shared(key, begin, ticket).await {
            return Ok(landed);
        }
        let is_hot = || ticket.waiting() >= self.options.hot_waiters || self.hot.contains_key(key);
        let landed = if !shared.is_away() && is_hot() {
            self.ask_once(shared, key, begin, ticket).await
        } else {
            self.ask_source(key, begin, ticket).await
        };
        if ticket.waiting() >= self.options.hot_waiters {
            // Most come while the source is asked: the next time it is known at once.
            self.hot.insert(key.clone(), ());
        }
        landed
    }

    /// Many wait: of all nodes one asks the source, if that does not take too long. It gives the lock
    /// back when others find what it has loaded.
    async fn ask_once(
        self: &Arc<Self>,
        shared: &SharedLevel<K, V>,
        key: &K,
        begin: &Begin<V>,
        ticket: &Ticket<K, V>,
    ) -> Result<Landed<V>, LoadError> {
        let (name, patience) = (key.to_string(), self.options.soft_timeout);
        let deadline = Instant::now() + patience;
        let lease = loop {
            let taken = shared.locks.take(&name, patience).await;
            // Who had it before may have shared what it loaded since this was looked for.
            if let Some(landed) = self.ask_shared(key, begin, ticket).await {
                give_back(taken.ok().flatten().as_ref()).await;
                return Ok(landed);
            }
            match taken {
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN).await,
                taken => break taken.ok().flatten(),
            }
        };
        match self.ask_source(key, begin, ticket).await {
            Ok(landed) => Ok(Landed { lease: lease.map(Arc::new), ..landed }),
            Err(error) => {
                give_back(lease.as_ref()).await;
                Err(error)
            }
        }
    }

    /// What others wrote down, if it can be told that it still holds.
    async fn ask_shared(
        self: &Arc<Self>,
        key: &K,
        begin: &Begin<V>,
        ticket: &Ticket<K, V>,
    ) -> Option<Landed<V>> {
        let stamp = self.marks.number();
        let loaded = self.look_in_shared(key).await?;
        let now_ms = begin.now_ms();
        self.is_believed(key, &loaded, now_ms)
            .then(|| ticket.land(self.hold(loaded, stamp, now_ms), false))?
    }

    /// Goes on without the second level if that is slow; the call goes on as well, so that its end
    /// is seen by the breaker.
    async fn look_in_shared(self: &Arc<Self>, key: &K) -> Option<Loaded<V>> {
        if self.shared.as_ref()?.is_away() {
            return None;
        }
        let (inner, asked) = (Arc::clone(self), key.clone());
        // Ends with the deadline of the call.
        let asking =
            tokio::spawn(async move { inner.shared.as_ref()?.get(&asked).await.ok().flatten() });
        tokio::time::timeout(self.options.level2_patience, asking).await.ok()?.ok()?
    }

    pub(super) fn is_believed(&self, key: &K, loaded: &Loaded<V>, now_ms: u64) -> bool {
        self.witness.believes(key, loaded.position, loaded.as_of)
            && self.marks.admits(loaded.as_of, &loaded.tags)
            && loaded.ends_ms > now_ms
    }

    /// So many at once at most: a source that is slow, or asked for what another level has lost, is not
    /// asked by everybody.
    async fn ask_source(
        self: &Arc<Self>,
        key: &K,
        begin: &Begin<V>,
        ticket: &Ticket<K, V>,
    ) -> Result<Landed<V>, LoadError> {
        let waited = tokio::time::timeout(self.options.soft_timeout, self.loads.acquire()).await;
        let _place = waited.ok().and_then(Result::ok).ok_or(LoadError::Crowded)?;
        for _ in 0..ATTEMPTS {
            self.counts.loads.add_one();
            let stamp = self.marks.number();
            let loaded = tokio::time::timeout(self.options.hard_timeout, (begin.load)()).await;
            let loaded = loaded.map_err(|_| LoadError::TimedOut).and_then(|loaded| Ok(loaded?));
            let loaded = loaded.inspect_err(|_| self.counts.failures.add_one())?;
            let is_admitted = self.marks.admits(loaded.as_of, &loaded.tags);
            if loaded.position < self.witness.newest(key) || !is_admitted {
                continue;
            }
            if let Some(landed) = ticket.land(self.hold(loaded, stamp, begin.now_ms()), true) {
                return Ok(landed);
            }
        }
        Err(LoadError::Behind)
    }
}

/// Without it the lock ends by itself.
async fn give_back(lease: Option<&Lease>) {
    if let Some(lease) = lease {
        let _ = lease.give_back().await;
    }
}
