//! From what was written to what is meant.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hoplog_events::spool::SPOOL_BYTES_MIN;
use ipnet::IpNet;
use url::Url;

use crate::clicks::address::{ForwardedHeader, TrustedProxies};
use crate::limits::PolicyFileError;
use crate::redis_connection::RedisAddress;
use crate::webhooks::targets::Targets;

use super::app_links::AppLinks;
use super::backends::{log_url, partitions, read_url, roles};
use super::rate_limits::{LimitSettings, RateLimits};
use super::titles::titles;
use super::{
    ADMIN_KEY_CHARS_MIN, AbuseSettings, ClicksAck, Codes, DRAIN_DEFAULT, DRAIN_S_MAX,
    OrphanSettings, PageCache, REDIRECT_MAX_AGE_S_MAX, REDIRECT_THREADS_MAX, RawSettings,
    SPOOL_BYTES_DEFAULT, STALL_DEFAULT, STALL_S_MAX, Secret, Settings,
};

/// A setting that is wrong. The text is one line: the setting, its value, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Correct the setting.
    #[error("{name} is {value:?}; allowed: {allowed}")]
    Value {
        /// The environment variable's name.
        name: &'static str,
        /// What was written; `…` for secrets.
        value: String,
        /// What may be written.
        allowed: &'static str,
    },
    /// Build the program with the feature, or use another value.
    #[error(
        "{name} needs the feature `{feature}`, which this build lacks; build with \
         `cargo build --release --features {feature}`"
    )]
    Feature {
        /// The environment variable's name.
        name: &'static str,
        /// What is missing.
        feature: &'static str,
    },
    /// Correct the policy.
    #[error("HOPLOG_RATE_LIMITS: {file} {error}")]
    Policies {
        /// The file that it stands in.
        file: String,
        /// Where and what.
        error: PolicyFileError,
    },
    /// Correct the settings file.
    #[error("settings file {file}: {reason}")]
    File {
        /// Which file.
        file: String,
        /// What is wrong with it, on one line.
        reason: String,
    },
}

/// The settings file that is read when no other is named and it is there.
const DEFAULT_FILE: &str = "hoplog.toml";

impl RawSettings {
    /// Reads the settings file, fills in defaults and checks everything.
    ///
    /// # Errors
    /// Names the first setting that is wrong.
    pub fn resolve(mut self) -> Result<Settings, SettingsError> {
        let rate_limits = RateLimits::of(self.rate_limits.as_deref(), self.config.as_deref());
        self.fill_from(Self::read_file(self.config.as_deref())?);
        let log = log_url(self.log_url.as_deref().unwrap_or("embedded:"))?;
        let read_models = read_url(self.read_url.as_deref(), self.read_replica_url.take())?;
        let (cache, counts) = self.redis()?;
        Ok(Settings {
            limits: LimitSettings::of(&self, rate_limits, counts)?,
            abuse: AbuseSettings::of(&self)?,
            orphans: OrphanSettings::of(&self)?,
            titles: titles(&self)?,
            listen: listen(self.listen)?,
            base_url: self.base_url.as_deref().map(base_url).transpose()?,
            roles: roles(self.roles.as_deref(), &log, &read_models)?,
            projector_partitions: partitions(self.projector_partitions.as_deref(), &read_models)?,
            log,
            read_models,
            data_dir: self.data_dir.map_or_else(|| PathBuf::from("hoplog-data"), PathBuf::from),
            cache,
            admin_key: self.admin_key.map(admin_key).transpose()?,
            geoip_db: self.geoip_db.as_deref().map(geoip_db).transpose()?,
            trusted_proxies: trusted_proxies(
                self.trusted_proxies.as_deref(),
                self.forwarded_header.as_deref(),
            )?,
            clicks_ack: choice(
                "HOPLOG_CLICKS_ACK",
                self.clicks_ack.as_deref(),
                &[("durable", ClicksAck::Durable), ("queued", ClicksAck::Queued)],
                "durable, queued",
            )?,
            spool_bytes_max: spool_bytes_max(self.spool_max_bytes)?,
            keep_addresses: choice(
                "HOPLOG_KEEP_ADDRESSES",
                self.keep_addresses.as_deref(),
                &[("false", false), ("true", true)],
                "true, false",
            )?,
            codes: choice(
                "HOPLOG_CODES",
                self.codes.as_deref(),
                &[("random", Codes::Random), ("snowflake", Codes::Snowflake)],
                "random, snowflake",
            )?,
            disabled_is_forbidden: choice(
                "HOPLOG_DISABLED_STATUS",
                self.disabled_status.as_deref(),
                &[("404", false), ("403", true)],
                "403, 404",
            )?,
            redirect_max_age_s: max_age(self.redirect_max_age)?,
            drain: drain(self.drain_seconds)?,
            stall: stall(self.stall_seconds)?,
            redirect_threads: redirect_threads(self.redirect_threads)?,
            page_cache: page_cache(self.events_cache.as_deref())?,
            webhook_targets: webhook_targets(self.webhook_allow.as_deref())?,
            app_links: AppLinks::of(self.apple_apps.as_deref(), self.android_apps.as_deref())?,
            json_logs: json_logs(self.log_format.as_deref())?,
        })
    }

    /// That of the cache, and that of the rate limits: the same unless they have their own.
    fn redis(&self) -> Result<(Option<RedisAddress>, Option<RedisAddress>), SettingsError> {
        let cache = redis("HOPLOG_CACHE_URL", self.cache_url.as_deref())?;
        let counts = match self.rate_limit_url.as_deref() {
            None | Some("") => cache.clone(),
            given => redis("HOPLOG_RATE_LIMIT_URL", given)?,
        };
        Ok((cache, counts))
    }

    fn read_file(named: Option<&Path>) -> Result<RawSettings, SettingsError> {
        let Some(path) = file_at(named) else { return Ok(RawSettings::default()) };
        let wrong = |reason: String| SettingsError::File {
            file: path.display().to_string(),
            reason: reason.lines().collect::<Vec<_>>().join(" "),
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let mut table: toml::Table =
            toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        // The policies in it are read apart, with their lines.
        if table.get("rate_limits").is_some_and(toml::Value::is_table) {
            table.remove("rate_limits");
        }
        flatten(table).try_into().map_err(|error: toml::de::Error| wrong(error.to_string()))
    }

    /// Takes from `file` what flags and environment left open.
    fn fill_from(&mut self, file: RawSettings) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(listen base_url data_dir log_url read_url read_replica_url cache_url roles projector_partitions
            admin_key geoip_db trusted_proxies forwarded_header clicks_ack spool_max_bytes keep_addresses codes disabled_status redirect_max_age
            drain_seconds stall_seconds redirect_threads events_cache webhook_allow fetch_titles fetch_titles_allow blocklist blocklist_reload quarantine reports_to_quarantine orphans orphans_per_day orphans_days rate_limits rate_limit_url rate_limit_nodes rate_limit_deadline_ms rate_limit_lease apple_apps android_apps log_format);
    }
}

/// The settings file, if there is one.
pub(super) fn file_at(named: Option<&Path>) -> Option<&Path> {
    named.or_else(|| Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists()))
}

fn listen(given: Option<String>) -> Result<SocketAddr, SettingsError> {
    let allowed = "an address and port, such as 127.0.0.1:8080";
    let address = value("HOPLOG_LISTEN", given, allowed)?;
    Ok(address.unwrap_or_else(|| ([127, 0, 0, 1], 8080).into()))
}

/// `[clicks] ack = …` is the setting `clicks_ack`; numbers, booleans and lists become the text
/// that a flag would have.
fn flatten(table: toml::Table) -> toml::Table {
    let mut flat = toml::Table::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = flatten(inner).into_iter();
                flat.extend(inner.map(|(name, value)| (format!("{key}_{name}"), value)));
            }
            value => {
                flat.insert(key, toml::Value::String(text_of(&value)));
            }
        }
    }
    flat
}

fn text_of(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(","),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

pub(super) fn wrong<T>(
    name: &'static str,
    value: &str,
    allowed: &'static str,
) -> Result<T, SettingsError> {
    Err(SettingsError::Value { name, value: value.to_owned(), allowed })
}

fn value<T: FromStr>(
    name: &'static str,
    given: Option<String>,
    allowed: &'static str,
) -> Result<Option<T>, SettingsError> {
    let Some(text) = given else { return Ok(None) };
    text.parse().map(Some).or_else(|_| wrong(name, &text, allowed))
}

/// The same between bounds.
pub(super) fn within<T: FromStr + PartialOrd>(
    name: &'static str,
    given: Option<String>,
    bounds: impl RangeBounds<T>,
    allowed: &'static str,
) -> Result<Option<T>, SettingsError> {
    let Some(text) = given else { return Ok(None) };
    match text.parse() {
        Ok(value) if bounds.contains(&value) => Ok(Some(value)),
        _ => wrong(name, &text, allowed),
    }
}

/// One of several words; the first is the default.
pub(super) fn choice<T: Copy>(
    name: &'static str,
    given: Option<&str>,
    choices: &[(&str, T)],
    allowed: &'static str,
) -> Result<T, SettingsError> {
    let wanted = given
        .map_or_else(|| choices.first(), |text| choices.iter().find(|(word, _)| *word == text));
    match wanted {
        Some((_, meaning)) => Ok(*meaning),
        None => wrong(name, given.unwrap_or_default(), allowed),
    }
}

fn base_url(text: &str) -> Result<Url, SettingsError> {
    let origin_only = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(text).ok().filter(origin_only).map_or_else(
        || wrong("HOPLOG_BASE_URL", text, "an origin such as https://go.example.com"),
        Ok,
    )
}

fn admin_key(text: String) -> Result<Secret, SettingsError> {
    let visible = text.chars().all(|c| c.is_ascii_graphic());
    if text.len() >= ADMIN_KEY_CHARS_MIN && visible {
        Ok(Secret(text))
    } else {
        wrong("HOPLOG_ADMIN_KEY", "…", "32 visible ASCII characters or more")
    }
}

/// What is not an address is not repeated: it may hold a password.
fn redis(name: &'static str, given: Option<&str>) -> Result<Option<RedisAddress>, SettingsError> {
    match given {
        None | Some("" | "none") => Ok(None),
        Some(text) => text.parse().map(Some).or_else(|_| {
            let scheme = text.split_once("://").map_or("…", |(scheme, _)| scheme);
            let allowed = "none, or redis://[user:password@]host[:port][/database], or \
                           redis-cluster://host[:port],…, or redis-sentinel://host[:port],…/service; \
                           with rediss instead of redis for TLS";
            wrong(name, &format!("{scheme}://…"), allowed)
        }),
    }
}

fn geoip_db(text: &str) -> Result<PathBuf, SettingsError> {
    let path = PathBuf::from(text);
    if path.is_file() {
        Ok(path)
    } else {
        wrong("HOPLOG_GEOIP_DB", text, "the path of an .mmdb file")
    }
}

fn trusted_proxies(
    proxies: Option<&str>,
    header: Option<&str>,
) -> Result<TrustedProxies, SettingsError> {
    let headers = [
        ("either", ForwardedHeader::Either),
        ("x-forwarded-for", ForwardedHeader::Legacy),
        ("forwarded", ForwardedHeader::Standard),
    ];
    let allowed = "either, x-forwarded-for, forwarded";
    Ok(TrustedProxies {
        networks: networks(proxies.unwrap_or_default())?,
        header: choice("HOPLOG_FORWARDED_HEADER", header, &headers, allowed)?,
    })
}

fn networks(text: &str) -> Result<Vec<IpNet>, SettingsError> {
    let network = |part: &str| {
        part.parse::<IpNet>().or_else(|_| part.parse::<std::net::IpAddr>().map(IpNet::from))
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(network).collect::<Result<_, _>>().or_else(|_| {
        wrong("HOPLOG_TRUSTED_PROXIES", text, "networks such as 10.0.0.0/8,192.168.1.1,fd00::/8")
    })
}

fn webhook_targets(given: Option<&str>) -> Result<Targets, SettingsError> {
    let text = given.unwrap_or_default();
    let allowed = "networks such as 10.1.0.0/16,fd00::/8, or private";
    Targets::parse(text).or_else(|_| wrong("HOPLOG_WEBHOOK_ALLOW", text, allowed))
}

fn spool_bytes_max(given: Option<String>) -> Result<u64, SettingsError> {
    let allowed = "whole bytes from 16777216";
    let bytes = within("HOPLOG_SPOOL_MAX_BYTES", given, SPOOL_BYTES_MIN.., allowed)?;
    Ok(bytes.unwrap_or(SPOOL_BYTES_DEFAULT))
}

fn max_age(given: Option<String>) -> Result<u32, SettingsError> {
    let allowed = "whole seconds from 0 to 86400";
    let seconds = within("HOPLOG_REDIRECT_MAX_AGE", given, ..=REDIRECT_MAX_AGE_S_MAX, allowed)?;
    Ok(seconds.unwrap_or(0))
}

fn drain(given: Option<String>) -> Result<Duration, SettingsError> {
    let allowed = "whole seconds from 0 to 300";
    let seconds = within("HOPLOG_DRAIN_SECONDS", given, ..=DRAIN_S_MAX, allowed)?;
    Ok(seconds.map_or(DRAIN_DEFAULT, Duration::from_secs))
}

fn page_cache(given: Option<&str>) -> Result<PageCache, SettingsError> {
    let choices = [("private", PageCache::Private), ("shared", PageCache::Shared)];
    choice("HOPLOG_EVENTS_CACHE", given, &choices, "private, shared")
}

fn json_logs(given: Option<&str>) -> Result<bool, SettingsError> {
    choice("HOPLOG_LOG_FORMAT", given, &[("text", false), ("json", true)], "text, json")
}

fn stall(given: Option<String>) -> Result<Duration, SettingsError> {
    let allowed = "whole seconds from 1 to 3600";
    let seconds = within("HOPLOG_STALL_SECONDS", given, 1..=STALL_S_MAX, allowed)?;
    Ok(seconds.map_or(STALL_DEFAULT, Duration::from_secs))
}

/// The core that is left over is for what follows a redirect: enriching its click, the log's
/// writer, the network.
fn redirect_threads(given: Option<String>) -> Result<NonZeroUsize, SettingsError> {
    let allowed = "whole numbers from 1 to 1024";
    let bounds = NonZeroUsize::MIN..=REDIRECT_THREADS_MAX;
    let threads = within("HOPLOG_REDIRECT_THREADS", given, bounds, allowed)?;
    Ok(threads.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN)
    }))
}
