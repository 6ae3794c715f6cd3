//! Visits that led nowhere, newest first, and numbers about them: a row for each that was recorded, which
//! are no more than a limit of the servers allows, and sums of those beyond it.
//!
//! They are kept for as long as the events themselves say, so that tables that are built anew have the same
//! rows. All of them are the work of one partition: they are few, and no link's.

mod fold;
mod queries;

pub use fold::OrphansProjection;
pub use queries::{
    KindCount, ORPHANS_PAGE_MAX, OrphanPage, OrphanQuery, OrphanRow, OrphanStatistics, Orphans,
    WhichOrphans,
};

/// The projection's name.
pub const NAME: &str = "orphans";

/// Which rows its code makes of the events.
pub(crate) const VERSION: i64 = 1;
