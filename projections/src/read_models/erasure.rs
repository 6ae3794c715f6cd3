//! What an erasure needs of the read models besides what its events change in them.

use super::{OperationError, ReadModels};
use crate::database::DatabaseError;
use crate::parking;
use crate::runner::WorkerError;

impl ReadModels {
    /// Whether tables of a projection are being built: they may have in them what has been erased
    /// from the log since it was read for them.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn is_building(&self, projection: &str) -> Result<bool, OperationError> {
        Ok(self.find(projection)?.applier.is_building().await?)
    }

    /// Drops the tables that were read before the last rebuild: there is no way back to what was
    /// erased.
    ///
    /// # Errors
    /// See [`OperationError`]. Also while a rollback to them is under way.
    pub async fn forget_previous(&self, projection: &str) -> Result<(), OperationError> {
        Ok(self.find(projection)?.applier.forget_previous().await?)
    }

    /// Whether events are parked: of one link, or any.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn has_parked(
        &self,
        projection: &str,
        sequence: Option<&str>,
    ) -> Result<bool, OperationError> {
        let applier = &self.find(projection)?.applier;
        let (database, set) = (&applier.database, applier.read_by_all().await?);
        let found = match sequence {
            Some(sequence) => {
                let waiting = parking::events_of(database, set, sequence, 1).await;
                !waiting.map_err(WorkerError::from)?.is_empty()
            }
            None => parking::count(database, set).await.map_err(WorkerError::from)? > 0,
        };
        Ok(found)
    }

    /// Takes what was erased out of the database's file as well, where that is this process's.
    ///
    /// # Errors
    /// When it can't be written just now.
    pub async fn scrub(&self) -> Result<(), DatabaseError> {
        self.database.scrub().await
    }
}
