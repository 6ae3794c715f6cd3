//! Where a Redis is: one, a cluster, or one that Sentinels know.

use std::fmt;
use std::str::FromStr;

use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, IntoConnectionInfo, RedisConnectionInfo, TlsMode};
use url::Url;

/// Of a Sentinel that names no port.
const SENTINEL_PORT: u16 = 26_379;

/// The place of a Redis.
///
/// - `redis://[user][:password@]host[:port][/database]`: one; `rediss://` for TLS.
/// - `redis-cluster://[user][:password@]host[:port][,host[:port]…]`: a cluster, by some of its nodes;
///   `rediss-cluster://` for TLS.
/// - `redis-sentinel://[user][:password@]host[:port][,host[:port]…]/service[/database]`: the primary of a
///   service, by its Sentinels; the password is that of the primary. `rediss-sentinel://`: the way to
///   the primary is TLS.
#[derive(Clone)]
pub struct RedisAddress(pub(super) Place);

#[derive(Clone)]
pub(super) enum Place {
    One(Client),
    /// Some of its nodes.
    Cluster(Vec<Url>),
    Sentinel(Sentinels),
}

#[derive(Clone)]
pub(super) struct Sentinels {
    addresses: Vec<String>,
    service: String,
    tls: bool,
    primary: RedisConnectionInfo,
}

/// Correct the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a Redis")]
pub struct AddressError;

impl FromStr for RedisAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError)?;
        let place = match scheme {
            "redis" | "rediss" => Place::One(client(text)?),
            "redis-cluster" => Place::Cluster(nodes("redis", rest)?),
            "rediss-cluster" => Place::Cluster(nodes("rediss", rest)?),
            "redis-sentinel" => Place::Sentinel(sentinels(rest, false)?),
            "rediss-sentinel" => Place::Sentinel(sentinels(rest, true)?),
            _ => return Err(AddressError),
        };
        Ok(Self(place))
    }
}

fn parse(text: &str) -> Result<Url, AddressError> {
    Url::parse(text).ok().filter(Url::has_host).ok_or(AddressError)
}

fn client(text: &str) -> Result<Client, AddressError> {
    Client::open(parse(text)?).map_err(|_| AddressError)
}

/// Who asks (with the `@`), the hosts, what stands behind them.
fn split(rest: &str) -> (&str, Vec<&str>, &str) {
    let at = rest.rfind('@').map_or(0, |at| at + 1);
    let (who, rest) = rest.split_at(at);
    let (hosts, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (who, hosts.split(',').collect(), path)
}

/// Every node is asked with the same name and password. A cluster has one database.
fn nodes(scheme: &str, rest: &str) -> Result<Vec<Url>, AddressError> {
    let (who, hosts, path) = split(rest);
    if !matches!(path, "" | "/" | "/0") {
        return Err(AddressError);
    }
    let node = |host: &&str| {
        let url = parse(&format!("{scheme}://{who}{host}"))?;
        url.clone().into_connection_info().map(|_| url).map_err(|_| AddressError)
    };
    hosts.iter().map(node).collect()
}

fn sentinels(rest: &str, tls: bool) -> Result<Sentinels, AddressError> {
    let (who, hosts, path) = split(rest);
    let mut path = path.trim_start_matches('/').split('/');
    let service = path.next().filter(|service| !service.is_empty()).ok_or(AddressError)?;
    let database = path.next().unwrap_or("0");
    if path.next().is_some() {
        return Err(AddressError);
    }
    // Parsed as the address of a Redis, so that the rules for names and passwords are the same.
    let primary = parse(&format!("redis://{who}primary/{database}"))?;
    let primary = primary.into_connection_info().map_err(|_| AddressError)?;
    let address = |host: &&str| {
        let url = parse(&format!("redis://{host}"))?;
        let (host, port) =
            (url.host_str().unwrap_or_default(), url.port().unwrap_or(SENTINEL_PORT));
        Ok(format!("redis://{host}:{port}"))
    };
    let addresses = hosts.iter().map(address).collect::<Result<_, _>>()?;
    let primary = primary.redis_settings().clone();
    Ok(Sentinels { addresses, service: service.to_owned(), tls, primary })
}

impl Sentinels {
    /// Who finds the primary, one for each Sentinel: asked anew for every connection, as it may be
    /// another one by then.
    pub(super) fn clients(
        &self,
    ) -> impl Iterator<Item = Result<SentinelClient, redis::RedisError>> + '_ {
        let mut node =
            SentinelNodeConnectionInfo::default().set_redis_connection_info(self.primary.clone());
        if self.tls {
            node = node.set_tls_mode(TlsMode::Secure);
        }
        self.addresses.iter().map(move |address| {
            let (address, node) = (vec![address.clone()], Some(node.clone()));
            SentinelClient::build(address, &self.service, node, SentinelServerType::Master)
        })
    }
}

impl fmt::Debug for RedisAddress {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = match &self.0 {
            Place::One(client) => client.get_connection_info().addr().to_string(),
            Place::Cluster(nodes) => {
                let host =
                    |url: &Url| format!("{}:{:?}", url.host_str().unwrap_or_default(), url.port());
                nodes.iter().map(host).collect::<Vec<_>>().join(",")
            }
            Place::Sentinel(sentinels) => sentinels.addresses.join(","),
        };
        write!(f, "RedisAddress({hosts})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_a_redis_and_hides_its_password() {
        for text in [
            "",
            "none",
            "http://host",
            "redis:",
            "redis://",
            "localhost",
            "redis-cluster://",
            "redis-cluster://a,,b",
            "redis-cluster://a/1",
            "redis-sentinel://a",
            "redis-sentinel://a/",
            "redis-sentinel:///main",
            "redis-sentinel://a/main/x",
            "redis-sentinel://a/main/0/1",
        ] {
            assert_eq!(text.parse::<RedisAddress>().unwrap_err(), AddressError, "{text}");
        }
        for text in [
            "redis://h",
            "redis://h:1/2",
            "rediss://u:secret@h:1",
            "redis://:secret@[::1]",
            "redis-cluster://u:secret@a:1,b,[::1]:3",
            "rediss-cluster://a/0",
            "redis-sentinel://:secret@a,b:2/main",
            "rediss-sentinel://a/main/3",
        ] {
            let address: RedisAddress = text.parse().expect(text);
            assert!(!format!("{address:?}").contains("secret"));
        }
    }

    #[test]
    fn every_node_is_asked_with_the_same_name_and_password() {
        let Ok(RedisAddress(Place::Cluster(nodes))) = "redis-cluster://u:p@a:1,b".parse() else {
            panic!("a cluster")
        };
        let nodes: Vec<&str> = nodes.iter().map(Url::as_str).collect();
        assert_eq!(nodes, ["redis://u:p@a:1", "redis://u:p@b"]);
        let Ok(RedisAddress(Place::Sentinel(sentinels))) =
            "redis-sentinel://u:p@a,b:2/main/3".parse()
        else {
            panic!("a service")
        };
        assert_eq!(sentinels.addresses, ["redis://a:26379", "redis://b:2"]);
        assert_eq!((sentinels.service.as_str(), sentinels.primary.db()), ("main", 3));
        assert_eq!(
            (sentinels.primary.username(), sentinels.primary.password()),
            (Some("u"), Some("p"))
        );
    }
}
