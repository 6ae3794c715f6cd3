//! What pages call themselves: fetched when their links are there already, and never while somebody waits.
//!
//! Whoever makes a link chooses an address that this server then connects to. So it goes through the guard of webhooks
//! ([`crate::webhooks::guard`]), at every hop, and everything about it has a bound: time, bytes, hops, look-ups, attempts.
//!
//! ```text
//! fetch: hops, each looked at ──► page: finds <title> in what has come ──► text: letters, references, one line
//! ```
//!
//! Which links are looked at, and when, is in `src/app/serve/titles.rs`.

use crate::webhooks::targets::Targets;

mod fetch;
mod look_ups;
mod page;
mod slow;
#[cfg(test)]
mod tests;
mod text;

pub use fetch::{FetchError, Fetcher, MayAsk};
pub use text::is_hidden;

/// Whether pages are asked what they call themselves, and which.
#[derive(Debug, Clone, Default)]
pub struct TitleSettings {
    /// Whether they are.
    pub fetch: bool,
    /// Which networks inside may be asked as well.
    pub targets: Targets,
}
