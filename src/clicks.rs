//! Clicks: from the request's raw words to a fact on the log.
//!
//! ```text
//! visit ──► queue ──► batch: enrich (country, visitor, campaign), drop the address ──► lane ──► log
//!    │                                                          while the log is away └──► spool
//!    └── answered when the batch is safe (`durable`) or the visit is queued (`queued`)
//! ```

pub mod address;
mod batch;
pub mod country;
pub mod enrichment;
pub mod import;
pub mod lane;
pub mod node;
mod once;
pub mod orphans;
pub mod recorder;
pub mod spool;
pub mod visit;
pub mod visitor;
