//! Which variant of a split a visitor is led to: the same one each time, and nothing is kept of the visitor.
//!
//! Weighted rendezvous hashing: every variant draws a number for the visitor, made of both, and the lowest
//! `-ln(number) / weight` has the visitor. A draw depends on no other variant, so that whoever moves when weights change, or
//! a variant comes or goes, moves to or from a variant whose part changed.

use std::net::IpAddr;

use hoplog_events::link::{LinkKey, Split, Variant};
use sha2::{Digest, Sha256};

#[cfg(test)]
mod tests;

/// What counts of an IPv6 address: devices change the rest by the hour.
const NETWORK_BYTES: usize = 8;

/// A visitor of one link: 64 bits of SHA-256 over the link, the address and the user agent. Of the agent, versions do not
/// count: with every update of a browser its users would be others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitorOfLink(u64);

impl VisitorOfLink {
    /// Who this is for a link.
    #[must_use]
    pub fn new(link: &LinkKey, address: Option<IpAddr>, user_agent: &str) -> Self {
        let (domain, code) = (link.domain.as_str(), link.code.as_str());
        // Separators keep one part from running into the next.
        let mut hash = Sha256::new().chain_update(domain).chain_update("/").chain_update(code);
        hash.update([0]);
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => hash.update(address.octets()),
            Some(IpAddr::V6(address)) => hash.update(&address.octets()[..NETWORK_BYTES]),
            None => {}
        }
        hash.update([0]);
        without_versions(user_agent, |part| hash.update(part));
        let digest = hash.finalize();
        Self(digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }
}

/// The parts of an agent between its versions: what begins with a digit, with all letters, dots and underscores behind it. A
/// point release has one dot more (`17_2`, `17_2_1`), and a build other letters (`21C62`, `21D50`).
fn without_versions(mut agent: &str, mut each: impl FnMut(&str)) {
    while let Some(version) = agent.find(|c: char| c.is_ascii_digit()) {
        let (part, rest) = agent.split_at(version);
        each(part);
        agent =
            rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
    }
    each(agent);
}

/// The place of the visitor's variant; `None`: there is no split.
#[must_use]
pub fn variant_of(split: &Split, visitor: VisitorOfLink) -> Option<usize> {
    let draws = split.as_slice().iter().map(|variant| draw(variant, visitor)).enumerate();
    draws.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(place, _)| place)
}

/// The lower, the better; endless for a variant that nobody is led to.
fn draw(variant: &Variant, VisitorOfLink(visitor): VisitorOfLink) -> f64 {
    if variant.weight.get() == 0 {
        return f64::INFINITY;
    }
    let drawn = mixed(visitor ^ mixed(name_hash(variant.name.as_str())));
    -unit(drawn).ln() / f64::from(variant.weight.get())
}

/// A number above 0 and below 1, of the upper bits of another: as many as are exact.
#[expect(clippy::cast_precision_loss, reason = "52 bits are exact")]
fn unit(drawn: u64) -> f64 {
    ((drawn >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// FNV-1a: names are short.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finish of `SplitMix64`: each bit depends on all.
fn mixed(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
