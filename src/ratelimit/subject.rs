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
    /// Kind and form as a number, for keys in memory. Kinds are few and the program's own: nobody can try
    /// for two that come to the same.
    sort: u64,
    /// The higher half first.
    id: [u64; 2],
}

/// Before an address of IPv4 in IPv6, the lower half of it.
const MAPPED: u64 = 0xffff << 32;

/// Of the hash FNV-1a.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

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
        Self::of(kind, Form::Text, half(Sha256::digest(value).into()))
    }

    /// An address, as it is: whoever wants to limit networks gives their first addresses.
    #[must_use]
    #[inline]
    pub fn address(kind: &'static str, address: IpAddr) -> Self {
        let id = match address {
            IpAddr::V4(address) => [0, MAPPED | u64::from(address.to_bits())],
            IpAddr::V6(address) => {
                let [high, low] =
                    [address.to_bits() >> 64, address.to_bits() & u128::from(u64::MAX)];
                [high, low].map(|half| u64::try_from(half).unwrap_or_default())
            }
        };
        Self::of(kind, Form::Address, id)
    }

    #[inline]
    fn of(kind: &'static str, form: Form, id: [u64; 2]) -> Self {
        let fold = |sort: u64, byte: u8| (sort ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        let sort = kind.bytes().fold(fold(FNV_BASIS, form as u8), fold);
        Self { kind, form, sort, id }
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
        hash.update(self.id.map(u64::to_be_bytes).concat());
        hash.update(self.kind);
        let [high, low] = half(hash.finalize().into());
        u128::from(high) << 64 | u128::from(low)
    }

    /// The number, for keys in memory.
    #[inline]
    pub(super) fn halves(&self) -> [u64; 2] {
        self.id
    }

    /// Kind and form as a number, for keys in memory.
    #[inline]
    pub(super) fn sort(&self) -> u64 {
        self.sort
    }
}

/// The first half of it.
fn half(digest: [u8; 32]) -> [u64; 2] {
    let number = |at: usize| {
        digest[at..].first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_be_bytes(*bytes))
    };
    [number(0), number(8)]
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
