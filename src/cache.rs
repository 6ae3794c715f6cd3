//! Two levels of cache that know nothing of links. Every entry carries the version it comes from,
//! and only a newer version replaces an older, so that no slow reader undoes a write.
//!
//! ```text
//! Level1: this process, bounded ──miss──► Level2: Redis, shared by all nodes ──miss──► the source
//! ```
//!
//! The second level is a help, never a need: every call has a deadline, and while Redis is away
//! every call fails at once. Whoever uses it goes on to the source then.

mod level1;
mod level2;
#[cfg(test)]
#[path = "../tests/support/redis.rs"]
pub(crate) mod redis_server;

pub use level1::Level1;
pub use level2::{
    Added, Addition, AddressError, Answer, Entry, Level2, Level2Address, Level2Error, Member,
    Rankings, SCORE_MAX, SetAdditions, Space, Write,
};
