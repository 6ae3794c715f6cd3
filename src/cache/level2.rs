//! The second level: Redis, shared by all nodes. Keys, bytes, versions, lifetimes.
//!
//! An entry is one string: its version (8 bytes, highest first), one byte that tells a value
//! from a tombstone, the value. Version and value are never read or written apart. Every command
//! names one key (or keys of one slot), so that they work on a cluster as well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt;
use redis::Cmd;

use crate::redis_connection::{Refusal, Reply};

mod connection;
mod lock;
mod missed;
mod rankings;
mod script;
#[cfg(test)]
mod tests;

pub use connection::Level2;
pub use lock::{Lease, Locks};
pub use rankings::{Added, Addition, Answer, Member, Rankings, SCORE_MAX, SetAdditions};

use missed::MissedWrite;

/// How many entries one call reads or writes.
pub(super) const ENTRIES_PER_CALL: usize = 100;

/// The bytes before the value.
const HEADER_BYTES: usize = 9;

/// What the last byte of the header says.
const TOMBSTONE: u8 = 0;
const VALUE: u8 = 1;

const ADD: &str = "local n = redis.call('INCRBY', KEYS[1], ARGV[1]) \
                   redis.call('PEXPIRE', KEYS[1], ARGV[2]) return n";

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

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The version.
    pub version: u64,
    /// The value; `None`: a tombstone.
    pub value: Option<Bytes>,
}

/// What became of the question for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cache) enum Told {
    Entry(Entry),
    Nothing,
    /// What stands there is older than what this process could not write there yet.
    Missed {
        /// What it has to be at least.
        least: u64,
    },
    /// It can't be said what stands there.
    Refused(String),
}

/// What is to be kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    key: String,
    version: u64,
    is_tombstone: bool,
    /// As it is kept: header and value.
    bytes: Vec<u8>,
    /// How long, if that is less than entries live.
    ttl_ms: Option<u64>,
}

impl Write {
    /// A value.
    #[must_use]
    pub fn value(key: String, version: u64, value: &[u8]) -> Self {
        let bytes = encode(version, VALUE, value);
        Self { key, version, is_tombstone: false, bytes, ttl_ms: None }
    }

    /// Nothing: no value of this version or an older one is kept until the tombstone has lived.
    #[must_use]
    pub fn tombstone(key: String, version: u64) -> Self {
        let bytes = encode(version, TOMBSTONE, &[]);
        Self { key, version, is_tombstone: true, bytes, ttl_ms: None }
    }

    /// For so many milliseconds, if entries live for longer.
    #[must_use]
    pub fn at_most(self, ttl_ms: u64) -> Self {
        Self { ttl_ms: Some(ttl_ms), ..self }
    }
}

/// The keys of one kind of value.
#[derive(Debug, Clone)]
pub struct Space {
    level2: Arc<Level2>,
    prefix: Arc<str>,
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

    /// What stands under a key. What is there in another form is not there.
    ///
    /// # Errors
    /// When Redis can't be asked, or refuses: go on to the source.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, Level2Error> {
        match self.look_up(&[key]).await?.pop() {
            Some(Told::Entry(entry)) => Ok(Some(entry)),
            Some(Told::Refused(text)) => Err(Level2Error::Failed(text)),
            Some(Told::Nothing | Told::Missed { .. }) | None => Ok(None),
        }
    }

    /// What stands under some keys, in their order. What this process could not replace there yet, and
    /// what Redis refuses to say, is not there either.
    ///
    /// # Errors
    /// When Redis can't be asked: go on to the source.
    pub async fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Entry>>, Level2Error> {
        let entry = |told| match told {
            Told::Entry(entry) => Some(entry),
            Told::Nothing | Told::Missed { .. } | Told::Refused(_) => None,
        };
        Ok(self.look_up(keys).await?.into_iter().map(entry).collect())
    }

    /// What stands under some keys, or why that can't be said. Values are counted as hits; tombstones
    /// are neither found nor missed.
    pub(in crate::cache) async fn look_up(&self, keys: &[&str]) -> Result<Vec<Told>, Level2Error> {
        let all = self.ask(keys).await?;
        let of = |is: fn(&Told) -> bool| all.iter().filter(|told| is(told)).count();
        let is_hit = |told: &Told| matches!(told, Told::Entry(Entry { value: Some(_), .. }));
        count("hoplog_shared_cache_hits_total", of(is_hit));
        let is_miss = |told: &Told| matches!(told, Told::Nothing | Told::Missed { .. });
        count("hoplog_shared_cache_misses_total", of(is_miss));
        Ok(all)
    }

    /// The same of what is no value of anybody's: it is not counted.
    pub(in crate::cache) async fn ask(&self, keys: &[&str]) -> Result<Vec<Told>, Level2Error> {
        let mut all = Vec::with_capacity(keys.len());
        for keys in keys.chunks(ENTRIES_PER_CALL) {
            let keys: Vec<String> = keys.iter().map(|key| self.full(key)).collect();
            // One GET for each key, not MGET: keys of a cluster may lie in different slots.
            let get = |key: &String| {
                let mut command = redis::cmd("GET");
                command.arg(key);
                command
            };
            let commands: Vec<Cmd> = keys.iter().map(get).collect();
            let answers = self.level2.call("get", &commands).await?;
            all.extend(keys.iter().zip(answers).map(|(key, answer)| self.told(key, answer)));
        }
        Ok(all)
    }

    fn told(&self, key: &str, answer: Reply) -> Told {
        let value = match answer {
            Ok(value) => value,
            Err(refusal) => {
                refused("get", 1);
                return Told::Refused(refusal.text);
            }
        };
        let found = redis::from_redis_value::<Option<Bytes>>(value).ok().flatten();
        let least = self.level2.missed.least(&self.prefix, key, Instant::now());
        match found.and_then(decode) {
            Some(entry) if entry.version >= least => Told::Entry(entry),
            None if least == 0 => Told::Nothing,
            Some(_) | None => Told::Missed { least },
        }
    }

    /// Keeps what is newer than what is there. Returns how many were kept.
    ///
    /// # Errors
    /// When Redis can't be reached, or refuses some; the others may have been kept then.
    pub async fn set_if_newer(&self, writes: &[Write]) -> Result<usize, Level2Error> {
        let mut outcome = Outcome::default();
        for writes in writes.chunks(ENTRIES_PER_CALL) {
            let writes: Vec<MissedWrite> = writes.iter().map(|write| self.whole(write)).collect();
            for answer in script::set_if_newer(&self.level2, &writes).await? {
                outcome.note(answer);
            }
        }
        outcome.end()
    }

    /// The same for what must not be lost, as something older may stand there: what Redis does not
    /// take is kept here, and written before anybody reads there again.
    ///
    /// # Errors
    /// When Redis can't be reached, or refuses some.
    pub async fn set_in_any_case(&self, writes: &[Write]) -> Result<usize, Level2Error> {
        let (mut outcome, mut away) = (Outcome::default(), None);
        // All before the first call: what is forgotten during one is forgotten of the others as well.
        let writes: Vec<MissedWrite> = writes.iter().map(|write| self.whole(write)).collect();
        for writes in writes.chunks(ENTRIES_PER_CALL) {
            match script::set_if_newer(&self.level2, writes).await {
                Ok(answers) => {
                    for (write, answer) in writes.iter().cloned().zip(answers) {
                        self.level2.settle(write, answer.is_ok());
                        outcome.note(answer);
                    }
                }
                Err(error) => {
                    self.level2.missed.keep(writes.to_vec(), Instant::now());
                    away = Some(error);
                }
            }
        }
        away.map_or_else(|| outcome.end(), Err)
    }

    /// What could not be written yet is not to be written any more.
    pub(in crate::cache) fn forget_missed(&self) {
        self.level2.missed.forget(&self.prefix);
    }

    /// Adds to a number that everybody shares, and gives what it is then. One that nobody adds to
    /// for as long as entries live is 0 again. A call that fails may have been done.
    ///
    /// # Errors
    /// When Redis can't be reached, or holds no number there.
    pub async fn add(&self, key: &str, by: i64) -> Result<i64, Level2Error> {
        let numbers = self.add_many(&[(key, by)]).await?;
        numbers.into_iter().next().ok_or_else(|| Level2Error::Failed("no answer".into()))
    }

    /// The same for several, in their order.
    ///
    /// # Errors
    /// When Redis can't be reached, or holds no number under one of the keys; the others may have been
    /// added to.
    pub async fn add_many(&self, additions: &[(&str, i64)]) -> Result<Vec<i64>, Level2Error> {
        let mut numbers = Vec::with_capacity(additions.len());
        for additions in additions.chunks(ENTRIES_PER_CALL) {
            let commands: Vec<Cmd> =
                additions.iter().map(|(key, by)| self.addition(key, *by)).collect();
            for answer in self.level2.call("add", &commands).await? {
                let value = answer.map_err(|refusal| {
                    refused("add", 1);
                    Level2Error::Failed(refusal.text)
                })?;
                let number = redis::from_redis_value(value);
                numbers.push(number.map_err(|_| Level2Error::Failed("no number".into()))?);
            }
        }
        Ok(numbers)
    }

    /// Raises what one name has under each key, as a script says.
    pub(super) async fn raise_many(
        &self,
        script: &str,
        name: &str,
        counts: &[(&str, u64)],
    ) -> Result<(), Level2Error> {
        let raise = |(key, count): &(&str, u64)| {
            let mut command = redis::cmd("EVAL");
            command.arg(script).arg(1).arg(self.full(key));
            command.arg(name).arg(*count).arg(self.lifetime_ms());
            command
        };
        let commands: Vec<Cmd> = counts.iter().map(raise).collect();
        let refused = self.level2.call("raise", &commands).await?.into_iter().find_map(Result::err);
        refused.map_or(Ok(()), |refusal| Err(Level2Error::Failed(refusal.text)))
    }

    /// The sum of what all names have under a key.
    pub(super) async fn sum(&self, key: &str) -> Result<u64, Level2Error> {
        let mut command = redis::cmd("HVALS");
        command.arg(self.full(key));
        let counts = redis::from_redis_value::<Vec<u64>>(self.level2.one("sum", command).await?);
        let counts = counts.map_err(|error| Level2Error::Failed(error.to_string()))?;
        Ok(counts.into_iter().sum())
    }

    /// Number and lifetime in one step.
    fn addition(&self, key: &str, by: i64) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(ADD).arg(1).arg(self.full(key)).arg(by).arg(self.lifetime_ms());
        command
    }

    fn whole(&self, write: &Write) -> MissedWrite {
        MissedWrite {
            space: Arc::clone(&self.prefix),
            key: self.full(&write.key),
            version: write.version,
            is_tombstone: write.is_tombstone,
            bytes: write.bytes.clone(),
            ttl_ms: write.ttl_ms.unwrap_or(u64::MAX).min(self.lifetime_ms()).max(1),
            matters_for: self.ttl,
            era: self.level2.missed.era(&self.prefix),
        }
    }

    /// The connection.
    #[must_use]
    pub fn level2(&self) -> &Arc<Level2> {
        &self.level2
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.level2.is_away()
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn lifetime_ms(&self) -> u64 {
        let ttl = self.ttl.mul_f64(1.0 - rand::rng().random_range(0.0..0.1));
        u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

/// How many writes were kept, and why others were refused.
#[derive(Default)]
struct Outcome {
    kept: usize,
    refusal: Option<String>,
}

impl Outcome {
    fn note(&mut self, answer: Result<bool, Refusal>) {
        match answer {
            Ok(is_kept) => self.kept += usize::from(is_kept),
            Err(refusal) => self.refusal = Some(refusal.text),
        }
    }

    fn end(self) -> Result<usize, Level2Error> {
        self.refusal.map_or(Ok(self.kept), |text| Err(Level2Error::Failed(text)))
    }
}

fn count(name: &'static str, n: usize) {
    metrics::counter!(name).increment(n as u64);
}

/// Counts what Redis refused.
fn refused(call: &'static str, n: usize) {
    metrics::counter!("hoplog_shared_cache_errors_total", "call" => call).increment(n as u64);
}

fn encode(version: u64, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(value);
    bytes
}

/// `None`: nothing of ours.
fn decode(mut bytes: Bytes) -> Option<Entry> {
    let (version, rest) = bytes.split_first_chunk()?;
    let version = u64::from_be_bytes(*version);
    let value = match *rest.first()? {
        VALUE => Some(bytes.split_off(HEADER_BYTES)),
        TOMBSTONE => None,
        _ => return None,
    };
    Some(Entry { version, value })
}
