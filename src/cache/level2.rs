//! The second level: Redis, shared by all nodes. Keys, bytes, versions, lifetimes.
//!
//! An entry is one string: its version (8 bytes, highest first), one byte that tells a value
//! from a tombstone, the value. Version and value are never read or written apart.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;

mod connection;
mod rankings;
mod script;
#[cfg(test)]
mod tests;

pub use connection::{AddressError, Level2, Level2Address};
pub use rankings::{Added, Addition, Answer, Member, Rankings, SCORE_MAX, SetAdditions};

/// How many entries one call reads or writes.
const ENTRIES_PER_CALL: usize = 100;

/// The bytes before the value.
const HEADER_BYTES: usize = 9;

/// What the last byte of the header says.
const TOMBSTONE: u8 = 0;
const VALUE: u8 = 1;

/// A call that came to nothing: go on to the source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Level2Error {
    /// There is no connection. Nothing was sent.
    #[error("away")]
    Away,
    /// The deadline passed. What was to be written may have been written.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke, or Redis refused.
    #[error("{0}")]
    Failed(String),
}

/// A value and the version it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The version.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// What is to be kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    key: String,
    /// As it is kept: header and value.
    bytes: Vec<u8>,
}

impl Write {
    /// A value.
    #[must_use]
    pub fn value(key: String, version: u64, value: &[u8]) -> Self {
        Self { key, bytes: encode(version, VALUE, value) }
    }

    /// Nothing: no value of this version or an older one is kept until the tombstone has lived.
    #[must_use]
    pub fn tombstone(key: String, version: u64) -> Self {
        Self { key, bytes: encode(version, TOMBSTONE, &[]) }
    }
}

/// The keys of one kind of value.
#[derive(Debug, Clone)]
pub struct Space {
    level2: Arc<Level2>,
    prefix: Box<str>,
    ttl: Duration,
}

impl Space {
    /// Keys that begin with `prefix`, which names the kind of value and the version of its form:
    /// another form is another space, and never misread. Each entry lives for `ttl` less up to a
    /// tenth, by chance, so that what was written together does not end together.
    #[must_use]
    pub fn new(level2: Arc<Level2>, prefix: &str, ttl: Duration) -> Self {
        Self { level2, prefix: prefix.into(), ttl }
    }

    /// The value of a key. What is there in another form is not there.
    ///
    /// # Errors
    /// When Redis can't be asked: go on to the source.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, Level2Error> {
        Ok(self.get_many(&[key]).await?.pop().flatten())
    }

    /// The values of some keys, in their order.
    ///
    /// # Errors
    /// When Redis can't be asked: go on to the source.
    pub async fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Entry>>, Level2Error> {
        let mut entries = Vec::with_capacity(keys.len());
        for keys in keys.chunks(ENTRIES_PER_CALL) {
            // One GET for each key, not MGET: keys of a cluster may lie in different slots.
            let mut pipeline = redis::pipe();
            for key in keys {
                pipeline.get(self.full(key));
            }
            let found: Vec<Option<Bytes>> = self.level2.call("get", &pipeline).await?;
            let hits = found.iter().flatten().count();
            count("hoplog_shared_cache_hits_total", hits);
            count("hoplog_shared_cache_misses_total", found.len() - hits);
            entries.extend(found.into_iter().map(|bytes| bytes.and_then(decode)));
        }
        Ok(entries)
    }

    /// Keeps what is newer than what is there. Returns how many were kept.
    ///
    /// # Errors
    /// When Redis can't be reached; the first ones may have been kept then.
    pub async fn set_if_newer(&self, writes: &[Write]) -> Result<usize, Level2Error> {
        let mut kept = 0;
        for writes in writes.chunks(ENTRIES_PER_CALL) {
            let entries = writes.iter().map(|write| {
                let ttl_ms = u64::try_from(self.lifetime().as_millis()).unwrap_or(u64::MAX);
                (self.full(&write.key), write.bytes.as_slice(), ttl_ms)
            });
            kept += script::set_if_newer(&self.level2, entries).await?;
        }
        Ok(kept)
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.level2.is_away()
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn lifetime(&self) -> Duration {
        self.ttl.mul_f64(1.0 - rand::rng().random_range(0.0..0.1))
    }
}

fn count(name: &'static str, n: usize) {
    metrics::counter!(name).increment(n as u64);
}

fn encode(version: u64, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(value);
    bytes
}

/// `None`: a tombstone, or nothing of ours.
fn decode(mut bytes: Bytes) -> Option<Entry> {
    let (version, rest) = bytes.split_first_chunk()?;
    let version = u64::from_be_bytes(*version);
    if *rest.first()? != VALUE {
        return None;
    }
    Some(Entry { version, value: bytes.split_off(HEADER_BYTES) })
}
