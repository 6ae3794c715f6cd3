//! Settings: flags, then environment, then `hoplog.toml`, then defaults.
//!
//! [`RawSettings`] is what people wrote, [`Settings`] what the server works with. A setting that
//! is wrong stops the start with one line that names it, its value and what is allowed.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
#[cfg(feature = "eventstore")]
use hoplog_events::log::eventstore::EventStoreOptions;
use hoplog_events::log::jetstream::JetStreamOptions;
use hoplog_projections::database::PostgresOptions;
use hoplog_projections::partition::Partitions;
use serde::Deserialize;
use url::Url;

use crate::clicks::address::TrustedProxies;
use crate::redis_connection::RedisAddress;
use crate::titles::TitleSettings;
use crate::webhooks::targets::Targets;

mod abuse;
mod app_links;
mod backends;
mod orphans;
mod parse;
mod rate_limits;
mod roles;
mod titles;

pub use abuse::AbuseSettings;
pub use app_links::{AndroidApp, AppLinks, AppleApp};
pub use backends::log_url;
pub use orphans::OrphanSettings;
pub use parse::SettingsError;
pub use rate_limits::{LimitSettings, RateLimits};
pub use roles::{Role, Roles};

/// The longest `max-age` a redirect may be given: a day.
pub const REDIRECT_MAX_AGE_S_MAX: u32 = 86_400;

/// The longest that clients may be given to leave: five minutes.
const DRAIN_S_MAX: u64 = 300;

/// How long clients are given unless the settings say otherwise.
const DRAIN_DEFAULT: Duration = Duration::from_secs(2);

/// The longest that a client may take nothing of its answer: an hour.
const STALL_S_MAX: u64 = 3_600;

/// How long it may unless the settings say otherwise.
const STALL_DEFAULT: Duration = Duration::from_secs(30);

/// More threads than any machine has cores for.
const REDIRECT_THREADS_MAX: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// The spool's bound where none is set: an hour of 1,000 clicks a second.
pub const SPOOL_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;

/// The shortest admin key, in characters.
pub const ADMIN_KEY_CHARS_MIN: usize = 32;

/// Settings as they were written. Every one has a flag, an environment variable and a key in
/// `hoplog.toml` (the flag's name with `_` for `-`).
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSettings {
    /// Settings file
    #[arg(long, env = "HOPLOG_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "HOPLOG_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Public origin of short links, such as `https://go.example.com` [default: from the request]
    #[arg(long, env = "HOPLOG_BASE_URL", value_name = "URL")]
    pub base_url: Option<String>,
    /// Directory of the embedded log, the read models, the spool and the visitor salts
    /// [default: ./hoplog-data]
    #[arg(long, env = "HOPLOG_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Where the log is: `embedded:`, `nats://host:4222` or `esdb://host:2113`, several with commas,
    /// with their settings behind `?` (see docs/operations.md) [default: embedded:]
    #[arg(long, env = "HOPLOG_LOG_URL", value_name = "URL", hide_env_values = true)]
    pub log_url: Option<String>,
    /// Where the read models are: `sqlite:` (in the data directory) or `postgres://…`, with
    /// `?schema=` for a schema of their own [default: sqlite:]
    #[arg(long, env = "HOPLOG_READ_URL", value_name = "URL", hide_env_values = true)]
    pub read_url: Option<String>,
    /// A replica of the PostgreSQL server, for lists and statistics [default: none]
    #[arg(long, env = "HOPLOG_READ_REPLICA_URL", value_name = "URL", hide_env_values = true)]
    pub read_replica_url: Option<String>,
    /// A Redis that all copies share, such as `redis://host:6379`, `redis-cluster://one,two` or
    /// `redis-sentinel://one,two/service`; `none`: in process only [default: none]
    #[arg(long, env = "HOPLOG_CACHE_URL", value_name = "URL", hide_env_values = true)]
    pub cache_url: Option<String>,
    /// What this copy does; the embedded log needs all three, `sqlite:` the projector
    /// [default: command,query,projector]
    #[arg(long, env = "HOPLOG_ROLES", value_name = "LIST")]
    pub roles: Option<String>,
    /// Into how many partitions, by link, the work of each read model is split that projectors
    /// share, 1 to 64; read models that are there change with the next rebuild [default: 1]
    #[arg(long, env = "HOPLOG_PROJECTOR_PARTITIONS", value_name = "COUNT")]
    pub projector_partitions: Option<String>,
    /// An API key with every scope, 32 characters or more [default: generated at the first start]
    #[arg(long, env = "HOPLOG_ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    pub admin_key: Option<String>,
    /// A country or city database in `MaxMind` format [default: the built-in country table]
    #[arg(long, env = "HOPLOG_GEOIP_DB", value_name = "FILE.mmdb")]
    pub geoip_db: Option<String>,
    /// Networks whose X-Forwarded-For and Forwarded headers are believed [default: none]
    #[arg(long, env = "HOPLOG_TRUSTED_PROXIES", value_name = "NETWORKS")]
    pub trusted_proxies: Option<String>,
    /// The header that those proxies write: `x-forwarded-for`, `forwarded`, or `either` (the first
    /// where it is there) [default: either]
    #[arg(long, env = "HOPLOG_FORWARDED_HEADER", value_name = "HEADER")]
    pub forwarded_header: Option<String>,
    /// When a redirect is answered: `durable` (its click is on disk) or `queued` [default: durable]
    #[arg(long, env = "HOPLOG_CLICKS_ACK", value_name = "ACK")]
    pub clicks_ack: Option<String>,
    /// How large the file may get in which clicks wait while a log elsewhere is away, in bytes
    /// [default: 1073741824]
    #[arg(long, env = "HOPLOG_SPOOL_MAX_BYTES", value_name = "BYTES")]
    pub spool_max_bytes: Option<String>,
    /// Whether visitors' addresses are kept with their clicks: `true` or `false` [default: false]
    #[arg(long, env = "HOPLOG_KEEP_ADDRESSES", value_name = "BOOL")]
    pub keep_addresses: Option<String>,
    /// How codes are made: `random` or `snowflake` [default: random]
    #[arg(long, env = "HOPLOG_CODES", value_name = "STRATEGY")]
    pub codes: Option<String>,
    /// What a disabled link answers with: 403 or 404 [default: 404]
    #[arg(long, env = "HOPLOG_DISABLED_STATUS", value_name = "STATUS")]
    pub disabled_status: Option<String>,
    /// How long a browser may keep a redirect, in seconds [default: 0]
    #[arg(long, env = "HOPLOG_REDIRECT_MAX_AGE", value_name = "SECONDS")]
    pub redirect_max_age: Option<String>,
    /// How long clients may go on after SIGTERM before their connections are closed, in seconds
    /// [default: 2]
    #[arg(long, env = "HOPLOG_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<String>,
    /// How long a client may take nothing of what it is sent before its connection is closed, in
    /// seconds [default: 30]
    #[arg(long, env = "HOPLOG_STALL_SECONDS", value_name = "SECONDS")]
    pub stall_seconds: Option<String>,
    /// How many threads do nothing but redirects, 1 to 1024 [default: one less than there are cores]
    #[arg(long, env = "HOPLOG_REDIRECT_THREADS", value_name = "COUNT")]
    pub redirect_threads: Option<String>,
    /// Who may keep pages of events that never change: `private` (who asked) or `shared` (a cache
    /// in front that checks keys itself) [default: private]
    #[arg(long, env = "HOPLOG_EVENTS_CACHE", value_name = "WHO")]
    pub events_cache: Option<String>,
    /// Networks inside that webhooks may be sent to, also over http: such as `10.1.0.0/16`, or
    /// `private` for this machine and all private networks [default: none]
    #[arg(long, env = "HOPLOG_WEBHOOK_ALLOW", value_name = "NETWORKS")]
    pub webhook_allow: Option<String>,
    /// Whether pages are asked what they call themselves when links to them are there: `true` or `false`
    /// [default: false]
    #[arg(long, env = "HOPLOG_FETCH_TITLES", value_name = "BOOL")]
    pub fetch_titles: Option<String>,
    /// Networks inside whose pages are asked as well: such as `10.1.0.0/16`, or `private` for this machine and all
    /// private networks [default: none]
    #[arg(long, env = "HOPLOG_FETCH_TITLES_ALLOW", value_name = "NETWORKS")]
    pub fetch_titles_allow: Option<String>,
    /// Where no link may lead: files and http(s) URLs of lists, with commas, such as hosts files (see
    /// docs/operations.md) [default: none]
    #[arg(long, env = "HOPLOG_BLOCKLIST", value_name = "LIST")]
    pub blocklist: Option<String>,

    /// How often block lists are looked at, in seconds, 1 to 86400; also on SIGHUP [default: 300]
    #[arg(long, env = "HOPLOG_BLOCKLIST_RELOAD", value_name = "SECONDS")]
    pub blocklist_reload: Option<String>,

    /// What visitors get of a link in quarantine: `451`, or `warn`: browsers are told where it would lead as well
    /// [default: 451]
    #[arg(long, env = "HOPLOG_QUARANTINE", value_name = "ANSWER")]
    pub quarantine: Option<String>,

    /// How many reports of visitors put a link in quarantine, 0 to 100; 0: none does [default: 0]
    #[arg(long, env = "HOPLOG_REPORTS_TO_QUARANTINE", value_name = "COUNT")]
    pub reports_to_quarantine: Option<String>,

    /// Visits that lead nowhere: `on` (recorded, as far as the limit allows) or `off` [default: on]
    #[arg(long, env = "HOPLOG_ORPHANS", value_name = "on|off")]
    pub orphans: Option<String>,
    /// How many visits that lead nowhere this copy records on a day, 0 to 1000000; it counts the others
    /// [default: 10000]
    #[arg(long, env = "HOPLOG_ORPHANS_PER_DAY", value_name = "COUNT")]
    pub orphans_per_day: Option<String>,
    /// For how many days read models keep visits that lead nowhere, 1 to 3650 [default: 90]
    #[arg(long, env = "HOPLOG_ORPHANS_DAYS", value_name = "DAYS")]
    pub orphans_days: Option<String>,

    /// Rate limits: `on` (the policies that are built in), `off`, or the path of a policy file; read
    /// again on SIGHUP (see docs/rate-limits.md) [default: on]
    #[arg(long, env = "HOPLOG_RATE_LIMITS", value_name = "on|off|FILE")]
    pub rate_limits: Option<String>,
    /// The Redis that nodes count rate limits in, as `--cache-url` has it; it should evict nothing.
    /// `none`: each node counts for itself [default: the Redis of the cache]
    #[arg(long, env = "HOPLOG_RATE_LIMIT_URL", value_name = "URL", hide_env_values = true)]
    pub rate_limit_url: Option<String>,
    /// How many nodes share the Redis of the rate limits: while it is away each admits its part of a
    /// limit, 1 to 1000 [default: 1]
    #[arg(long, env = "HOPLOG_RATE_LIMIT_NODES", value_name = "COUNT")]
    pub rate_limit_nodes: Option<String>,
    /// How long a request waits for the Redis of the rate limits before this node decides alone, in
    /// milliseconds, 1 to 1000 [default: 4]
    #[arg(long, env = "HOPLOG_RATE_LIMIT_DEADLINE_MS", value_name = "MILLISECONDS")]
    pub rate_limit_deadline_ms: Option<String>,
    /// How many units of a limit a node may take ahead in Redis for who asks often, 0 to 10000; each
    /// node may exceed a limit by so many [default: 0]
    #[arg(long, env = "HOPLOG_RATE_LIMIT_LEASE", value_name = "UNITS")]
    pub rate_limit_lease: Option<String>,
    /// Apps on Apple's systems that open this host's links, such as `ABCDE12345.com.example.app`,
    /// several with commas (see docs/operations.md) [default: none]
    #[arg(long, env = "HOPLOG_APPLE_APPS", value_name = "APPS")]
    pub apple_apps: Option<String>,
    /// Apps on Android that open this host's links, with the SHA-256 of their certificates, such as
    /// `com.example.app=14:6D:E9:…`, several with commas (see docs/operations.md) [default: none]
    #[arg(long, env = "HOPLOG_ANDROID_APPS", value_name = "APPS")]
    pub android_apps: Option<String>,
    /// How log lines look: `text` or `json` [default: text]
    #[arg(long, env = "HOPLOG_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// Settings the server works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The public origin of short links; `None`: the request's `Host`.
    pub base_url: Option<Url>,
    /// Where everything is kept that is kept here.
    pub data_dir: PathBuf,
    /// Where the log is.
    pub log: LogSettings,
    /// Where the read models are.
    pub read_models: ReadSettings,
    /// What this copy does.
    pub roles: Roles,
    /// How many partitions the work of a read model is split into when its tables are made.
    pub projector_partitions: Partitions,
    /// The cache that all copies share.
    pub cache: Option<RedisAddress>,
    /// The operator's own admin key.
    pub admin_key: Option<Secret>,
    /// A country or city database.
    pub geoip_db: Option<PathBuf>,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// When a redirect is answered.
    pub clicks_ack: ClicksAck,
    /// How large the spool's file may get, in bytes.
    pub spool_bytes_max: u64,
    /// Whether addresses are kept with clicks.
    pub keep_addresses: bool,
    /// How codes are made.
    pub codes: Codes,
    /// Whether a disabled link answers 403 (`true`) or 404.
    pub disabled_is_forbidden: bool,
    /// `max-age` of redirects, in seconds.
    pub redirect_max_age_s: u32,
    /// How long clients may go on after SIGTERM before their connections are closed.
    pub drain: Duration,
    /// How long a client may take nothing of what it is sent before its connection is closed.
    pub stall: Duration,
    /// How many threads do nothing but redirects.
    pub redirect_threads: NonZeroUsize,
    /// Who may keep pages of events that never change.
    pub page_cache: PageCache,
    /// Where webhooks may be sent to.
    pub webhook_targets: Targets,
    /// Whether pages are asked what they call themselves.
    pub titles: TitleSettings,
    /// What is done against abuse.
    pub abuse: AbuseSettings,
    /// What is done with visits that lead nowhere.
    pub orphans: OrphanSettings,
    /// Who may ask how much.
    pub limits: LimitSettings,
    /// The apps that open this host's links.
    pub app_links: AppLinks,
    /// Whether log lines are JSON.
    pub json_logs: bool,
}

/// Who may keep pages of events that never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageCache {
    /// Only who asked for them.
    Private,
    /// Caches in front as well: whoever asks them is theirs to check.
    Shared,
}

/// Where the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSettings {
    /// In the data directory.
    Embedded,
    /// On servers.
    JetStream(Box<JetStreamOptions>),
    /// On servers of another kind.
    #[cfg(feature = "eventstore")]
    EventStore(Box<EventStoreOptions>),
}

/// Where the read models are.
#[derive(Debug, Clone)]
pub enum ReadSettings {
    /// In the data directory, for this copy alone.
    Sqlite,
    /// On a server, for any number of copies.
    Postgres(Box<PostgresOptions>),
}

/// When a redirect is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClicksAck {
    /// When its click is on disk.
    Durable,
    /// When its click is in the bounded queue: a `kill -9` loses one flush interval at most.
    Queued,
}

/// How codes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// Seven random characters: nobody can guess the next.
    Random,
    /// Time-ordered 63-bit numbers: unique without asking, but guessable.
    Snowflake,
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests;
