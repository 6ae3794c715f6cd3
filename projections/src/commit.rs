//! What others are told after a commit: which links a projection has just changed.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use hoplog_events::link::LinkKey;
use hoplog_events::position::Position;

/// A commit of live work. Rebuilding and verifying tell nothing: nobody reads those tables yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The projection.
    pub projection: &'static str,
    /// The last event that the rows of these links account for now.
    pub position: Position,
    /// The links whose rows changed.
    pub links: Vec<LinkKey>,
}

/// Who is told. The projection waits for the answer: hand the commit on and return.
///
/// A commit may be told twice, or never (the process ends right after it): what is made of it
/// has to stand both.
pub trait CommitListener: Send + Sync + Debug {
    /// Takes note of a commit.
    fn committed(&self, commit: Commit);
}

/// The listener of a process's projections, once there is one.
pub(crate) type Listener = Arc<OnceLock<Arc<dyn CommitListener>>>;
