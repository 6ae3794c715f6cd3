//! Floor 2: **what the events mean**. One folder per read model: its tables, how events change
//! them, the questions they answer; and the runner that keeps them up to date. Uses `events`
//! and nothing of the server: it never learns of HTTP, commands or caches.
//!
//! ```text
//! log ──► runner ──► fold (in memory) ──► one transaction: rows + checkpoint ──► queries
//! ```
//!
//! Where to start reading: [`projection`] (the contract), then [`link_directory`], the simplest
//! read model; [`read_models`] is the handle that the server holds.

mod balance;
pub mod builds;
pub mod checkpoint;
pub mod click_statistics;
pub mod clicks;
pub mod commit;
pub mod cursor;
pub mod database;
pub mod deliveries;
pub mod dimension;
pub mod erasures;
pub mod follower;
pub mod lease;
pub mod link_directory;
mod long_answers;
mod ordered;
pub mod orphans;
pub mod parking;
pub mod partition;
pub mod projection;
pub mod read_models;
pub mod rebuild;
pub mod runner;
mod schema;
pub mod sketch;
pub mod table_set;
pub mod top_links;
pub mod user_agents;

pub use database::{Database, DatabaseError, PostgresOptions};
pub use read_models::ReadModels;

#[cfg(any(test, feature = "postgres-server"))]
#[expect(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc, reason = "for tests")]
pub mod postgres_server;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;
