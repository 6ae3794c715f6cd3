//! The way to a Redis: where it is, the line to it, and whether it is worth asking. It knows nothing
//! of what is kept there; the [cache](crate::cache) and the rate limiter each have a line of their own,
//! with their own deadline, so that neither waits for the other.

mod address;
mod breaker;
mod connection;
mod line;
#[cfg(test)]
#[path = "../tests/support/redis.rs"]
pub(crate) mod redis_server;
#[cfg(test)]
#[path = "../tests/support/redis_servers.rs"]
pub(crate) mod redis_servers;

pub use address::{AddressError, RedisAddress};
pub use breaker::BreakerState;
#[cfg(test)]
pub(crate) use breaker::FAILURES_IN_A_ROW_MAX;
pub(crate) use breaker::Outcome;
pub(crate) use connection::{CONNECT_DEADLINE, Connection, PAUSE};
pub(crate) use line::{Line, Refusal, Reply, outcome_of, outcome_of_error};
