//! Which links are clicked most: ever, in a day, week or month of UTC, and lately. Only clicks of
//! people count.
//!
//! One table for all of it: a row for each link and each [`Span`] in which it was clicked, with an
//! integer *score* that is a sum over its clicks. A question about one span reads an index from
//! its top; nothing is counted. A click counts 1 in a span of the calendar. In a span of a trend it
//! counts the more the later it comes: by forward decay (Cormode, Shkapenyuk, Srivastava, Xu: *Forward
//! Decay: A Practical Time Decay Model for Streaming Systems*, ICDE 2009), as a whole number, so
//! that sums are exact in every order. See [`span`] and `docs/decisions/0023-top-links.md`.
//!
//! Of two links with one score the one that *came first* ranks higher: whose first counted click
//! in the span has the lower position on the log.

mod fold;
mod queries;
pub mod span;

pub use fold::{Scored, TopLinksProjection, scores};
pub use queries::{Among, Around, RANK_MAX, Ranked, TopLinks};
pub use span::{HalfLife, Period, Ranking, Span};

/// The projection's name.
pub const NAME: &str = "top_links";

/// Which rows its code makes of the events.
pub const VERSION: i64 = 1;
