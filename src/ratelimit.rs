//! Limits for requests: so many units in a window, for each subject, of several policies at once. A
//! library that knows nothing of links, and of HTTP only in its layer for `tower`.
//!
//! ```text
//! Limiter: charges in, one decision out
//!   ├─ here      this process: shards, bounded; all there is, or what takes over
//!   ├─ store     Redis: one script decides all tiers, by the store's clock
//!   │              └─ behind a deadline and a circuit breaker
//!   ├─ denied    subjects that the store has refused until later: not asked again before
//!   └─ leases    units that this node has taken ahead for hot subjects
//! ```
//!
//! Where to start reading: `tier` (what a limit is), `arithmetic` (the pure core, which the script
//! `store/limits.lua` mirrors), `charge` and `decision` (what goes in and what comes out), `limiter`; `layer`
//! guards services with it.

mod arithmetic;
mod charge;
mod clock;
mod decision;
mod denied;
mod here;
mod leases;
mod limiter;
mod policy;
mod receipt;
mod shared;
mod standing;
mod store;
mod subject;
#[cfg(test)]
mod tests;
mod tier;

pub use charge::{CHARGES_MAX, Charge, ChargeError, ChargeRef};
pub use clock::MonotonicClock;
pub use decision::{Decision, Way};
pub use limiter::{Limiter, LimiterState};
pub use policy::{Outage, Policy, PolicyError, PolicyName, Refund, TIERS_MAX};
pub use receipt::{Outcome, Receipt};
pub use shared::SharedOptions;
pub use standing::Standing;
pub use subject::Subject;
pub use tier::{Algorithm, LIMIT_MAX, LOG_LIMIT_MAX, Tier, TierError, WINDOW_MAX};

// For services over HTTP: the only part that knows of it.
mod fields;
mod layer;

pub use fields::{Fields, item_name, may_tell, seconds_up};
pub use layer::{RateLimitLayer, RateLimited, Refusal, Terms};
