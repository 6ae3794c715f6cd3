//! The backends by name, from the settings.

use std::sync::Arc;

use hoplog_events::asyncapi::Description;
use hoplog_events::log::EventLog;
use hoplog_events::log::embedded::{EmbeddedLog, OpenError, OpenOptions};
#[cfg(feature = "eventstore")]
use hoplog_events::log::eventstore::{EventStoreLog, EventStoreOpenError};
use hoplog_events::log::jetstream::{JetStreamLog, JetStreamOpenError, JetStreamOptions};
use hoplog_projections::deliveries::Deliveries;
use hoplog_projections::erasures::Erasures;
use hoplog_projections::lease::{Member, Part};
use hoplog_projections::{Database, DatabaseError, ReadModels};
use uuid::Uuid;

use super::StartError;
use crate::config::{LogSettings, ReadSettings, Role, Settings};
use crate::data_dir::DataDir;

/// The log, whichever it is.
#[derive(Debug, Clone)]
pub enum LogBackend {
    /// In the data directory.
    Embedded(Arc<EmbeddedLog>),
    /// On servers.
    JetStream(Arc<JetStreamLog>),
    /// On servers of another kind.
    #[cfg(feature = "eventstore")]
    EventStore(Arc<EventStoreLog>),
}

/// Why the log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogOpenError {
    /// See [`OpenError`].
    #[error(transparent)]
    Embedded(#[from] OpenError),
    /// See [`JetStreamOpenError`].
    #[error("HOPLOG_LOG_URL: {0}")]
    JetStream(#[from] JetStreamOpenError),
    /// See [`EventStoreOpenError`].
    #[cfg(feature = "eventstore")]
    #[error("HOPLOG_LOG_URL: {0}")]
    EventStore(#[from] EventStoreOpenError),
}

impl LogBackend {
    /// Opens the log that the settings name.
    ///
    /// # Errors
    /// See [`LogOpenError`].
    pub async fn open(settings: &LogSettings, dir: &DataDir) -> Result<Self, LogOpenError> {
        match settings {
            LogSettings::Embedded => {
                let log = EmbeddedLog::open(&dir.log_file(), OpenOptions::default()).await?;
                Ok(Self::Embedded(Arc::new(log)))
            }
            LogSettings::JetStream(options) => {
                // For `tls://`, where a second TLS library may be compiled in.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let (log, differences) = JetStreamLog::open(options).await?;
                for difference in differences {
                    tracing::warn!(difference, "the log's servers are set otherwise");
                }
                Ok(Self::JetStream(Arc::new(log)))
            }
            // Its client insists on choosing the TLS library of the process: nobody was before it.
            #[cfg(feature = "eventstore")]
            LogSettings::EventStore(options) => {
                Ok(Self::EventStore(Arc::new(EventStoreLog::open(options).await?)))
            }
        }
    }

    /// The log as everybody else knows it.
    #[must_use]
    pub fn events(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Embedded(log) => Arc::<EmbeddedLog>::clone(log),
            Self::JetStream(log) => Arc::<JetStreamLog>::clone(log),
            #[cfg(feature = "eventstore")]
            Self::EventStore(log) => Arc::<EventStoreLog>::clone(log),
        }
    }

    /// How others read the log, or would where it is on servers that others can read.
    #[must_use]
    pub fn described(&self) -> Description {
        if let Self::JetStream(log) = self {
            return log.described();
        }
        JetStreamLog::described_with(&JetStreamOptions::default())
    }

    /// Ends what is under way and lets go of the log.
    pub async fn close(&self) {
        match self {
            Self::Embedded(log) => log.close().await,
            Self::JetStream(log) => log.close().await,
            #[cfg(feature = "eventstore")]
            Self::EventStore(log) => log.close(),
        }
    }
}

/// Opens the database that the settings name.
///
/// # Errors
/// See [`DatabaseError`].
pub async fn open_database(
    settings: &ReadSettings,
    dir: &DataDir,
) -> Result<Database, DatabaseError> {
    match settings {
        ReadSettings::Sqlite => Database::open_sqlite(&dir.read_models_file()).await,
        ReadSettings::Postgres(options) => Database::open_postgres((**options).clone()).await,
    }
}

/// What is in databases.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) read_models: ReadModels,
    pub(super) deliveries: Deliveries,
    pub(super) erasures: Erasures,
}

/// Runs on the projectors' threads, so that the database's own threads have their priority.
pub(super) async fn open_read_models(
    settings: Settings,
    dir: DataDir,
    log: Arc<dyn EventLog>,
) -> Result<Kept, StartError> {
    let database = open_database(&settings.read_models, &dir).await?;
    let part = match (&settings.read_models, settings.roles.has(Role::Projector)) {
        (ReadSettings::Sqlite, _) => Part::Alone,
        (ReadSettings::Postgres(_), true) => Part::Member(Member(Uuid::new_v4())),
        (ReadSettings::Postgres(_), false) => Part::Reader,
    };
    // What is in SQLite's file of read models may be thrown away.
    let for_deliveries = match &settings.read_models {
        ReadSettings::Sqlite => Database::open_sqlite(&dir.webhooks_file()).await?,
        ReadSettings::Postgres(_) => database.clone(),
    };
    let erasures = Erasures::open(for_deliveries.clone()).await?;
    let deliveries = Deliveries::open(for_deliveries, part).await?;
    deliveries.found(log.as_ref()).await?;
    let read_models = ReadModels::open(database, log, part, settings.projector_partitions).await?;
    Ok(Kept { read_models, deliveries, erasures })
}
