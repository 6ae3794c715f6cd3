//! Every single click, newest first; also what filtered statistics are computed from.

pub(crate) mod batch;
pub(crate) mod decoded;
pub(crate) mod earlier;
mod erased;
mod fold;
mod queries;
pub(crate) mod recorded;
mod referrer;
mod visits;

pub use fold::ClicksProjection;
pub use queries::{BotFilter, ClickPage, ClickQuery, ClickRow, Clicks, PAGE_MAX};
pub(crate) use referrer::cut;
pub use referrer::host as referrer_host;
pub use visits::{Place, Visit, Visitor};

/// The projection's name.
pub const NAME: &str = "clicks";

/// Which rows its code makes of the events.
pub(crate) const VERSION: i64 = 3;

/// How much is folded at once while tables of clicks are built, in bytes of events: the same for all
/// of them, so that those that are built at the same time read and decode the log once. More is
/// better where many clicks meet in one row.
pub(crate) const BUILD_BATCH_BYTES: usize = 24 * 1024 * 1024;
