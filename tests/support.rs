//! The harness: starts servers, speaks their API, waits for positions instead of sleeping.

mod client;
mod destinations;
mod live;
mod load;
mod mmdb;
mod receiver;
mod redis;
mod server;

pub use client::{Answer, Client, NewLink};
pub use destinations::{pointers, skip_no_check};
pub use live::{Live, Sent, events, sent};
pub use load::{Ledger, Load};
pub use mmdb::Mmdb;
pub use receiver::{Manner, Received, Receiver};
pub(crate) use redis::RedisServer;
pub use server::{ADMIN_KEY, Server, Settings, checkout};

/// The time of the machine, which is the server's, too.
#[expect(clippy::disallowed_methods, reason = "there is no clock to pass in from outside")]
pub fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}
