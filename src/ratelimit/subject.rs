//! Whom a limit is for.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

/// Whom a limit is for: a kind, and who of them. It holds no text, so that it is copied for nothing and
/// does not spell out anybody's name in a store; of two subjects of different kinds none is the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject {
    kind: &'static str,
    form: Form,
    id: u128,
}

/// What the number is, so that an address is never taken for a text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Address,
    /// The first half of its SHA-256.
    Text,
}

impl Subject {
    /// One with a name or an id: an account, an API key, a route.
    #[must_use]
    pub fn new(kind: &'static str, value: &str) -> Self {
        Self { kind, form: Form::Text, id: half(Sha256::digest(value).into()) }
    }

    /// An address, as it is: whoever wants to limit networks gives their first addresses.
    #[must_use]
    pub fn address(kind: &'static str, address: IpAddr) -> Self {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Self { kind, form: Form::Address, id: address.to_bits() }
    }

    /// All of them together: for a limit that everybody shares.
    #[must_use]
    pub fn everybody(kind: &'static str) -> Self {
        Self::new(kind, "")
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// In keys: kind, form and number, hashed, so that nothing in them can be mistaken for a part
    /// of the key.
    pub(super) fn tag(&self) -> u128 {
        let mut hash = Sha256::new();
        hash.update([self.form as u8]);
        hash.update(self.id.to_be_bytes());
        hash.update(self.kind);
        half(hash.finalize().into())
    }

    /// Two halves of the number, for a hash in memory.
    pub(super) fn halves(&self) -> [u64; 2] {
        let bytes = self.id.to_be_bytes();
        let half = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        [half(&bytes[..8]), half(&bytes[8..])]
    }
}

fn half(digest: [u8; 32]) -> u128 {
    digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

impl fmt::Debug for Subject {
    /// Without who it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({})", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 13: an address that equals a user's id is another subject, in memory and in keys.
    #[test]
    fn subjects_of_different_kinds_are_never_the_same() {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let subjects = [
            Subject::new("user", "192.0.2.1"),
            Subject::new("key", "192.0.2.1"),
            Subject::address("user", address),
            Subject::address("address", address),
            Subject::new("use", "r192.0.2.1"),
            Subject::new("user", "192.0.2.1 "),
            Subject::everybody("user"),
        ];
        for (n, one) in subjects.iter().enumerate() {
            for other in &subjects[n + 1..] {
                assert!(one != other && one.tag() != other.tag());
            }
        }
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(Subject::address("a", mapped), Subject::address("a", address));
        assert_eq!(format!("{:?}", subjects[0]), "Subject(user)");
    }
}
