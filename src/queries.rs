//! What people can ask: one file per question. Queries read read models (and, where those may
//! be behind, a link's own events); they write nothing.

use hoplog_projections::DatabaseError;

use crate::execute::ExecuteError;

pub mod get_link;
pub mod link_as_of;
pub mod resolve_link;
pub mod shared_cache;
pub mod shared_rankings;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryFailure {
    /// There is no such link, or it is somebody else's.
    #[error("there is no such link")]
    NotFound,
    /// The link was deleted.
    #[error("the link was deleted")]
    Deleted,
    /// The read model did not reach the position in time: try again.
    #[error("the read model has not reached the position yet")]
    Behind,
    /// The position is of another log.
    #[error("the position is of another log")]
    AnotherLog,
    /// Try again later.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Try again later.
    #[error(transparent)]
    Log(#[from] ExecuteError),
}
