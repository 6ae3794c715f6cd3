//! Two levels of cache that know nothing of links. Every entry carries the position it comes from,
//! and only a newer one replaces an older, so that no slow reader undoes a write.
//!
//! ```text
//! TwoLevelCache: types, one load per key, time-outs, what may be stale
//!   ├─ level 1: this process, bounded
//!   ├─ level 2: Redis, shared by all nodes (a server, a cluster, or what Sentinels know)
//!   │             └─ behind a circuit breaker; what it misses meanwhile is caught up
//!   └─ the source, which whoever asks brings along
//! ```
//!
//! The second level is a help, never a need: every call has a deadline, and while Redis is away
//! every call fails at once. Whoever uses it goes on to the source then.

mod level1;
mod level2;
mod live_counts;
mod two_levels;
mod warming;

pub use level1::Tags;
pub use level2::{
    Added, Addition, Answer, Entry, Lease, Level2, Level2Error, Locks, Member, Rankings, SCORE_MAX,
    SetAdditions, Space, Write,
};
pub use live_counts::LiveCounts;
pub use two_levels::{
    AtHand, CacheCounts, CacheOptions, Form, Found, LoadError, Loaded, NobodyElse, SharedLevel,
    SourceAway, TwoLevelCache, Witness,
};
pub use warming::{Pace, WARMING_LOADS_AT_ONCE, Warmed};
