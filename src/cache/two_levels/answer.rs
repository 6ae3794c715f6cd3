//! What is asked of a cache, and what it answers.

use std::sync::Arc;

use super::super::level1::Tags;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<V> {
    /// `None`: there is no value.
    pub value: Option<V>,
    /// The last change that is in it; of two values, the one with the greater position is newer.
    pub position: u64,
    /// Everything up to here is accounted for.
    pub as_of: u64,
    /// When the value itself is over, in milliseconds since 1970.
    pub ends_ms: u64,
    /// Under what it can be made invalid.
    pub tags: Tags,
}

impl<V> Loaded<V> {
    /// A value whose last change was at this position.
    #[must_use]
    pub fn value(value: V, position: u64) -> Self {
        Self { value: Some(value), position, as_of: position, ends_ms: u64::MAX, tags: None }
    }

    /// It is known that there is no value, up to this position.
    #[must_use]
    pub fn absent(position: u64) -> Self {
        Self { value: None, position, as_of: position, ends_ms: u64::MAX, tags: None }
    }

    /// It accounts for everything up to here, too.
    #[must_use]
    pub fn as_of(self, as_of: u64) -> Self {
        Self { as_of: as_of.max(self.position), ..self }
    }

    /// It is over then.
    #[must_use]
    pub fn until(self, ends_ms: u64) -> Self {
        Self { ends_ms, ..self }
    }

    /// It has tags.
    #[must_use]
    pub fn tagged<'a>(self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        let tags: Arc<[Box<str>]> = tags.into_iter().map(Box::from).collect();
        Self { tags: Some(tags).filter(|tags| !tags.is_empty()), ..self }
    }
}

/// What the first level has at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtHand<V> {
    /// The value.
    Value(V),
    /// It is known that there is none.
    Absent,
    /// Nothing that needs no further look: load it.
    Nothing,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<V> {
    /// `None`: there is no value.
    pub value: Option<V>,
    /// The last change that is in it.
    pub position: u64,
    /// It could not be found out whether it is still so.
    pub is_stale: bool,
}

/// The source does not answer: this is not "there is no value".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceAway(pub String);

/// There is no answer, not even a stale one. Try again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceAway),
    /// The source took too long.
    #[error("no answer in time")]
    TimedOut,
    /// Enough others ask the source.
    #[error("too many look things up at once")]
    Crowded,
    /// The source is older than what this process has seen.
    #[error("the source is behind")]
    Behind,
}

/// Who knows what has changed, whoever changed it. Whoever tells of a change tells the witness first, then
/// the cache.
pub trait Witness<K>: Send + Sync {
    /// The last change of a key that this process has seen; 0: it has seen none.
    fn newest(&self, key: &K) -> u64;

    /// Whether what others wrote of a key still holds, as far as this process has read: judged by all
    /// that it knows at one moment. To be sure that nobody is shown something older than what they have
    /// seen, it believes nothing that accounts for more than it has read itself, and remembers what
    /// the source brought beyond that.
    fn believes(&self, key: &K, position: u64, as_of: u64) -> bool;
}

/// For a cache whose entries nobody else changes: what stands in the second level holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct NobodyElse;

impl<K> Witness<K> for NobodyElse {
    fn newest(&self, _: &K) -> u64 {
        0
    }

    fn believes(&self, _: &K, _: u64, _: u64) -> bool {
        true
    }
}
