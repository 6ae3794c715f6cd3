//! Where the servers are and how streams are made, read from one URL:
//! `nats://user:password@one:4222,nats://two:4222?replicas=3&clicks-max-age=365d`.

use std::path::PathBuf;
use std::time::Duration;

use url::form_urlencoded;

use crate::log::address::{DURATIONS, OptionsError, duration};

/// The most partitions a topic can have; each is a token in subjects, not a resource.
const PARTITIONS_MAX: u16 = 1_024;

/// How streams are made and found. What is recorded in them at their creation (partitions) can't
/// be changed afterwards; the rest is compared and told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// The servers of one cluster, as URLs; user, password or token in them.
    pub servers: Vec<String>,
    /// Goes before the names of streams and subjects, so that several logs can share servers.
    pub prefix: String,
    /// Into how many partitions the streams of a topic are spread.
    pub partitions: u16,
    /// On how many servers each event is kept.
    pub replicas: u8,
    /// How long clicks are kept; `None`: for ever.
    pub clicks_max_age: Option<Duration>,
    /// How many bytes of clicks are kept; `None`: all.
    pub clicks_max_bytes: Option<u64>,
    /// Whether the servers compress what they store.
    pub compression: bool,
    /// How long the servers remember message ids.
    pub deduplication: Duration,
    /// A file with credentials (JWT and nkey seed).
    pub credentials: Option<PathBuf>,
    /// How long a request may take.
    pub timeout: Duration,
    /// How long a server of a cluster may take to notice that it leads no longer: that a log ends
    /// earlier than it did is believed after that. (The servers' own bound is 10 seconds.)
    pub stale: Duration,
}

impl Default for JetStreamOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            prefix: String::new(),
            partitions: 16,
            replicas: 1,
            clicks_max_age: None,
            clicks_max_bytes: None,
            compression: true,
            deduplication: Duration::from_mins(2),
            credentials: None,
            timeout: Duration::from_secs(2),
            stale: Duration::from_secs(15),
        }
    }
}

impl std::str::FromStr for JetStreamOptions {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let (servers, query) = text.split_once('?').unwrap_or((text, ""));
        let mut options = Self::default();
        for server in servers.split(',').map(str::trim) {
            options.servers.push(server_url(server)?);
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            options.set(&name, &value)?;
        }
        Ok(options)
    }
}

impl JetStreamOptions {
    fn set(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        let wrong = |allowed| OptionsError { name: name.into(), value: value.into(), allowed };
        match name {
            "prefix" => {
                let allowed = "up to 32 letters, digits, '-' or '_'";
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                if value.len() > 32 || !value.chars().all(fits) {
                    return Err(wrong(allowed));
                }
                value.clone_into(&mut self.prefix);
            }
            "partitions" => {
                let count = value.parse().ok().filter(|n| (1..=PARTITIONS_MAX).contains(n));
                self.partitions = count.ok_or_else(|| wrong("1 to 1024"))?;
            }
            "replicas" => {
                let count = value.parse().ok().filter(|n| matches!(n, 1 | 3 | 5));
                self.replicas = count.ok_or_else(|| wrong("1, 3, 5"))?;
            }
            "clicks-max-age" => {
                self.clicks_max_age = Some(duration(value).ok_or_else(|| wrong(DURATIONS))?);
            }
            "clicks-max-bytes" => {
                self.clicks_max_bytes =
                    Some(value.parse().map_err(|_| wrong("a number of bytes"))?);
            }
            "compression" => {
                self.compression = match value {
                    "s2" => true,
                    "none" => false,
                    _ => return Err(wrong("s2, none")),
                };
            }
            "deduplication" => {
                self.deduplication = duration(value).ok_or_else(|| wrong(DURATIONS))?;
            }
            "timeout" => self.timeout = duration(value).ok_or_else(|| wrong(DURATIONS))?,
            "credentials" => self.credentials = Some(value.into()),
            _ => {
                return Err(wrong(
                    "no such part; known: prefix, partitions, replicas, clicks-max-age, \
                 clicks-max-bytes, compression, deduplication, timeout, credentials",
                ));
            }
        }
        Ok(())
    }
}

fn server_url(text: &str) -> Result<String, OptionsError> {
    let allowed = "nats://host:4222 or tls://host:4222, several with commas between them";
    // The password, if there is one, stays out of the message.
    let wrong = || OptionsError {
        name: "server".to_owned(),
        value: text.rsplit_once('@').map_or(text, |(_, host)| host).to_owned(),
        allowed,
    };
    let text = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
    let url = url::Url::parse(&text).map_err(|_| wrong())?;
    let known = matches!(url.scheme(), "nats" | "tls");
    if known && url.has_host() && matches!(url.path(), "" | "/") { Ok(text) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_says_it_all() {
        let url = "nats://u:p@one:4222, two:4223?prefix=t-1&replicas=3&partitions=64&clicks-max-age=365d\
                   &clicks-max-bytes=1000&compression=none&deduplication=30s&timeout=1s";
        let options: JetStreamOptions = url.parse().unwrap();
        assert_eq!(options.servers, ["nats://u:p@one:4222", "nats://two:4223"]);
        assert_eq!((options.replicas, options.partitions), (3, 64));
        assert_eq!(options.clicks_max_age, Some(Duration::from_hours(365 * 24)));
        assert_eq!(options.deduplication, Duration::from_secs(30));
        assert!(!options.compression);
    }

    #[test]
    fn what_is_wrong_is_named_without_the_password() {
        for (url, named) in [
            ("nats://", "server"),
            ("http://user:secret@host", "server"),
            ("nats://h:1/path", "server"),
            ("nats://h?replicas=2", "replicas"),
            ("nats://h?partitions=0", "partitions"),
            ("nats://h?clicks-max-age=5w", "clicks-max-age"),
            ("nats://h?clicks-max-age=é", "clicks-max-age"),
            ("nats://h?prefix=a.b", "prefix"),
            ("nats://h?retention=1d", "retention"),
        ] {
            let error = url.parse::<JetStreamOptions>().unwrap_err();
            assert_eq!(error.name, named, "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
