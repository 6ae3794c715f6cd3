//! Secrets that all who write to one log share for one UTC day, and that nobody has afterwards.
//!
//! Facts are kept for ever, so a secret that has to end can't be one. A log that several nodes
//! write to offers this beside it; one that a single node writes to need not.

use std::fmt;

use async_trait::async_trait;
use chrono::NaiveDate;

use crate::log::ReadError;

/// The bytes of a secret. They are not shown where it is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DaySecret(pub [u8; 32]);

impl fmt::Debug for DaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DaySecret(…)")
    }
}

/// Where the nodes of a log agree on secrets.
#[async_trait]
pub trait DaySecrets: Send + Sync + fmt::Debug {
    /// The secret of a day: the first that was proposed, the same for everybody who asks before it
    /// is destroyed.
    ///
    /// # Errors
    /// When nobody can be asked; ask again.
    async fn agree(&self, day: NaiveDate, proposal: DaySecret) -> Result<DaySecret, ReadError>;

    /// Destroys the secret of a day. One that does not exist is destroyed already.
    ///
    /// # Errors
    /// When nobody can be asked; ask again.
    async fn destroy(&self, day: NaiveDate) -> Result<(), ReadError>;
}
