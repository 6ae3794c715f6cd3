//! Locks that one process at a time holds, whichever node it is on.
//!
//! A lock is a key with the name of its holder, drawn at random, that ends by itself; only the holder
//! renews it or gives it back. A process may be held up for longer than its lock lives, and a Redis that
//! was emptied gives a lock twice. So a lock only saves work; what it protects has to check the fence: a
//! number that grows with every holder. A Redis that has lost the last one begins with a greater number
//! all the same, as fences are counted from the time.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use redis::Value;

use super::Level2Error;
use super::connection::Level2;

const TAKE: &str = include_str!("lock/take.lua");
const RENEW: &str = include_str!("lock/renew.lua");
const GIVE_BACK: &str = include_str!("lock/give_back.lua");

/// Locks whose keys begin with a prefix.
#[derive(Debug, Clone)]
pub struct Locks {
    level2: Arc<Level2>,
    prefix: Box<str>,
}

/// A lock that is held, as far as its holder knows.
#[derive(Debug)]
pub struct Lease {
    locks: Locks,
    name: String,
    holder: String,
    ttl: Duration,
    fence: u64,
}

impl Locks {
    /// Locks whose keys begin with `prefix`.
    #[must_use]
    pub fn new(level2: Arc<Level2>, prefix: &str) -> Self {
        Self { level2, prefix: prefix.into() }
    }

    /// Takes a lock for so long; `None`: somebody else holds it.
    ///
    /// # Errors
    /// When Redis can't be reached; it may have been taken then, until it ends.
    pub async fn take(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, Level2Error> {
        let holder = format!("{:032x}", rand::rng().random::<u128>());
        let answer = self.run("lock_take", TAKE, name, &holder, ttl).await?;
        let fence = redis::from_redis_value(answer)
            .map_err(|error| Level2Error::Failed(error.to_string()))?;
        let lease =
            |fence| Lease { locks: self.clone(), name: name.to_owned(), holder, ttl, fence };
        Ok(Some(fence).filter(|fence| *fence > 0).map(lease))
    }

    /// The keys stand in one slot of a cluster.
    async fn run(
        &self,
        call: &'static str,
        script: &str,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Value, Level2Error> {
        let (lock, fence) =
            (format!("{}{{{name}}}", self.prefix), format!("{}{{{name}}}:f", self.prefix));
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(2).arg(lock).arg(fence).arg(holder).arg(ttl_ms);
        self.level2.one(call, command).await
    }
}

impl Lease {
    /// Greater than that of every holder before.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Holds it for as long again; `false`: it is lost.
    ///
    /// # Errors
    /// When Redis can't be reached: it is held until it ends.
    pub async fn renew(&self) -> Result<bool, Level2Error> {
        let Self { locks, name, holder, ttl, .. } = self;
        let answer = locks.run("lock_renew", RENEW, name, holder, *ttl).await?;
        Ok(answer == Value::Int(1))
    }

    /// Gives it back, so that the next one need not wait for its end.
    ///
    /// # Errors
    /// When Redis can't be reached: it ends by itself.
    pub async fn give_back(&self) -> Result<(), Level2Error> {
        let Self { locks, name, holder, ttl, .. } = self;
        locks.run("lock_give_back", GIVE_BACK, name, holder, *ttl).await.map(|_| ())
    }
}
