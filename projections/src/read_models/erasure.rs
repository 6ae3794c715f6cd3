//! What an erasure needs of the read models besides what its events change in them.

use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::{OperationError, ReadModels};
use crate::builds::{BEAT, BuildPurpose, Claim};
use crate::database::{Database, DatabaseError};
use crate::parking;
use crate::runner::WorkerError;

/// How long a build that is under way is waited for.
const BUILDS_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether it has ended.
const BUILDS_PAUSE: Duration = Duration::from_millis(100);

/// The right that nothing is built. It ends by itself soon after a process was killed.
#[derive(Debug)]
pub struct NoBuilds {
    claim: Claim,
    database: Database,
    renewing: AbortHandle,
}

impl NoBuilds {
    fn new(claim: Claim, database: Database) -> Self {
        let renewing = tokio::spawn(renew(claim, database.clone()));
        Self { claim, database, renewing: renewing.abort_handle() }
    }

    /// Whether it was so all the time, and is for some seconds: the database says, as a process that
    /// stood still does not know.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn is_kept(&self) -> Result<bool, DatabaseError> {
        self.claim.hold(&self.database).await
    }

    /// Lets others build.
    ///
    /// # Errors
    /// When the database is away: it ends by itself then.
    pub async fn end(self) -> Result<(), DatabaseError> {
        self.renewing.abort();
        let mut transaction = self.database.begin().await?;
        self.claim.end(&mut transaction).await?;
        transaction.commit().await
    }
}

impl Drop for NoBuilds {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn renew(claim: Claim, database: Database) {
    loop {
        tokio::time::sleep(BEAT).await;
        // Somebody else has it. While the database is away nobody can take it.
        if let Ok(false) = claim.hold(&database).await {
            return;
        }
    }
}

impl ReadModels {
    /// Keeps everybody, on every node, from building tables of a projection, from comparing them and
    /// from going back to the ones before, until it is given up; and drops what is left of all these.
    /// Others that erase are waited for.
    ///
    /// # Errors
    /// See [`OperationError`]. Also while tables are being built for longer than a moment.
    pub async fn keep_from_building(&self, projection: &str) -> Result<NoBuilds, OperationError> {
        self.kept_from_building(projection, BUILDS_PATIENCE).await
    }

    /// The same, without waiting. `None`: somebody builds or erases.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn keep_from_building_at_once(
        &self,
        projection: &str,
    ) -> Result<Option<NoBuilds>, OperationError> {
        match self.kept_from_building(projection, Duration::ZERO).await {
            Err(OperationError::Failed(WorkerError::Building(_))) => Ok(None),
            kept => kept.map(Some),
        }
    }

    async fn kept_from_building(
        &self,
        projection: &str,
        patience: Duration,
    ) -> Result<NoBuilds, OperationError> {
        let applier = &self.find(projection)?.applier;
        let claim = Claim::new(applier.projection.name());
        let deadline = Instant::now() + patience;
        loop {
            let set = applier.read_by_all().await?;
            match applier.reserve(set, claim, BuildPurpose::Erasure).await {
                Err(WorkerError::Building(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(BUILDS_PAUSE).await;
                }
                reserved => break reserved?,
            }
        }
        let no_builds = NoBuilds::new(claim, applier.database.clone());
        self.drop_unread(projection).await?;
        Ok(no_builds)
    }

    /// Drops what killed builders left behind, and the tables that were read before the last rebuild:
    /// there is no way back to what was erased. Tables that somebody builds stay his.
    ///
    /// # Errors
    /// See [`OperationError`]. Also while a rollback to those before is under way.
    pub async fn drop_unread(&self, projection: &str) -> Result<(), OperationError> {
        let applier = &self.find(projection)?.applier;
        applier.drop_leftovers().await?;
        Ok(applier.forget_previous().await?)
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

    /// Takes what was erased out of the database's file as well, where that is this process's. Gives
    /// how long it is until the rest is to be tried again; `None`: there is no rest.
    ///
    /// # Errors
    /// When it can't be written just now.
    pub async fn scrub(&self) -> Result<Option<Duration>, DatabaseError> {
        self.database.scrub().await
    }
}
