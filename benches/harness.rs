//! The harness of the tests, as far as it is needed here.
#![expect(dead_code, reason = "the tests use the rest")]

#[path = "../tests/support/client.rs"]
mod client;
#[path = "../tests/support/redis.rs"]
mod redis;
#[path = "../tests/support/server.rs"]
mod server;

pub use client::Client;
pub use server::{ADMIN_KEY, Server, Settings, checkout};
