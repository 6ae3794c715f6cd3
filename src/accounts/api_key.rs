//! What a key looks like: `hop_`, 30 random characters (178 bits), 6 of checksum.
//!
//! The prefix lets scanners find keys that leaked, the checksum lets them (and us) tell a typo
//! from a key without asking anybody. A key has so many bits that a plain SHA-256 of it is safe
//! to keep.

use hoplog_events::account::KeyHash;
use hoplog_events::hex::hex;
use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::domain::base62::{ALPHABET, encode};

const PREFIX: &str = "hop_";
const SECRET_CHARS: usize = 30;
const CHECKSUM_CHARS: usize = 6;

/// How much of a key is kept readable, to tell keys apart.
const SHOWN_CHARS: usize = 8;

/// A key in clear: shown once, never stored.
pub struct ApiKey(String);

impl ApiKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        let mut rng = rand::rng();
        let secret: String =
            (0..SECRET_CHARS).map(|_| char::from(ALPHABET[rng.random_range(0..62)])).collect();
        Self(format!("{PREFIX}{secret}{}", checksum(&secret)))
    }

    /// The key itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its first characters.
    #[must_use]
    pub fn shown(&self) -> &str {
        shown(&self.0)
    }
}

/// The first characters of a text that may be a key, all of a shorter one.
#[must_use]
pub fn shown(key: &str) -> &str {
    key.char_indices().nth(SHOWN_CHARS).map_or(key, |(end, _)| &key[..end])
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

fn checksum(secret: &str) -> String {
    let number = u64::from(crc32fast::hash(secret.as_bytes()));
    format!("{:0>width$}", encode(number), width = CHECKSUM_CHARS)
}

/// Whether a text can be a key of ours at all.
#[must_use]
pub(super) fn is_well_formed(key: &str) -> bool {
    key.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_at_checked(SECRET_CHARS))
        .is_some_and(|(secret, sum)| checksum(secret) == sum)
}

/// SHA-256 of a key.
#[must_use]
pub fn hash_of(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The hash as it is written down.
pub(super) fn key_hash(key: &str) -> KeyHash {
    KeyHash(hex(&hash_of(key)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_and_a_typo_is_not() {
        for _ in 0..1_000 {
            let key = ApiKey::generate();
            assert_eq!(key.reveal().len(), 40);
            assert!(is_well_formed(key.reveal()));
            let mut typo = key.reveal().to_owned().into_bytes();
            typo[10] = if typo[10] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(&String::from_utf8(typo).unwrap()));
        }
        for bad in ["", "hop_", "hop_short", "hop_ééééééééééééééééééééé", "lk_0123456789"]
        {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
