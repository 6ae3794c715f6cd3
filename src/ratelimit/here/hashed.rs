//! Keys and their hashes.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::super::charge::Key;

/// Hashes keys with a secret of this process: nobody can choose addresses that come to the same place. If
/// somebody could, a request would look at no more subjects than a shard holds.
#[derive(Debug, Clone)]
pub(super) struct Hashing {
    state: DefaultHashBuilder,
    secret: u64,
}

/// A key whose hash is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hashed {
    pub(super) hash: u64,
    pub(super) key: Key,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self { state: DefaultHashBuilder::default(), secret: rand::random() }
    }

    #[inline]
    pub(super) fn hash(&self, key: &Key) -> u64 {
        self.state.hash_one((self.secret, key))
    }

    #[inline]
    pub(super) fn hashed(&self, key: Key) -> Hashed {
        Hashed { hash: self.hash(&key), key }
    }
}
