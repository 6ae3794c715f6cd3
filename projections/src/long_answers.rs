//! Answers that read many rows take turns, so that those that read few find a free connection.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::database::DatabaseError;

/// How long an answer that reads many rows waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for a turn; it ends when what is returned is dropped.
pub(crate) async fn turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, DatabaseError> {
    let turn = tokio::time::timeout(TURN_TIMEOUT, turns.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or(DatabaseError::Busy)
}
