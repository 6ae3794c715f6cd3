//! Where the policies of the rate limits stand, and reading them: at the start, and on SIGHUP.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::parse::{file_at, within, wrong};
use super::{RawSettings, SettingsError};
use crate::limits::{PolicyFileError, Rules};
use crate::redis_connection::RedisAddress;

/// The most nodes that share a limit.
const NODES_MAX: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// The most units that a node may take ahead.
const LEASE_MAX: u32 = 10_000;

/// A decision is to take less than 5 ms, whatever the store does.
const DEADLINE_MS_DEFAULT: u64 = 4;

/// A second: a request that waits longer is better off without.
const DEADLINE_MS_MAX: u64 = 1_000;

const NAME: &str = "HOPLOG_RATE_LIMITS";

/// What the settings say of rate limits.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Where the policies stand, to be read again.
    pub source: RateLimits,
    /// The policies, as they stood there at the start.
    pub rules: Rules,
    /// The Redis that nodes count in together; `None`: each counts for itself.
    pub store: Option<RedisAddress>,
    /// How many nodes share the store.
    pub nodes: NonZeroU32,
    /// How long a request waits for the store.
    pub deadline: Duration,
    /// How many units of a limit a node may take ahead.
    pub lease: u32,
}

impl LimitSettings {
    pub(super) fn of(
        raw: &RawSettings,
        source: RateLimits,
        store: Option<RedisAddress>,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            rules: source.read()?,
            source,
            store,
            nodes: nodes(raw.rate_limit_nodes.clone())?,
            deadline: deadline(raw.rate_limit_deadline_ms.clone())?,
            lease: lease(raw.rate_limit_lease.clone())?,
        })
    }
}

/// Where the policies of the rate limits stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateLimits {
    /// Nothing is limited.
    Off,
    /// In the program.
    Builtin,
    /// In a policy file.
    File(PathBuf),
    /// In the settings file, or where that says.
    Settings(PathBuf),
}

impl RateLimits {
    /// What a flag or the environment says; otherwise the settings file, if there is one.
    pub(super) fn of(given: Option<&str>, settings: Option<&Path>) -> Self {
        match (given, file_at(settings)) {
            (Some(given), _) => Self::named(given),
            (None, Some(file)) => Self::Settings(file.to_owned()),
            (None, None) => Self::Builtin,
        }
    }

    fn named(text: &str) -> Self {
        match text {
            "on" => Self::Builtin,
            "off" => Self::Off,
            path => Self::File(path.into()),
        }
    }

    /// The policies as they stand there now.
    ///
    /// # Errors
    /// When there is no such file, or something in it is wrong: with its line.
    pub fn read(&self) -> Result<Rules, SettingsError> {
        match self {
            Self::Off => Ok(Rules::default()),
            Self::Builtin => {
                Rules::builtin().map_err(|error| policies(Path::new("built in"), error))
            }
            Self::File(path) => {
                let allowed = "on, off, or the path of a policy file that can be read";
                let text = std::fs::read_to_string(path);
                let text = text.or_else(|_| wrong(NAME, &path.display().to_string(), allowed))?;
                Rules::parse(&text).map_err(|error| policies(path, error))
            }
            Self::Settings(path) => read_settings(path),
        }
    }
}

/// `rate_limits` may be a word, a path, or a table with policies.
fn read_settings(path: &Path) -> Result<Rules, SettingsError> {
    let unreadable = |reason: String| SettingsError::File {
        file: path.display().to_string(),
        reason: reason.lines().collect::<Vec<_>>().join(" "),
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    match table.get("rate_limits") {
        None => RateLimits::Builtin.read(),
        Some(toml::Value::String(word)) => RateLimits::named(word).read(),
        Some(toml::Value::Table(_)) => {
            Rules::parse_settings(&text).map_err(|error| policies(path, error))
        }
        Some(other) => {
            wrong(NAME, other.type_str(), "\"on\", \"off\", a path, or [[rate_limits.policies]]")
        }
    }
}

fn policies(file: &Path, error: PolicyFileError) -> SettingsError {
    SettingsError::Policies { file: file.display().to_string(), error }
}

/// How many nodes share a limit.
fn nodes(given: Option<String>) -> Result<NonZeroU32, SettingsError> {
    let allowed = "a whole number from 1 to 1000";
    let nodes = within("HOPLOG_RATE_LIMIT_NODES", given, ..=NODES_MAX, allowed)?;
    Ok(nodes.unwrap_or(NonZeroU32::MIN))
}

/// How many units of a limit a node may take ahead.
fn lease(given: Option<String>) -> Result<u32, SettingsError> {
    let allowed = "a whole number from 0 to 10000";
    Ok(within("HOPLOG_RATE_LIMIT_LEASE", given, ..=LEASE_MAX, allowed)?.unwrap_or(0))
}

/// How long a request waits for the store that nodes share.
fn deadline(given: Option<String>) -> Result<Duration, SettingsError> {
    let allowed = "whole milliseconds from 1 to 1000";
    let millis = within("HOPLOG_RATE_LIMIT_DEADLINE_MS", given, 1..=DEADLINE_MS_MAX, allowed)?;
    Ok(Duration::from_millis(millis.unwrap_or(DEADLINE_MS_DEFAULT)))
}
