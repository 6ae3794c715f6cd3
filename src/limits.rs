//! What of hoplog is limited, and for whom: policies from a file, and which of them a request meets.
//! How limits are kept is [`ratelimit`](crate::ratelimit)'s, which knows nothing of links.
//!
//! ```text
//! policy file ─► file (words and their lines) ─► parse ─► Rules ─┐
//!                                                                ├─► Limits: charges, decisions, metrics
//!                                                      Limiter ──┘
//! ```
//!
//! Requests to the API are guarded by a layer, which asks [`Limits::api`] for charges. Redirects and
//! codes that nobody has are counted by each node alone first: a redirect waits for nobody.

mod file;
mod guard;
mod meters;
mod parse;
mod places;
mod rules;
#[cfg(test)]
mod tests;
mod who;

pub use file::PolicyFileError;
pub use guard::{Guess, Limits, Look, Refused, Verdict};
pub use parse::POLICIES_MAX;
pub use places::{Place, ROUTES, WORDS};
pub use rules::{ApiRequest, Cost, Rule, Rules};
pub use who::{Asker, By, client_network};
