//! The links as they are now: what a code leads to, and lists of links.

mod fold;
mod list;
mod queries;
mod row;
mod tags;

pub use fold::LinkDirectoryProjection;
#[cfg(test)]
pub(crate) use list::Limits;
pub use list::{Archived, LinkFilter, LinkPage, LinkQuery, LinkSort, PAGE_MAX, Validity};
pub use queries::{LINKS_PER_STATEMENT_MAX, LinkDirectory};
pub use row::LinkRow;
pub use tags::{TAGS_PAGE_MAX, TagPage, TagQuery, TaggedLink};

/// The projection's name.
pub const NAME: &str = "link_directory";

/// Which rows its code makes of the events.
pub const VERSION: i64 = 10;
