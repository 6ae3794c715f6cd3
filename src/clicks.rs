//! Clicks: from the request's raw words to a fact on the log.
//!
//! ```text
//! visit ──► queue ──► batch: enrich (country, visitor, campaign), drop the address ──► append
//!    └── answered when the batch is on the log (`durable`) or the visit is queued (`queued`)
//! ```

pub mod address;
pub mod country;
pub mod enrichment;
pub mod import;
pub mod recorder;
pub mod visit;
pub mod visitor;
