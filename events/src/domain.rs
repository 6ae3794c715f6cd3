//! What happens to domains: the hosts that links live on, and what each of them answers where there is no link.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::link::{Destination, Domain, RedirectStatus};
use crate::position::{StreamId, Topic};

/// The longest `robots.txt`, in bytes.
pub const ROBOTS_BYTES_MAX: usize = 16_384;

/// What a domain says to robots: the text of its `robots.txt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct RobotsText(Box<str>);

/// A text that is no `robots.txt`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RobotsError {
    /// Leave it out where there is nothing to say.
    #[error("must not be empty; null says nothing")]
    Empty,
    /// Shorten it.
    #[error("is longer than {ROBOTS_BYTES_MAX} bytes")]
    TooLong,
    /// Leave the character out.
    #[error("contains {0:?}; of control characters only line ends and tabs are allowed")]
    Character(char),
}

impl RobotsText {
    /// The text as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RobotsText {
    type Err = RobotsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(RobotsError::Empty);
        }
        if text.len() > ROBOTS_BYTES_MAX {
            return Err(RobotsError::TooLong);
        }
        let is_wrong = |c: &char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        match text.chars().find(is_wrong) {
            Some(c) => Err(RobotsError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }
}

impl TryFrom<String> for RobotsText {
    type Error = RobotsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RobotsText> for String {
    fn from(text: RobotsText) -> String {
        text.0.into()
    }
}

impl fmt::Display for RobotsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stream that holds the events of a domain.
#[must_use]
pub fn domain_stream(domain: &Domain) -> StreamId {
    StreamId::new(Topic::Accounts, format!("domain/{domain}"))
}

/// What a domain answers where there is no link, and how its new links redirect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DomainSettings {
    /// Where the bare host leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_url: Option<Destination>,
    /// Where codes lead that nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_found_url: Option<Destination>,
    /// Its `robots.txt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robots: Option<RobotsText>,
    /// The status of the redirect of the bare host, and of new links that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectStatus>,
}

/// One fact about one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEvent {
    /// Links can live on it from now on.
    Added(DomainAdded),
    /// It has other settings.
    Changed(DomainChanged),
    /// It answers nothing any more.
    Removed(DomainRemoved),
}

/// Links can live on the domain from now on; those of before it was removed are answered again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DomainAdded {
    /// Its host name; hosts in punycode.
    pub domain: Domain,
    /// What it answers.
    #[serde(flatten)]
    pub settings: DomainSettings,
}

/// The domain answers something else from now on. Also of the service's own domain, which nobody adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DomainChanged {
    /// The domain; `default`: the service's own.
    pub domain: Domain,
    /// All its settings, as they are now.
    #[serde(flatten)]
    pub settings: DomainSettings,
}

/// The domain answers nothing any more. Its links stay, and their codes stay taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DomainRemoved {
    /// The domain.
    pub domain: Domain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_robots_are_told_is_a_text_of_lines() {
        assert!("User-agent: *\r\n\tDisallow: /\n".parse::<RobotsText>().is_ok());
        assert_eq!("".parse::<RobotsText>(), Err(RobotsError::Empty));
        assert_eq!("a\0".parse::<RobotsText>(), Err(RobotsError::Character('\0')));
        assert_eq!(
            "a".repeat(ROBOTS_BYTES_MAX + 1).parse::<RobotsText>(),
            Err(RobotsError::TooLong)
        );
    }
}
