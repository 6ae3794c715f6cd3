//! Black-box tests: the real binary, real sockets, real files. A file per promise.

#![expect(
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test binary"
)]

mod support;

mod abuse;
mod access;
mod app_links;
mod architecture;
mod as_of;
mod bad_input;
mod broker;
mod budgets;
mod command_line;
mod compose;
mod domains;
mod durability;
mod erasure;
mod events;
#[cfg(feature = "eventstore-double")]
mod eventstore;
mod expiry;
mod external_ids;
mod faults;
mod forwarding;
#[cfg(target_os = "linux")]
mod full_disk;
mod idempotency;
mod import;
mod instructions;
mod link_life;
mod links;
mod moving;
mod nodes;
mod operations;
mod orphans;
mod own_ground;
mod passwords;
mod poison;
mod previews;
mod ratelimit;
mod rebuild;
mod redirect;
mod retention;
mod rules;
mod shapes;
mod shared_cache;
mod split;
mod statistics;
mod streams;
mod tags;
mod titles;
mod top;
mod visitors;
mod webhooks;
