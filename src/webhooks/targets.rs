//! Where messages may go. Whoever makes a webhook chooses an address that the server then connects
//! to: it must not lead to what only the server can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

#[cfg(test)]
mod tests;

/// The networks that the word `private` stands for: this machine and the private networks, but no
/// link-local one, where clouds keep the secrets of their machines.
const PRIVATE: [&str; 7] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
];

/// Where clouds tell their machines secrets, whoever asks. Some are in private networks, one is public: only a network that
/// the operator names opens them, the word `private` does not.
const SECRETS: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Where messages may go: to every public address, and to networks that the operator names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    named: Vec<IpNet>,
    /// What the word `private` stands for, where it was said.
    private: Vec<IpNet>,
}

/// An address that nothing is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("leads into a private network; the operator may allow it (HOPLOG_WEBHOOK_ALLOW)")]
pub struct TargetRefused;

impl Targets {
    /// Reads networks, or the word `private`, with commas between them.
    ///
    /// # Errors
    /// When a part is neither.
    pub fn parse(text: &str) -> Result<Self, ipnet::AddrParseError> {
        let mut targets = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            if part == "private" {
                targets.private = PRIVATE.iter().filter_map(|text| text.parse().ok()).collect();
            } else {
                let one = |error| part.parse::<IpAddr>().map(IpNet::from).map_err(|_| error);
                targets.named.push(part.parse::<IpNet>().or_else(one)?);
            }
        }
        Ok(targets)
    }

    /// Whether messages may go over plain HTTP: only to the networks that are named.
    #[must_use]
    pub fn plain_is_allowed(&self) -> bool {
        !self.named.is_empty() || !self.private.is_empty()
    }

    /// Whether an address may be connected to.
    #[must_use]
    pub fn admit(&self, address: IpAddr, way: Way) -> bool {
        let address = address.to_canonical();
        let has = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        let is_public = || way == Way::Encrypted && is_public(address);
        has(&self.named) || !SECRETS.contains(&address) && (has(&self.private) || is_public())
    }

    /// Looks at what a URL says by itself. Where a name leads is looked at when it is connected to.
    ///
    /// # Errors
    /// When nothing may be sent there.
    pub fn check(&self, url: &Url) -> Result<(), TargetRefused> {
        self.check_by(url, Way::of(url))
    }

    /// The same by another way than the URL names: to which addresses that leads is what ways differ in.
    ///
    /// # Errors
    /// When nothing may be sent there.
    pub fn check_by(&self, url: &Url, way: Way) -> Result<(), TargetRefused> {
        let admitted = match url.host() {
            Some(Host::Ipv4(address)) => self.admit(address.into(), way),
            Some(Host::Ipv6(address)) => self.admit(address.into(), way),
            Some(Host::Domain(name)) if is_this_machine(name) => {
                self.admit(Ipv4Addr::LOCALHOST.into(), way)
                    || self.admit(Ipv6Addr::LOCALHOST.into(), way)
            }
            Some(Host::Domain(_)) => true,
            None => false,
        };
        if admitted { Ok(()) } else { Err(TargetRefused) }
    }
}

/// How messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With TLS.
    Encrypted,
    /// For everybody on the way to read.
    Plain,
}

impl Way {
    /// The way that a URL names.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        if url.scheme() == "https" { Self::Encrypted } else { Self::Plain }
    }
}

/// `localhost` and all below it, whatever a name server says (RFC 6761).
fn is_this_machine(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Networks of version 4 that are not for everybody, from the registry of special addresses
/// (RFC 6890), and what is for many at once.
const SPECIAL_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |(network, bits): &([u8; 4], u32)| {
        (address.to_bits() ^ Ipv4Addr::from(*network).to_bits()) >> (32 - bits) == 0
    };
    !SPECIAL_V4.iter().any(is_in)
}

/// Networks inside `2000::/3` that are not for everybody: protocols (Teredo among them),
/// documentation, and 6to4, where another address is inside.
const SPECIAL_V6: [([u16; 2], u32); 4] =
    [([0x2001, 0], 23), ([0x2001, 0xdb8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20)];

/// Everything outside `2000::/3` is special: loopback, private and link-local networks, those with an
/// address of version 4 inside (also NAT64), multicast, and what nobody has been given.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits_of = |[high, low]: [u16; 2]| Ipv6Addr::new(high, low, 0, 0, 0, 0, 0, 0).to_bits();
    let is_in =
        |network: [u16; 2], bits: u32| (address.to_bits() ^ bits_of(network)) >> (128 - bits) == 0;
    is_in([0x2000, 0], 3) && !SPECIAL_V6.iter().any(|(network, bits)| is_in(*network, *bits))
}
