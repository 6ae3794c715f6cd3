//! Where the servers are, read from one address: `esdb://user:password@host:2113?tls=false`. What
//! is ours is taken out of it; the rest is the client library's.

use std::fmt;
use std::fs::File;
use std::time::Duration;

use ::eventstore::{ClientSettings, Credentials};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::EventStoreOpenError;
use crate::log::address::{DURATIONS, OptionsError, duration};

/// The longest prefix.
const PREFIX_BYTES_MAX: usize = 32;

/// What may be set, besides what is ours. The library would pass over a name it does not know.
const KNOWN: [&str; 12] = [
    "tls",
    "tlsVerifyCert",
    "tlsCaFile",
    "userCertFile",
    "userKeyFile",
    "nodePreference",
    "connectionName",
    "discoveryInterval",
    "maxDiscoverAttempts",
    "gossipTimeout",
    "keepAliveInterval",
    "keepAliveTimeout",
];

/// How the log is found.
#[derive(Clone, PartialEq, Eq)]
pub struct EventStoreOptions {
    /// What the client library needs to know.
    pub(super) settings: ClientSettings,
    /// Whom the servers see.
    pub(super) login: Option<Login>,
    /// Goes before the names of streams, so that several logs can share servers.
    pub prefix: String,
    /// How long a request may take.
    pub timeout: Duration,
}

/// A user and a password, as they are.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    user: String,
    password: String,
}

impl Login {
    pub(super) fn credentials(&self) -> Credentials {
        Credentials::new(self.user.clone(), self.password.clone())
    }
}

impl fmt::Debug for EventStoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStoreOptions")
            .field("hosts", self.settings.hosts())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl std::str::FromStr for EventStoreOptions {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let (servers, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut prefix, mut timeout) = ("hoplog".to_owned(), Duration::from_secs(2));
        let mut others = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "prefix" => prefix = prefix_of(&value)?,
                "timeout" => {
                    let wrong = || wrong(&name, &value, DURATIONS);
                    timeout = duration(&value).ok_or_else(wrong)?;
                }
                _ => {
                    check(&name, &value)?;
                    others.append_pair(&name, &value);
                }
            }
        }
        if !query.to_lowercase().contains("discoveryinterval=") && !servers.contains(',') {
            // The library waits for as long before it connects the first time.
            others.append_pair("discoveryInterval", "20");
        }
        // Others may be behind what the leader has acknowledged.
        others.append_pair("nodePreference", "leader");
        let settings = format!("{servers}?{}", others.finish()).parse();
        // The library's own words may repeat the password.
        let settings = settings.map_err(|_| wrong("address", "…", ADDRESSES))?;
        Ok(Self { settings, login: login(servers), prefix, timeout })
    }
}

const ADDRESSES: &str =
    "esdb://host:2113 or esdb+discover://host:2113, and what stands in docs/operations.md";

impl EventStoreOptions {
    /// The library opens these files where it can't say that they are missing.
    pub(super) fn files_are_there(&self) -> Result<(), EventStoreOpenError> {
        let pair = self.settings.user_certificate();
        let files = pair.into_iter().flat_map(|(certificate, key)| [certificate, key]);
        for path in files.chain(self.settings.tls_ca_file()) {
            File::open(path)
                .map_err(|error| EventStoreOpenError::File { path: path.clone(), error })?;
        }
        Ok(())
    }
}

fn wrong(name: &str, value: &str, allowed: &'static str) -> OptionsError {
    OptionsError { name: name.to_owned(), value: value.to_owned(), allowed }
}

fn prefix_of(value: &str) -> Result<String, OptionsError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if value.is_empty() || value.len() > PREFIX_BYTES_MAX || !value.chars().all(fits) {
        return Err(wrong("prefix", value, "1 to 32 letters, digits or '_'"));
    }
    Ok(value.to_owned())
}

fn check(name: &str, value: &str) -> Result<(), OptionsError> {
    if !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        let allowed = "no such part; known: prefix, timeout, and what the client library knows";
        return Err(wrong(name, value, allowed));
    }
    let follows = name.eq_ignore_ascii_case("nodePreference");
    if follows && !value.eq_ignore_ascii_case("leader") {
        return Err(wrong(name, value, "leader: what others answer may be behind"));
    }
    Ok(())
}

/// What has a meaning in addresses is written as `%40` there; the library would send it so.
fn login(servers: &str) -> Option<Login> {
    let (_, rest) = servers.split_once("://")?;
    let (login, _) = rest.rsplit_once('@')?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some(Login { user: decoded(user), password: decoded(password) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_says_it_all() {
        let url = "esdb://u:p%40ss@one:2113?tls=false&prefix=t_1&timeout=1s&connectionName=a%26b";
        let options: EventStoreOptions = url.parse().unwrap();
        assert_eq!((&*options.prefix, options.timeout), ("t_1", Duration::from_secs(1)));
        assert!(!options.settings.is_secure_mode_enabled());
        let login = options.login.clone().unwrap();
        assert_eq!((&*login.user, &*login.password), ("u", "p@ss"));
        assert!(!format!("{options:?}").contains("p@ss"), "{options:?}");
        let cluster: EventStoreOptions = "esdb://one:1,two:2,three:3".parse().unwrap();
        assert_eq!(cluster.settings.hosts().len(), 3);
        let discovered: EventStoreOptions = "esdb+discover://cluster:2113".parse().unwrap();
        assert!(discovered.settings.is_dns_discovery_enabled());
        assert_eq!(discovered.settings.node_preference(), ::eventstore::NodePreference::Leader);
    }

    #[test]
    fn what_is_wrong_is_named_without_the_password() {
        for (url, named) in [
            ("esdb://", "address"),
            ("esdb://user:secret@h:port", "address"),
            ("esdb://user:secret@h/path", "address"),
            ("esdb://h?tls=maybe", "address"),
            ("esdb://h?prefix=a-b", "prefix"),
            ("esdb://h?prefix=", "prefix"),
            ("esdb://h?timeout=5", "timeout"),
            ("esdb://h?nodePreference=follower", "nodePreference"),
            ("esdb://h?replicas=3", "replicas"),
        ] {
            let error = url.parse::<EventStoreOptions>().unwrap_err();
            assert_eq!(error.name, named, "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_certificate_that_is_missing_is_named() {
        let options: EventStoreOptions = "esdb://h?tlsCaFile=/nowhere.pem".parse().unwrap();
        let error = options.files_are_there().unwrap_err().to_string();
        assert!(error.starts_with("/nowhere.pem can't be read"), "{error}");
    }
}
