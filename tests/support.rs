//! The harness: starts servers, speaks their API, waits for positions instead of sleeping.

mod client;
mod server;

pub use client::{Answer, Client, NewLink};
pub use server::{Server, Settings, checkout, run};
