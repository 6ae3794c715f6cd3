//! Every single click, newest first; also what filtered statistics are computed from.

pub(crate) mod batch;
mod erased;
mod fold;
mod queries;
pub(crate) mod recorded;
mod referrer;
mod visits;

pub use fold::ClicksProjection;
pub use queries::{BotFilter, ClickPage, ClickQuery, ClickRow, Clicks, PAGE_MAX};
pub use visits::{Place, Visit, Visitor};

/// The projection's name.
pub const NAME: &str = "clicks";
