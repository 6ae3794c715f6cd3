//! What the nodes of one log agree on for some days, and nobody has afterwards: a secret of a day,
//! a number that one of them has.
//!
//! Facts are kept for ever, so what has to end can't be one. A log that several nodes write to
//! offers this beside it; one that a single node writes to need not.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::log::ReadError;

/// How long something is agreed on: for a secret that is made half a day before its day, until
/// clicks of that day can't wait any more.
pub const KEPT: Duration = Duration::from_hours(72);

/// Something that is agreed on. It may be secret, so it is not shown where it is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Agreed(pub [u8; 32]);

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agreed(…)")
    }
}

/// Where the nodes of a log agree.
#[async_trait]
pub trait Agreements: Send + Sync + fmt::Debug {
    /// What is agreed on under a name (lower-case letters, digits and `-`): the first proposal,
    /// the same for everybody who asks until it is forgotten.
    ///
    /// # Errors
    /// When nobody can be asked; ask again.
    async fn agree(&self, name: &str, proposal: Agreed) -> Result<Agreed, ReadError>;

    /// Forgets what was agreed on under a name, if anything was, before [`KEPT`] has passed.
    ///
    /// # Errors
    /// When nobody can be asked; ask again.
    async fn forget(&self, name: &str) -> Result<(), ReadError>;
}
