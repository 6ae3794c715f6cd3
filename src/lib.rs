//! Floor 3: **the server**. Commands append events, queries read read models, HTTP and the CLI
//! are how people reach both.
//!
//! What flows where:
//!
//! ```text
//! http ──► commands ──► execute ──► domain (decide, evolve) ──► events::log
//! http ──► queries ───► projections (read models)
//! http ──► clicks (recorder) ──► events::log
//! events::log ──► webhooks ──► receivers
//! ```
//!
//! Where to start reading: [`domain`], then [`execute`], then one file of [`commands`] and one
//! of [`queries`]; [`app`] puts it all together and alone names concrete backends.

pub mod accounts;
pub mod app;
pub mod blocklist;
pub mod cache;
pub mod cli;
pub mod clicks;
pub mod clock;
pub mod commands;
pub mod config;
pub mod data_dir;
pub mod domain;
pub mod execute;
pub mod http;
pub mod limits;
pub mod passwords;
pub mod queries;
pub mod ratelimit;
pub mod redis_connection;
pub mod rows;
pub mod telemetry;
pub mod titles;
pub mod webhooks;
