//! Short codes and domains: the two halves of a link's identity.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The path of a short link: 1 to 64 letters, digits, `-` and `_`; case matters.
/// Which codes a person may choose is the write side's business; this is what any code looks like.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[A-Za-z0-9_-]{1,64}$"))]
pub struct ShortCode(Box<str>);

/// The longest code, in characters.
pub const CODE_CHARS_MAX: usize = 64;

/// A text that is not a short code or a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Give at least one character.
    #[error("must not be empty")]
    Empty,
    /// Choose a shorter one.
    #[error("is longer than {max} characters")]
    TooLong {
        /// The most that is allowed.
        max: usize,
    },
    /// Leave the character out.
    #[error("contains {0:?}; allowed are letters A-Z a-z, digits, '-' and '_'")]
    Character(char),
    /// Give a host name such as `go.example.com`.
    #[error("is not a host name")]
    Host,
}

impl ShortCode {
    /// The code as it stands in URLs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShortCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(CodeError::Empty);
        }
        if let Some(other) =
            text.chars().find(|c| !matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_'))
        {
            return Err(CodeError::Character(other));
        }
        if text.len() > CODE_CHARS_MAX {
            return Err(CodeError::TooLong { max: CODE_CHARS_MAX });
        }
        Ok(Self(text.into()))
    }
}

/// The domain a link lives on: a lower-case host name, or `default` for the service's own,
/// which keeps its links when the service moves to another host name.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Domain(Box<str>);

/// The longest host name, in characters (RFC 1035).
pub const DOMAIN_CHARS_MAX: usize = 253;

/// The name of the service's own domain on the log.
pub const SERVICE_DOMAIN: &str = "default";

impl Domain {
    /// The service's own domain, whatever its host name is today.
    #[must_use]
    pub fn service() -> Self {
        Self(SERVICE_DOMAIN.into())
    }

    /// Whether it is the service's own.
    #[must_use]
    pub fn is_service(&self) -> bool {
        *self.0 == *SERVICE_DOMAIN
    }

    /// The name on the log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(CodeError::Empty);
        }
        if text.len() > DOMAIN_CHARS_MAX {
            return Err(CodeError::TooLong { max: DOMAIN_CHARS_MAX });
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        if text.split('.').all(label) { Ok(Self(text.into())) } else { Err(CodeError::Host) }
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ShortCode {
    type Error = CodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ShortCode> for String {
    fn from(code: ShortCode) -> String {
        code.0.into()
    }
}

impl TryFrom<String> for Domain {
    type Error = CodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> String {
        domain.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_letters_digits_dash_and_underscore() {
        assert_eq!("Ab-9_z".parse::<ShortCode>().map(String::from), Ok("Ab-9_z".to_owned()));
        assert_eq!("".parse::<ShortCode>(), Err(CodeError::Empty));
        assert_eq!("a.b".parse::<ShortCode>(), Err(CodeError::Character('.')));
        assert_eq!("аbc".parse::<ShortCode>(), Err(CodeError::Character('а')), "Cyrillic");
        assert_eq!("a".repeat(65).parse::<ShortCode>(), Err(CodeError::TooLong { max: 64 }));
    }

    #[test]
    fn a_domain_is_a_lower_case_host_name() {
        assert!("go.example.com".parse::<Domain>().is_ok());
        for bad in ["Go.example.com", "a..b", "a/b", "a b", ".a", "a:80"] {
            assert_eq!(bad.parse::<Domain>(), Err(CodeError::Host), "{bad}");
        }
    }
}
