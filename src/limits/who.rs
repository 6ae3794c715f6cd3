//! Whom a limit is for: who asks, by what they are counted, and who is meant.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use hoplog_events::account::Scope;
use hyper::Method;
use ipnet::IpNet;

use crate::accounts::Principal;

/// Who asks, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Where the request comes from.
    pub address: IpAddr,
    /// Whose key it carries, if that works.
    pub principal: Option<&'a Principal>,
}

/// By what requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The address; of IPv6 the network /64.
    Address,
    /// The API key.
    Key,
    /// Whose key it is.
    Owner,
    /// The API key, or the address where there is none.
    KeyOrAddress,
    /// How a key begins that does not work.
    KeyPrefix,
    /// The link.
    Link,
    /// What another service asks about.
    Subject,
    /// All of them together.
    Everyone,
}

/// The words, as they stand in a policy file.
pub(super) const WORDS: [(&str, By); 8] = [
    ("address", By::Address),
    ("key", By::Key),
    ("owner", By::Owner),
    ("key-or-address", By::KeyOrAddress),
    ("key-prefix", By::KeyPrefix),
    ("link", By::Link),
    ("subject", By::Subject),
    ("everyone", By::Everyone),
];

impl By {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        WORDS.iter().find(|(_, by)| *by == self).map_or("", |(word, _)| word)
    }
}

/// The network that one client of IPv6 has to itself; an address of IPv4 as it is. An address of
/// IPv4 in the clothes of IPv6 is one of IPv4.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Some of those who ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) methods: Vec<Method>,
    pub(super) addresses: Vec<IpNet>,
    /// `key:<id>`, as it is written with events.
    pub(super) keys: Vec<Box<str>>,
    pub(super) owners: Vec<Box<str>>,
    pub(super) scopes: Vec<Scope>,
    /// Owners who got their first key no longer ago than this.
    pub(super) new_for: Option<Duration>,
}

impl Filter {
    /// Whether somebody is meant: of each kind that is named, one has to fit.
    pub(super) fn means(&self, method: &Method, asker: &Asker<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(method))
            && (self.addresses.is_empty() || self.has_address(asker))
            && (self.keys.is_empty() || self.has_key(asker))
            && (self.owners.is_empty() || self.has_owner(asker))
            && (self.scopes.is_empty() || self.has_scope(asker))
            && self.new_for.is_none_or(|new_for| is_new(asker, new_for))
    }

    /// Whether somebody is excepted: anything that is named will do.
    pub(super) fn excepts(&self, method: &Method, asker: &Asker<'_>) -> bool {
        self.methods.contains(method)
            || self.has_address(asker)
            || self.has_key(asker)
            || self.has_owner(asker)
            || self.has_scope(asker)
    }

    /// Whether it looks at keys at all.
    pub(super) fn needs_keys(&self) -> bool {
        let names_none = self.keys.is_empty() && self.owners.is_empty() && self.scopes.is_empty();
        !names_none || self.new_for.is_some()
    }

    /// Whether only keys with the scope `admin` are meant.
    pub(super) fn is_for_admins(&self) -> bool {
        !self.scopes.is_empty() && self.scopes.iter().all(|scope| *scope == Scope::Admin)
    }

    fn has_address(&self, asker: &Asker<'_>) -> bool {
        let address = asker.address.to_canonical();
        self.addresses.iter().any(|network| network.contains(&address))
    }

    fn has_key(&self, Asker { principal, .. }: &Asker<'_>) -> bool {
        principal.is_some_and(|principal| self.keys.contains(&principal.actor))
    }

    fn has_owner(&self, Asker { principal, .. }: &Asker<'_>) -> bool {
        principal.is_some_and(|one| self.owners.iter().any(|owner| **owner == *one.owner.as_str()))
    }

    fn has_scope(&self, Asker { principal, .. }: &Asker<'_>) -> bool {
        principal.is_some_and(|principal| self.scopes.iter().any(|scope| principal.can(*scope)))
    }
}

fn is_new(Asker { principal, .. }: &Asker<'_>, new_for: Duration) -> bool {
    principal.is_some_and(|principal| principal.owner_age < new_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 15 (R16): clients of IPv6 are one per /64.
    #[test]
    fn trap_15_a_client_of_ipv6_is_its_network() {
        let network = |text: &str| client_network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(network("203.0.113.9"), "203.0.113.9");
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn of_each_kind_that_is_named_one_has_to_fit_and_any_exception_will_do() {
        let filter = Filter {
            methods: vec![Method::POST],
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            ..Filter::default()
        };
        let asker = |address: &str| Asker { address: address.parse().unwrap(), principal: None };
        assert!(filter.means(&Method::POST, &asker("10.1.1.1")));
        assert!(!filter.means(&Method::GET, &asker("10.1.1.1")));
        assert!(!filter.means(&Method::POST, &asker("11.1.1.1")));
        assert!(filter.excepts(&Method::GET, &asker("10.1.1.1")));
        assert!(filter.excepts(&Method::POST, &asker("11.1.1.1")));
        assert!(!filter.excepts(&Method::GET, &asker("11.1.1.1")));
        let nothing = Filter::default();
        assert!(nothing.means(&Method::GET, &asker("::1")));
        assert!(!nothing.excepts(&Method::GET, &asker("::1")));
    }
}
