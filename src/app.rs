//! Puts the parts together. Only this file (and the settings) names concrete backends.

use std::io;
use std::sync::Arc;

use hoplog_events::account::{ApiKeyId, Scope};
use hoplog_events::link::{LinkKey, OwnerId};
use hoplog_events::log::{EventLog, ReadError};
use hoplog_events::position::Position;
use hoplog_events::spool::SpoolError;
use hoplog_projections::click_statistics::ClickTotals;
use hoplog_projections::deliveries::FoundError;
use hoplog_projections::erasures::Erasures;
use hoplog_projections::read_models::WaitError;
use hoplog_projections::runner::WorkerError;
use hoplog_projections::user_agents::UserAgents;
use hoplog_projections::{DatabaseError, ReadModels};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::Handle;
use tokio::sync::{RwLock, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::accounts::{ADMIN_OWNER, ApiKey, KeyError, KeyRing, NewKey, Principal, create_key};
use crate::blocklist::BlockListError;
use crate::clicks::address::TrustedProxies;
use crate::clicks::enrichment::Enricher;
use crate::clicks::import::ClickImport;
use crate::clicks::node::NodeId;
use crate::clicks::orphans::Orphans;
use crate::clicks::recorder::ClickRecorder;
use crate::clicks::spool::Spool;
use crate::clock::Clock;
use crate::commands::code_secret::CodeSecretError;
use crate::commands::grant_clicks::ClickBudgets;
use crate::commands::worker::WorkerError as WorkerLeaseError;
use crate::commands::{Commands, Issuer};
use crate::config::{AbuseSettings, AppLinks, Codes, RateLimits, Roles, Settings};
use crate::data_dir::{DataDir, DataDirError, DataDirLock};
use crate::domain::link::{Link, Requester};
use crate::http::headers::RequestId;
use crate::http::origin::Origin;
use crate::limits::Limits;
use crate::passwords::Passwords;
use crate::queries::QueryFailure;
use crate::queries::get_link::find_link;
use crate::queries::resolve_link::LinkResolver;
use crate::webhooks::{Webhooks, manage};

mod abuse;
pub mod backends;
mod commands;
pub mod erasure;
mod limits;
pub mod rankings;
mod recording;
mod redirects;
pub mod serve;
mod shared_cache;
pub mod streams;
mod warming;

pub use serve::{Threads, serve};
pub use shared_cache::Shared;

use backends::{Kept, LogBackend, LogOpenError, open_read_models};
use streams::Streams;

/// How many titles are looked up at once for whoever asks where links lead: what others wait for comes first.
const TITLES_TOLD_MAX: usize = 2;

/// What every handler is given.
pub type AppState = Arc<App>;

/// The application: one per process.
#[derive(Debug)]
pub struct App {
    /// What this copy does.
    pub roles: Roles,
    /// The facts.
    pub log: Arc<dyn EventLog>,
    /// What they mean.
    pub read_models: ReadModels,
    /// Where codes lead.
    pub links: LinkResolver,
    /// What people can ask for.
    pub commands: Commands,
    /// Gives the clicks of links that are good for so many.
    pub budgets: ClickBudgets,
    /// Tells people from programs.
    pub agents: UserAgents,
    /// Records redirects.
    pub clicks: ClickRecorder,
    /// Records visits that lead nowhere.
    pub orphans: Orphans,
    /// Who writes.
    node: Arc<NodeId>,
    /// Where clicks wait while the log is away; none where the log is on the same disk.
    pub spool: Option<Arc<Spool>>,
    /// Records clicks of the past.
    pub import: ClickImport,
    /// Who may ask.
    pub keys: Arc<KeyRing>,
    /// Who is told of what happens.
    pub webhooks: Arc<Webhooks>,
    /// Who reads streams of events, and how.
    pub streams: Streams,
    /// The time.
    pub clock: Clock,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// The public origin, if it is set.
    pub origin: Option<Origin>,
    /// The apps that open links.
    pub app_links: AppLinks,
    /// What has been measured.
    pub metrics: PrometheusHandle,
    /// Cancelled when the server is asked to stop.
    pub shutdown: CancellationToken,
    /// Erasures that may have been begun and not finished.
    erasures: Erasures,
    /// Held by each erasure for as long as it takes.
    erasing: Arc<RwLock<()>>,
    /// Who may ask how much.
    pub limits: Limits,
    /// What is done against abuse.
    pub abuse: AbuseSettings,
    /// Hashes and checks the passwords of links.
    pub passwords: Passwords,
    /// How many titles of pages may be looked up at once for `/{code}+`; none where pages are not asked.
    pub titles_told: Option<Semaphore>,
    rate_limits: RateLimits,
    shared: Option<Shared>,
    disabled_is_forbidden: bool,
    /// Codes are numbers, and this node's is leased.
    numbers_codes: bool,
    redirect_max_age_s: u32,
    enricher: Arc<Enricher>,
    log_backend: LogBackend,
    _lock: DataDirLock,
}

/// Why the server does not start. One line each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// See [`DataDirError`].
    #[error("HOPLOG_DATA_DIR: {0}")]
    DataDir(#[from] DataDirError),
    /// Look at the file and the disk.
    #[error("the visitor salts can't be kept: {0}")]
    VisitorSalts(io::Error),
    /// Look at the file and the disk; it may be deleted while the spool is empty.
    #[error("the node id can't be kept: {0}")]
    NodeId(io::Error),
    /// See [`SpoolError`].
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// See [`LogOpenError`].
    #[error(transparent)]
    Log(#[from] LogOpenError),
    /// Look at the log's file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Look at the read models' file; it can be deleted and is built anew from the log.
    #[error("the read models can't be opened: {0}")]
    Database(#[from] DatabaseError),
    /// See [`WorkerError`].
    #[error("the read models can't be opened: {0}")]
    ReadModels(#[from] WorkerError),
    /// See [`FoundError`].
    #[error("the state of webhooks can't be opened: {0}")]
    Deliveries(#[from] FoundError),
    /// A mistake in the program; start it again.
    #[error("connections are no longer accepted: {0}")]
    Serving(tokio::task::JoinError),
    /// See [`WorkerLeaseError`].
    #[error("a number for HOPLOG_CODES=snowflake can't be leased: {0}")]
    Worker(#[from] WorkerLeaseError),
    /// See [`CodeSecretError`].
    #[error("the secret behind codes can't be read or made: {0}")]
    CodeSecret(#[from] CodeSecretError),
    /// Give the path of a database in `MaxMind` format.
    #[error("HOPLOG_GEOIP_DB: {0}")]
    Locator(#[from] maxminddb::MaxMindDbError),
    /// See [`BlockListError`].
    #[error("HOPLOG_BLOCKLIST: {0}")]
    BlockList(#[from] BlockListError),
    /// Give the origin that the service had; what is a domain, or was one, keeps its links for itself.
    #[error(
        "HOPLOG_BASE_URL: {0} is a domain of this service, or was one: it can't be the service's own host"
    )]
    OwnHostIsDomain(Box<str>),
    /// Set it as it is on the other nodes.
    #[error("HOPLOG_BASE_URL has to be set, as there are domains beside the service's own")]
    NoBaseUrl,
    /// Look at the log's file.
    #[error("the first API key could not be made: {0}")]
    FirstKey(#[from] KeyError),
    /// Choose another address, or stop who uses it.
    #[error("HOPLOG_LISTEN {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// This is a mistake in the program.
    #[error("opening the read models: {0}")]
    Task(tokio::task::JoinError),
    /// This is a mistake in the program.
    #[error("logging or metrics can't be started: {0}")]
    Telemetry(String),
}

impl App {
    /// Opens everything in the data directory.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open(
        settings: &Settings,
        metrics: PrometheusHandle,
        projectors: &Handle,
    ) -> Result<Self, StartError> {
        let dir = DataDir::new(settings.data_dir.clone());
        let (lock, clock) = (dir.lock()?, Clock::system());
        let log_backend = LogBackend::open(&settings.log, &dir).await?;
        let log = log_backend.events();
        let open = open_read_models(settings.clone(), dir.clone(), Arc::clone(&log));
        let Kept { read_models, deliveries, erasures } =
            projectors.spawn(open).await.map_err(StartError::Task)??;
        let keys = Arc::new(KeyRing::load(&log, settings.admin_key.as_ref()).await?);
        let enricher = Arc::new(recording::enricher(settings, &dir)?);
        enricher.salts().prepare(log.as_ref(), clock.now()).await;
        let outlet = recording::outlet(settings, &dir, &log).await?;
        let origin = commands::own_origin(settings, &keys.domains().look())?;
        let shared = settings.cache.as_ref().map(|at| Shared::open(at, log.id(), &read_models));
        let links = shared.as_ref().map(|shared| shared.cache.links().clone());
        let (directory, targets) = (read_models.link_directory(), settings.webhook_targets.clone());
        let (heads, links_of) = (manage::heads(log.as_ref()).await?, directory.clone());
        let webhooks = Webhooks::new(&log, heads, &keys, deliveries, links_of, targets, &clock);
        Ok(Self {
            commands: commands::open(settings, &log, &outlet.node, (&keys, &clock)).await?,
            links: LinkResolver::new(Arc::clone(&log), directory, links),
            roles: settings.roles,
            budgets: ClickBudgets::new(Arc::clone(&log), clock.clone()),
            agents: UserAgents::default(),
            clicks: ClickRecorder::start(&outlet, &enricher, &clock, settings.clicks_ack),
            orphans: recording::orphans(settings, &outlet, &enricher, &clock),
            node: outlet.node,
            spool: outlet.spool,
            import: ClickImport::new(Arc::clone(&log), Arc::clone(&enricher), clock.clone()),
            read_models,
            erasures,
            erasing: Arc::default(),
            keys,
            streams: Streams::new(&log, log_backend.described(), settings.page_cache),
            webhooks: Arc::new(webhooks),
            clock,
            trusted_proxies: settings.trusted_proxies.clone(),
            origin,
            app_links: settings.app_links.clone(),
            metrics,
            shutdown: CancellationToken::new(),
            limits: limits::open(settings, log.id()),
            abuse: settings.abuse.clone(),
            passwords: Passwords::default(),
            titles_told: settings.titles.fetch.then(|| Semaphore::new(TITLES_TOLD_MAX)),
            rate_limits: settings.limits.source.clone(),
            shared,
            disabled_is_forbidden: settings.disabled_is_forbidden,
            numbers_codes: settings.codes == Codes::Snowflake,
            redirect_max_age_s: settings.redirect_max_age_s,
            enricher,
            log,
            log_backend,
            _lock: lock,
        })
    }

    /// Makes the first admin key if there is no key at all.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn first_key(&self) -> Result<Option<ApiKey>, StartError> {
        if !self.keys.is_empty() {
            return Ok(None);
        }
        let (Ok(owner), Ok(name)) = (ADMIN_OWNER.parse::<OwnerId>(), "first admin key".parse())
        else {
            return Ok(None);
        };
        let issuer = Issuer {
            owner: owner.clone(),
            admin: true,
            actor: "system:first-start".into(),
            correlation_id: "first-start".into(),
            now: self.clock.now(),
        };
        let new = NewKey { owner, name, scopes: vec![Scope::Admin], expires_at: None };
        // Of nodes that start together on an empty log, one makes the key and shows it.
        let id = ApiKeyId(Uuid::new_v5(&Uuid::NAMESPACE_OID, b"hoplog: the first admin key"));
        match create_key(&self.log, &issuer, id, new).await {
            Ok((key, ..)) => Ok(Some(key)),
            Err(KeyError::AlreadyCreated) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Who gives a command with this key in this request.
    #[must_use]
    pub fn issuer(&self, principal: &Principal, request_id: RequestId) -> Issuer {
        Issuer {
            owner: principal.owner.clone(),
            admin: principal.can(Scope::Admin),
            actor: principal.actor.clone(),
            correlation_id: request_id.0,
            now: self.clock.now(),
        }
    }

    /// Waits until a projection accounts for a position.
    ///
    /// # Errors
    /// When that takes too long, or the position is of another log.
    pub async fn wait_for(
        &self,
        projection: &str,
        position: Option<Position>,
    ) -> Result<(), QueryFailure> {
        let Some(position) = position else { return Ok(()) };
        let timeout = crate::http::POSITION_TIMEOUT;
        match self.read_models.wait_for(projection, position, timeout).await {
            Ok(()) => Ok(()),
            Err(WaitError::OtherLog) => Err(QueryFailure::AnotherLog),
            Err(WaitError::TimedOut | WaitError::Unknown(_)) => Err(QueryFailure::Behind),
        }
    }

    /// One link, deleted or not, as whoever asks may see it: never older than what this node knows.
    ///
    /// # Errors
    /// When there is none, it is not the requester's, or nobody can be asked.
    pub async fn find_link(
        &self,
        key: &LinkKey,
        requester: &Requester,
    ) -> Result<Link, QueryFailure> {
        let directory = self.read_models.link_directory();
        let least = self.links.least_believed(key);
        find_link(self.log.as_ref(), &directory, least, key, requester).await
    }

    /// The clicks of a link so far.
    ///
    /// # Errors
    /// When the read models are away.
    pub async fn totals_of(&self, key: &LinkKey) -> Result<ClickTotals, DatabaseError> {
        let statistics = self.read_models.click_statistics();
        let totals = statistics.totals(std::slice::from_ref(key)).await?;
        Ok(totals.get(key).copied().unwrap_or_default())
    }
}
