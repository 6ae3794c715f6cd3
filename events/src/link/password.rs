//! The password of a link, as it is kept: a hash that nobody is shown.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest hash, in characters: one of ours has 97.
const HASH_CHARS_MAX: usize = 256;

/// How every hash begins.
const ALGORITHM: &str = "$argon2id$";

/// The hash of a password with all that it takes to check one against it: a PHC string of argon2id. It is on the
/// log, in the read models and in caches, and leaves the service by no other way.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^\\$argon2id\\$"))]
pub struct PasswordHash(Box<str>);

/// Write a PHC string that begins with `$argon2id$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the hash of a password")]
pub struct PasswordHashError;

impl PasswordHash {
    /// The PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordHashError;

    fn from_str(text: &str) -> Result<Self, PasswordHashError> {
        let is_one = text.starts_with(ALGORITHM)
            && text.len() <= HASH_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if is_one { Ok(Self(text.into())) } else { Err(PasswordHashError) }
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = PasswordHashError;

    fn try_from(text: String) -> Result<Self, PasswordHashError> {
        text.parse()
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> String {
        hash.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_a_phc_string_and_shows_itself_to_nobody() {
        let text = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaA";
        let hash: PasswordHash = text.parse().unwrap();
        assert_eq!(hash.as_str(), text);
        assert_eq!(format!("{hash:?}"), "PasswordHash(…)");
        for other in ["", "secret", "$2b$12$abc", "$argon2id$a b", "$argon2id$\"", &"x".repeat(300)]
        {
            assert_eq!(other.parse::<PasswordHash>(), Err(PasswordHashError), "{other}");
        }
    }
}
